/** What each task and refusal adds to the counts. */
import { describe, expect, test } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import type { Refusal } from "../../src/api/witness.ts";
import { BOUNDS, CAUSES, Counts } from "../../src/metrics/counts.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { apiOf, shell } from "../api/harness.ts";

const record = (more: Partial<TaskRecord> = {}) =>
  ({ printed: { bytes: 0, lines: 0, events: 0 }, ...more }) as TaskRecord;
const plan = (more: Partial<Plan> = {}) => shell("v", "", more);
const pooled = plan({ pool: { size: 1, ops: new Uint8Array(0) } });

function counting() {
  const counts = new Counts();
  counts.serve([apiOf([plan()])]);
  const run = (of: Plan, more: Partial<TaskRecord>) => {
    const one = record(more);
    counts.mayStart(one, of);
    counts.started(one);
    return one;
  };
  return { counts, run, sandbox: () => counts.sandboxes.get("p/sb") };
}

describe("launches", () => {
  test.each([
    ["cold", plan(), { mode: "cold" as const }, { cold: 1, warm: 0 }, 0],
    ["of which nobody has told how", plan(), {}, { cold: 1, warm: 0 }, 0],
    ["warm", pooled, { mode: "pool" as const }, { cold: 0, warm: 1 }, 0],
    [
      "cold, though there is a pool: a miss",
      pooled,
      { mode: "cold" as const },
      { cold: 1, warm: 0 },
      1,
    ],
  ])("%s", (_, of, more, launches, misses) => {
    const { counts, run, sandbox } = counting();
    run(of, more);
    expect(sandbox()).toEqual({ api: "p", sandbox: "sb", launches, misses });
    const sum = (mode: "cold" | "warm") => counts.seconds[mode].counts.reduce((a, b) => a + b, 0);
    expect({ cold: sum("cold"), warm: sum("warm") }).toEqual(launches);
    expect(counts.running).toBe(1);
  });

  test("of a sandbox that a reload took away are counted nowhere, and of one that stays go on", () => {
    const { counts, run, sandbox } = counting();
    run(plan(), {});
    run(plan({ sandbox: "gone" }), {});
    counts.serve([apiOf([plan()])]);
    expect([...counts.sandboxes.keys()]).toEqual(["p/sb"]);
    expect(sandbox()?.launches).toEqual({ cold: 1, warm: 0 });
  });

  test("that nobody has begun count as running alone", () => {
    const { counts, sandbox } = counting();
    counts.started(record());
    expect([counts.running, sandbox()?.launches]).toEqual([1, { cold: 0, warm: 0 }]);
  });
});

test("a launch takes the time from its call until it has started, in seconds", () => {
  // The first time much else takes time, too.
  for (let round = 0; round < 4; round++) {
    const { counts } = counting();
    const one = record({ mode: "cold" });
    const outer = performance.now();
    counts.mayStart(one, plan());
    const inner = performance.now();
    let now = inner;
    while (now < inner + 50) now = performance.now();
    counts.started(one);
    const most = performance.now() - outer;
    expect(counts.seconds.cold.sum * 1000).toBeWithin(now - inner - 1e-6, most + 1e-6);
  }
});

test("durations are told by these bounds, which scrapers compare over the years", () => {
  expect(BOUNDS).toEqual([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]);
});

test("durations lie below the first bound that is not less, and beyond all in a place of their own", () => {
  const { seconds } = new Counts();
  for (const value of [0.001, 0.0011, 10, 10.5]) seconds.cold.add(value);
  expect(seconds.cold.counts).toEqual([1, 1, ...Array(10).fill(0), 1, 1]);
  expect(seconds.cold.counts).toHaveLength(BOUNDS.length + 1);
  expect(seconds.cold.sum).toBeCloseTo(20.5021);
  expect(seconds.warm.sum).toBe(0);
});

test("what is printed counts while a task runs, and afterwards once", () => {
  const { counts, run } = counting();
  const one = run(plan(), { printed: { bytes: 5, lines: 1, events: 2 } });
  run(plan(), { printed: { bytes: 7, lines: 1, events: 3 } });
  expect([counts.bytes, counts.events, counts.running]).toEqual([12, 5, 2]);
  counts.ended(one);
  expect([counts.bytes, counts.events, counts.running]).toEqual([12, 5, 1]);
});

test.each([
  [{ exit: 0 }, "success"],
  [{ exit: 3 }, "failure"],
  [{ signal: "SIGSEGV" }, "signal"],
  [{ signal: "SIGKILL", cause: "timeout" }, "timeout"],
  [{ exit: 0, cause: "stopped" }, "stopped"],
  [undefined, "failure"],
])("an end of %j is a %s", (status, cause) => {
  const { counts, run } = counting();
  counts.ended(run(plan(), { status } as Partial<TaskRecord>));
  const expected = Object.fromEntries(CAUSES.map((one) => [one, one === cause ? 1 : 0]));
  expect(counts.outcomes).toEqual(expected as typeof counts.outcomes);
});

test("refusals by status; those of plugins, and what no object is to have, together", () => {
  const counts = new Counts();
  for (const status of ["busy", "busy", "insufficient-scope", "of-a-plugin", "toString"])
    counts.refused({ status } as Refusal);
  expect([...counts.refusals]).toEqual([
    ["busy", 2],
    ["insufficient-scope", 1],
    ["other", 2],
  ]);
});
