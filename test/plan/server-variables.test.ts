/** What commands do not inherit, in the words of `explain`. */
import { expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import { asRoot, compiled, planOf } from "./compiling.ts";

const env = { PATH: "/bin", PWD: "/", LD_PRELOAD: "x", PYTHONPATH: "y", PYTHONUTF8: "1" };
const told = (sandbox: object) =>
  explain(planOf(compiled({ acls: { user: "nobody" }, ...sandbox }, { ...asRoot, env }))).filter(
    (line) => line.includes("not handed on"),
  );

test("explain names what is kept back, but for what nobody misses", () => {
  expect(told({})).toEqual([
    "variables of the server that are not handed on: LD_PRELOAD, PYTHONPATH; envs can name them",
  ]);
  // What the config names is there.
  expect(told({ envs: [{ name: "PYTHONPATH" }, { name: "LD_PRELOAD", value: "z" }] })).toEqual([]);
  expect(told({ envs: { name: "*", mode: "unset" } })).toEqual([]);
});
