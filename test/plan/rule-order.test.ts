/** Conditions on arguments of which several hold at once. */
import { describe, expect, test } from "bun:test";
import { decode } from "../../src/plan/bpf.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { ALLOW, allow, answers, eperm, exdev, filterOf, rule } from "./filtering.ts";

describe("conditions that hold at once", () => {
  const inet = (action: string) => rule("socket", action, { index: 0, op: "eq", value: 2 });
  const raw = (action: string) => rule("socket", action, { index: 1, op: "eq", value: 3 });
  const many = (action: string) => rule("write", action, { index: 2, op: "gt", value: 1000 });
  const kernels = (action: string) => rule("write", action, { index: 1, op: "ge", value: 1e12 });
  const ACTIONS = [ALLOW, "ERRNO(EPERM)", "ERRNO(EXDEV)", "LOG"];
  const both = ACTIONS.flatMap((one) => ACTIONS.map((other) => [one, other] as const));

  test.each(both)(
    "[protection] %s, then %s: the last one holds, also where it is the default",
    (one, other) => {
      const before = [[], [rule("socket", "TRAP"), rule("write", "TRAP")]];
      for (const always of before) {
        for (const rules of [
          [inet(one), raw(other)],
          [raw(one), inet(other)],
        ]) {
          const expected = parseAction(other);
          expect(answers([...always, ...rules], "socket", 2n, 3n)).toBe(expected);
        }
        for (const rules of [
          [many(one), kernels(other)],
          [kernels(one), many(other)],
        ])
          expect(answers([...always, ...rules], "write", 1n, 2n ** 45n, 5000n)).toBe(
            parseAction(other),
          );
      }
    },
  );
  test("of three, each holds where no later one does", () => {
    const fd = rule("write", "LOG", { index: 0, op: "lt", value: 3 });
    const rules = [many(ALLOW), kernels("ERRNO(EXDEV)"), fd];
    const low = 5n;
    expect(answers(rules, "write", 1n, 2n ** 45n, 5000n)).toBe(parseAction("LOG"));
    expect(answers(rules, "write", 9n, 2n ** 45n, 5000n)).toBe(exdev);
    expect(answers(rules, "write", 9n, low, 5000n)).toBe(allow);
    expect(answers(rules, "write", 9n, low, 5n)).toBe(eperm);
    // The first again, behind them.
    const again = [...rules, rule("write", ALLOW, { index: 2, op: "gt", value: 2000 })];
    expect(answers(again, "write", 1n, 2n ** 45n, 5000n)).toBe(allow);
    expect(answers(again, "write", 1n, 2n ** 45n, 1500n)).toBe(parseAction("LOG"));
  });
  test("whatever other calls have, and however many bits of an argument count", () => {
    const low = rule("write", ALLOW, { index: 0, op: "lt", value: 3 });
    const rules = [inet(ALLOW), raw("ERRNO(EXDEV)"), low, many("LOG")];
    expect(answers(rules, "write", 1n, 0n, 5000n)).toBe(parseAction("LOG"));
    expect(answers(rules, "write", 1n, 0n, 5n)).toBe(allow);
    expect(answers(rules, "socket", 2n, 3n)).toBe(exdev);
  });
  /** Each first loads the ABI of the call. */
  const programs = (...rules: object[]) =>
    decode(filterOf({ default: "KILL_PROCESS", rules: [rule("execve", ALLOW), ...rules] })).filter(
      ({ code, k }) => code === 0x20 && k === 4,
    ).length;
  test("those of which only one can hold, or that say the same, share a program", () => {
    const is = (index: number, value: number) => ({ index, op: "eq", value });
    const masked = (value: number, mask: number) => ({ index: 1, op: "masked_eq", value, mask });
    expect(programs()).toBe(1);
    expect(programs(inet(ALLOW), many("LOG"))).toBe(1);
    expect(programs(inet(ALLOW), raw(ALLOW))).toBe(1);
    expect(programs(inet(ALLOW), rule("socket", "LOG", is(0, 10)))).toBe(1);
    const two = (value: number, action: string) => rule("mount", action, is(0, value), is(1, 7));
    expect(programs(two(1, ALLOW), two(2, "LOG"))).toBe(1);
    const bits = (value: number, mask: number, action: string) =>
      rule("mount", action, masked(value, mask));
    expect(programs(bits(1, 3, ALLOW), bits(2, 3, "LOG"))).toBe(1);
    // And these may meet.
    expect(programs(bits(1, 1, ALLOW), bits(2, 3, "LOG"))).toBe(3);
    expect(programs(inet(ALLOW), raw("LOG"))).toBe(3);
    expect(programs(many(ALLOW), rule("write", "LOG", { index: 2, op: "gt", value: 9 }))).toBe(3);
    // What holds otherwise is no default.
    expect(programs(rule("write", ALLOW), many("LOG"))).toBe(2);
  });
});
