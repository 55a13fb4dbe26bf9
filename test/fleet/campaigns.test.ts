/** Calls to one board, to a group, and in stages, over a real broker: to whom they go, and what is told of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Reply } from "../../src/api/reply.ts";
import { success } from "../../src/api/reply.ts";
import {
  type Campaign,
  carryOut,
  parseTarget,
  parseTime,
  timesOf,
} from "../../src/fleet/campaign.ts";
import { Operator } from "../../src/fleet/operator.ts";
import type { Outcome } from "../../src/fleet/outcome.ts";
import { parseAmount, parseStages } from "../../src/fleet/stages.ts";
import { until } from "../served.ts";
import { type Broker, hasBroker, startBroker } from "./broker.ts";
import { broken, fleetFor, invocation, simulated } from "./simulated.ts";

test("targets", () => {
  expect(["b1", "@dock", "@", "", "a/b", "@a/b"].map(parseTarget)).toEqual([
    { kind: "board", board: "b1" },
    { kind: "group", group: "dock" },
    ...[undefined, undefined, undefined, undefined],
  ]);
});

test("times", () => {
  expect(["1ms", "30s", "5m", "1h", "7d"].map(parseTime)).toEqual([
    ...[1, 30_000, 300_000, 3_600_000, 604_800_000],
  ]);
  for (const wrong of ["0s", "8d", "604800001ms", "5", "s", "1.5s", "-1s", " 1s", "1234567890ms"])
    expect([wrong, parseTime(wrong)]).toEqual([wrong, undefined]);
  expect(parseTime("604800000ms")).toBe(604_800_000);
});

test("how long a call may wait: for the first answer, for its end, or with the broker", () => {
  expect(timesOf({ timeout: undefined })).toEqual({
    ...{ expiry: 60, timeout: undefined, patience: 62_000 },
  });
  expect(timesOf({ timeout: 1500 })).toEqual({ expiry: 2, timeout: 1500, patience: 3500 });
  expect(timesOf({ timeout: 1 })).toEqual({ expiry: 1, timeout: 1, patience: 2001 });
  expect(timesOf({ timeout: 90_000 })).toMatchObject({ expiry: 60, patience: 62_000 });
  expect(timesOf({ timeout: 5, queue: 3_600_000 })).toMatchObject({
    ...{ expiry: 3600, timeout: 5, patience: 3_602_000 },
  });
});

describe.skipIf(!hasBroker)("with a broker", () => {
  let broker: Broker;
  const called: string[] = [];
  /** What a board answers, where that is not `ok`. */
  const answers = new Map<string, Reply>();
  const board = (name: string, groups: readonly string[], expiry = 60) =>
    simulated(
      broker,
      name,
      (one) => {
        called.push(one);
        return answers.get(one) ?? success("ok");
      },
      { groups, expiry },
    );
  let all: ReturnType<typeof board>[] = [];
  let operator: Operator;
  beforeAll(async () => {
    broker = await startBroker({ tls: false });
    all = [
      board("a1", ["dock"]),
      // It lets no call wait for longer.
      board("a2", ["dock"], 5),
      board("a3", ["dock"]),
      board("a4", ["dock"]),
      board("gone", ["dock"]),
      board("alone", ["quay"]),
    ];
    for (const one of all) one.start();
    await until("all are there", () => all.every((one) => one.isJoined));
    await all[4]?.close();
    operator = new Operator({ fleet: fleetFor(broker), operator: "op1", tell: () => {} });
    await operator.connect();
    await operator.look();
    expect(operator.presence.isOnline("gone")).toBe(false);
  });
  afterAll(async () => {
    await operator?.close();
    await Promise.all(all.map((one) => one.close()));
    await broker?.[Symbol.asyncDispose]();
  });

  /** What was told after each stage. */
  const progress: string[] = [];

  async function carried(
    target: string,
    more: Partial<Campaign> = {},
    hearing: (outcome: Outcome, abort: AbortController) => void = () => {},
    abort = new AbortController(),
    /** Once it was looked who is there, and called. */
    meanwhile = () => {},
  ) {
    called.length = 0;
    const outcomes: string[] = [];
    progress.length = 0;
    const carrying = async () => {
      const id = crypto.randomUUID();
      await operator.expect(id);
      const campaign = {
        ...{ target: parseTarget(target) ?? { kind: "board", board: "" }, isQueued: false },
        ...{ stages: undefined, mostFailed: parseAmount("0"), invocation: invocation() },
        ...more,
      } as Campaign;
      const carried = carryOut(
        operator,
        campaign,
        id,
        {
          event: () => {},
          stage: ({ called, boards, failed }) =>
            void progress.push(`${called} of ${boards}, ${failed} failed`),
          outcome: (outcome) => {
            outcomes.push(`${outcome.board} ${outcome.result}`);
            hearing(outcome, abort);
          },
        },
        abort.signal,
      );
      meanwhile();
      return carried;
    };
    const said = await carrying();
    return { said, outcomes: outcomes.toSorted(), called: called.toSorted() };
  }
  const OK = ["a1 ok", "a2 ok", "a3 ok", "a4 ok"];

  test("one board, one that is away, and one that nobody has seen", async () => {
    expect(await carried("a1")).toEqual({ said: undefined, outcomes: ["a1 ok"], called: ["a1"] });
    expect(progress).toEqual([]);
    expect(await carried("gone")).toEqual({
      ...{ said: undefined, outcomes: ["gone offline"], called: [] },
    });
    expect(await carried("never")).toEqual({
      ...{ outcomes: [], called: [] },
      said: "no board never was ever seen: see spawnbox fleet ls",
    });
  });
  test("a group: who is away is told at once, and no call waits for longer than each board lets it", async () => {
    expect(await carried("@dock")).toEqual({
      ...{ said: undefined, outcomes: [...OK, "gone offline"], called: ["a1", "a2", "a3", "a4"] },
    });
    expect(await carried("@none")).toEqual({
      ...{ said: "no board of this group was ever seen", outcomes: [], called: [] },
    });
    expect((await carried("@quay")).outcomes).toEqual(["alone ok"]);
  });
  test("a board that is away may be waited for, by the broker", async () => {
    const back = board("gone", ["dock"]);
    try {
      const { said, outcomes } = await carried(
        "gone",
        { isQueued: true },
        undefined,
        undefined,
        () => back.start(),
      );
      expect([said, outcomes]).toEqual([undefined, ["gone ok"]]);
      expect(called).toContain("gone");
    } finally {
      await back.close();
      await until("it is away again", () => !operator.presence.isOnline("gone"));
    }
    // Also one that nobody has seen.
    expect(
      (await carried("never", { isQueued: true, invocation: invocation({ patience: 1 }) })).said,
    ).toBeUndefined();
    // Its own expiry holds then, which this board does not let wait.
    expect((await carried("a2", { isQueued: true })).outcomes).toEqual(["a2 refused"]);
  });
  test("in stages, until too many have failed", async () => {
    const stages = parseStages("1,50%,100%");
    expect(await carried("@dock", { stages })).toMatchObject({
      ...{ said: undefined, outcomes: [...OK, "gone offline"] },
    });
    expect(progress).toEqual(["1 of 4, 0 failed", "2 of 4, 0 failed", "4 of 4, 0 failed"]);
    answers.set("a2", broken());
    try {
      const stopped = await carried("@dock", { stages });
      expect(stopped).toEqual({
        said: "stopped after 2 of 4 boards: 1 failed",
        outcomes: ["a1 ok", "a2 refused", "gone offline"],
        called: ["a1", "a2"],
      });
      // After the last stage there is nothing to stop.
      expect((await carried("@dock", { stages: parseStages("100%") })).said).toBeUndefined();
      expect(progress).toEqual(["4 of 4, 1 failed"]);
      const mostFailed = parseAmount("50%");
      expect((await carried("@dock", { stages, mostFailed })).called).toEqual([
        ...["a1", "a2", "a3", "a4"],
      ]);
      // Where it is all at once, nothing is stopped.
      expect((await carried("@dock")).said).toBeUndefined();
    } finally {
      answers.clear();
    }
  });
  test("stopped before it begins, or between two stages", async () => {
    const before = new AbortController();
    before.abort();
    expect(await carried("@dock", {}, () => {}, before)).toEqual({
      ...{ said: "no board was called", outcomes: [], called: [] },
    });
    const stages = parseStages("1,50%,100%");
    const meanwhile = await carried("@dock", { stages }, ({ result }, abort) => {
      if (result === "ok") abort.abort();
    });
    expect(meanwhile).toEqual({
      said: "3 boards were not called",
      outcomes: ["a1 ok", "gone offline"],
      called: ["a1"],
    });
    const most = await carried("@dock", { stages: parseStages("3,100%") }, ({ result }, abort) => {
      if (result === "ok") abort.abort();
    });
    expect(most.said).toBe("1 board was not called");
    const one = await carried("a1", {}, (_, abort) => abort.abort());
    expect(one.said).toBeUndefined();
  });
});
