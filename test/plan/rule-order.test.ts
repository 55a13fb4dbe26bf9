/** Conditions on arguments of which several hold at once. */
import { describe, expect, test } from "bun:test";
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
  test("those of which only one can hold take no more room", () => {
    const made = (other: string) =>
      filterOf({
        default: "ERRNO(EPERM)",
        rules: [
          rule("execve", ALLOW),
          inet(ALLOW),
          rule("socket", other, { index: 0, op: "eq", value: 10 }),
        ],
      }).length;
    // One more answer.
    expect(made("LOG") - made(ALLOW)).toBe(8);
  });
});
