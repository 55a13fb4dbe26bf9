/** `history`: what is kept of the output of tasks, from the outermost place to the command. */
import { expect, test } from "bun:test";
import type { Config } from "../../src/config/schema.ts";
import { compileHistory } from "../../src/plan/kept-output.ts";
import { Report } from "../../src/plan/report.ts";

type History = Config["history"];

function kept(places: History[], own?: History, isSecret = false) {
  const report = new Report("f");
  const plan = compileHistory(places, own, isSecret, "at.history", report);
  return [plan, report.problems.map(({ path, message }) => `${path}: ${message}`)];
}

test.each<[string, History[], History, boolean, object]>([
  ["nothing said", [], undefined, false, {}],
  ["of the command", [], { ring: "1K", output: true }, false, { ring: 1024, keepsOutput: true }],
  [
    "of a place around it",
    [{ ring: "7", output: true }],
    {},
    false,
    { ring: 7, keepsOutput: true },
  ],
  ["of the innermost", [{ ring: "7" }, { ring: "8" }], undefined, false, { ring: 8 }],
  ["key by key", [{ ring: "7", output: true }], { output: false }, false, { ring: 7 }],
  ["none", [], { ring: "0" }, false, { ring: 0 }],
  ["as much as may be", [], { ring: "64M" }, false, { ring: 64 << 20 }],
  ["of a secret not from around it", [{ output: true, ring: "7" }], {}, true, { ring: 7 }],
  ["of a secret where it says so itself", [], { output: true }, true, { keepsOutput: true }],
])("%s", (_, places, own, isSecret, expected) => {
  expect(kept(places, own, isSecret)).toEqual([expected, []]);
});

test("more than memory is for is refused", () => {
  for (const ring of ["67108865", "65M", "1G"])
    expect(kept([], { ring })[1]).toEqual([
      `at.history.ring: found ${ring}: at most 64M, since it is memory of the server`,
    ]);
});
