import { expect, test } from "bun:test";
import { join } from "node:path";
import { circles, importsOf, upwards } from "./house.ts";

const imports = (all: Record<string, string[]>) => new Map(Object.entries(all));

test("circles are found, of any length, and each is told once", () => {
  const four = { a: ["b"], b: ["c"], c: ["a", "d"], d: [] };
  expect(circles(imports(four))).toEqual([["a", "b", "c"]]);
  expect(circles(imports({ a: ["a"] }))).toEqual([["a"]]);
  expect(circles(imports({ a: ["b", "c"], b: ["d"], c: ["d"], d: ["elsewhere"] }))).toEqual([]);
  const two = { a: ["b"], b: ["a", "c"], c: ["d"], d: ["c"] };
  expect(circles(imports(two))).toEqual([
    ["c", "d"],
    ["a", "b"],
  ]);
});

test("an import that leads up, or to a room beside, is told", () => {
  expect(
    upwards(imports({ "src/plan/a.ts": ["src/config/b.ts", "ffi/c.ts", "src/errors.ts"] })),
  ).toEqual([]);
  expect(upwards(imports({ "src/plan/a.ts": ["src/launch/b.ts"] }))).toEqual([
    "src/plan/a.ts imports src/launch/b.ts, of launch, which is not below plan",
  ]);
  expect(upwards(imports({ "src/launch/a.ts": ["src/encoders/b.ts"] }))).toHaveLength(1);
  expect(upwards(imports({ "src/server/a.ts": ["test/b.ts"] }))[0]).toContain(
    "no room of the house",
  );
  expect(upwards(imports({ "src/cellar/a.ts": ["ffi/b.ts"] }))[0]).toContain("no room cellar");
});

test("imports are found in each form, and lead to files", async () => {
  const found = importsOf(join(import.meta.dir, ".."), ["src", "ffi"]);
  const all = [...found.values()].flat();
  expect(all.length).toBeGreaterThan(500);
  expect(found.get("src/subcommands.ts")).toContain("src/cli/serve.ts");
  for (const path of new Set(all))
    expect(await Bun.file(join(import.meta.dir, "..", path)).exists()).toBe(true);
});
