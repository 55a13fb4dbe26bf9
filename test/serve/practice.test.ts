/** Calls that are practised: each of them is one that succeeds, and nothing of them is left. */
import { expect, test } from "bun:test";
import { everybody } from "../../src/encoders/hold.ts";
import { practise } from "../../src/serve/practice.ts";
import { compiled, planOf } from "../plan/compiling.ts";

test("calls are practised as they are made, and leave nothing", async () => {
  const plan = planOf(compiled({ acls: { user: "nobody" } }));
  const before = everybody.free;
  expect(await practise(plan, 1)).toBe(1);
  expect(await practise(plan)).toBe(100);
  // What suites before this one have left may go meanwhile.
  expect(everybody.free).toBeGreaterThanOrEqual(before);
});
