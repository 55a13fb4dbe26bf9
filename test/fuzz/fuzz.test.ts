/** Every seed that was ever kept, and the first inputs of one fixed run; `npm run fuzz` is the long run. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { randomOf } from "./random.ts";
import { shrink } from "./shrink.ts";
import { type Json, demand } from "./target.ts";
import { targets } from "./targets.ts";

const SEEDS = join(import.meta.dir, "seeds");
/** Milliseconds of new inputs for each target; CI fuzzes besides, and has time. */
const TIME = process.env["CI"] === undefined ? 100 : 500;

for (const target of targets) {
  describe(target.name, () => {
    const missing = target.missing?.();
    if (missing !== undefined) {
      console.error(`fuzz ${target.name}: this machine lacks ${missing}`);
      if (process.env["CI"]) test(`lacks ${missing}`, () => expect(missing).toBeUndefined());
      else test.skip(`lacks ${missing}`, () => undefined);
      return;
    }
    const dir = join(SEEDS, target.name);
    for (const file of existsSync(dir) ? readdirSync(dir).sort() : []) {
      test(
        file,
        async () => {
          await target.check(JSON.parse(readFileSync(join(dir, file), "utf8")) as Json);
        },
        60_000,
      );
    }
    test("the first inputs of a run", async () => {
      const end = performance.now() + TIME;
      let index = 0;
      for (; index === 0 || performance.now() < end; index++) {
        await target.check(target.make(randomOf(1, target.name, index)));
      }
      expect(index).toBeGreaterThan(0);
    }, 60_000);
    test("the same seed makes the same input", () => {
      const make = (seed: number) => target.make(randomOf(seed, target.name, 3));
      expect(make(5)).toEqual(make(5));
      expect(make(5)).not.toEqual(make(6));
    });
  });
}

test("every folder of seeds is of a target", () => {
  expect(readdirSync(SEEDS).filter((name) => !targets.some((one) => one.name === name))).toEqual(
    [],
  );
});

test("a failing input is made smaller until nothing can go", async () => {
  const fails = async (input: Json): Promise<boolean> => {
    try {
      demand(!JSON.stringify(input).includes("bug"), "a bug");
      return false;
    } catch (error) {
      return error instanceof Error;
    }
  };
  const input: Json = { a: [1, { text: "there is a bug in here" }, 77], b: { c: true } };
  expect(await shrink(input, fails, performance.now() + 10_000)).toEqual({ a: [{ text: "bug" }] });
});
