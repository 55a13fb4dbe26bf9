/** What the entry of the executable adds to the variables of a server. That nobody is told of them, console/learn.test.ts sees. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { forgetAdded } from "../src/jit.ts";

const entry = await Bun.file(join(import.meta.dir, "../ffi/entry/entry.S")).text();
const added = [...entry.matchAll(/\.asciz "(BUN_JSC_\w+)=(\d+)"/g)].map(
  ([, name = "", value = ""]) => [name, value] as const,
);
afterEach(() => {
  for (const [name] of added) delete process.env[name];
});

test("it is forgotten, and what somebody has set is not", () => {
  expect(added).toHaveLength(1);
  for (const [name, value] of added) {
    process.env[name] = value;
    forgetAdded();
    expect(process.env[name]).toBeUndefined();
    process.env[name] = `${value}0`;
    forgetAdded();
    expect(process.env[name]).toBe(`${value}0`);
  }
});
