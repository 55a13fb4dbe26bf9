/** The calls of an operator: what comes of each, and when nobody waits any more, at times that the test chooses. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { success } from "../../src/api/reply.ts";
import type { Flow } from "../../src/fleet/call.ts";
import { Calls, type CallsOptions, type Invocation } from "../../src/fleet/calls.ts";
import { type Clock, clock } from "./clock.ts";
import { invocation } from "./simulated.ts";

let time: Clock;
beforeEach(() => void (time = clock()));
afterEach(() => time[Symbol.dispose]());

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const OK = JSON.stringify(success("x"));
const DENIED = JSON.stringify({ request: { status: "denied" } });

function calling(more: Partial<Invocation> = {}, options: Partial<CallsOptions> = {}) {
  const said: Flow[] = [];
  const at = { status: "online" as "online" | "offline" | undefined, isConnected: true };
  const calls = new Calls({
    say: (board, id, flow) => {
      expect([board, id]).toEqual(["b", "1"]);
      said.push(flow);
    },
    status: () => at.status,
    isConnected: () => at.isConnected,
    ...options,
  });
  let outcome: unknown;
  void calls
    .add("b", "1", invocation({ patience: 10_000, ...more }))
    .then((found) => (outcome = found));
  const answer = (kind: string, seq: number | string, text = OK, user = {}) =>
    calls.answer("b", "1", Buffer.from(text), { kind, seq: `${seq}`, ...user });
  const found = async () => {
    await turn();
    return outcome;
  };
  return { calls, said, at, answer, found };
}

describe("an answer", () => {
  test("is the end of a call, and tells what came of it", async () => {
    const ends = async (...kinds: readonly (readonly [kind: string, text?: string])[]) => {
      const { calls, answer, found, said } = calling();
      kinds.forEach(([kind, text], seq) => answer(kind, seq, text));
      const { result, info, reply } = (await found()) as Record<string, unknown>;
      expect([calls.of().length, reply !== undefined]).toEqual([0, info === undefined]);
      return [result, info, said];
    };
    expect(await ends(["reply"])).toEqual(["ok", undefined, []]);
    expect(await ends(["reply", DENIED])).toEqual(["refused", undefined, []]);
    // Of many the last is confirmed: the board need not keep it.
    expect(await ends(["accepted"], ["reply", DENIED])).toEqual([
      ...["error", undefined, [{ seq: 1 }]],
    ]);
    expect(await ends(["event", "{}"], ["reply", DENIED])).toEqual([
      ...["error", undefined, [{ seq: 1 }]],
    ]);
    expect(await ends(["reply", "{"])).toEqual(["error", "its answer cannot be read", []]);
  });

  test("that stands alone is taken whatever came before", async () => {
    const alone = async (user: object, text = DENIED, ...before: string[]) => {
      const { answer, found } = calling();
      before.forEach((kind, seq) => answer(kind, seq));
      await turn();
      answer("reply", before.length + 7, text, user);
      return found();
    };
    const reply = JSON.parse(DENIED) as object;
    expect(await alone({ refused: "true" })).toEqual({ board: "b", result: "refused", reply });
    expect(await alone({ refused: "true" }, "{")).toEqual({ board: "b", result: "refused" });
    expect(await alone({ refused: "true" }, DENIED, "accepted")).toMatchObject({ result: "error" });
    expect(await alone({ lost: "true" })).toEqual({ board: "b", result: "error", reply });
    const info = "part of what it has printed is lost";
    expect(await alone({ late: "true" })).toEqual({ board: "b", result: "error", info, reply });
    expect(await alone({ late: "true" }, "{")).toEqual({ board: "b", result: "error", info });
    for (const user of [{ refused: "yes" }, { lost: "1" }, { late: "no" }])
      expect(await alone(user)).toBeUndefined();
    // Nothing is missing where it is the next one.
    const { answer, found } = calling();
    answer("accepted", 0);
    await turn();
    answer("reply", 1, OK, { late: "true" });
    expect(await found()).toMatchObject({ result: "ok" });
  });

  test("that is none, or to no call, changes nothing", async () => {
    const { calls, answer, found, said } = calling();
    for (const seq of [-1, "x", 0.5, 2 ** 53, "Infinity"])
      for (const alone of [{}, { refused: "true" }, { lost: "true" }, { late: "true" }])
        answer("reply", seq, OK, alone);
    answer("other", 0);
    calls.answer("b", "2", Buffer.from(OK), { kind: "reply", seq: "0" });
    calls.answer("c", "1", Buffer.from(OK), { kind: "reply", seq: "0" });
    calls.settle("1", { board: "c", result: "ok" });
    expect([await found(), calls.of("1").length, calls.of("2").length]).toEqual([undefined, 1, 0]);
    expect(said).toEqual([]);
    calls.settle("1", { board: "b", result: "offline" });
    calls.settle("1", { board: "b", result: "ok" });
    expect(await found()).toEqual({ board: "b", result: "offline" });
  });

  test("has a line for each event, which holds the next where it is waited for", async () => {
    const events: unknown[] = [];
    const gate = Promise.withResolvers<void>();
    const { answer, found } = calling({
      event: (board, event) => {
        events.push([board, event]);
        return events.length === 1 ? gate.promise : undefined;
      },
    });
    answer("event", 0, '{"a":1}\n[]\n{\n{"b":2}');
    answer("reply", 1);
    expect([await found(), events]).toEqual([undefined, [["b", { a: 1 }]]]);
    gate.resolve();
    expect(await found()).toMatchObject({ result: "ok" });
    expect(events.slice(1)).toEqual([["b", { b: 2 }]]);
  });

  test("is confirmed at half of the window, and what is missing asked for on a new connection", async () => {
    const { calls, answer, said } = calling();
    calls.goOn();
    expect(said).toEqual([]);
    for (let seq = 0; seq < 31; seq++) answer("event", seq, "{}");
    for (let turns = 0; turns < 50; turns++) await turn();
    expect(said).toEqual([]);
    answer("event", 31, "{}");
    await turn();
    expect(said).toEqual([{ seq: 31 }]);
    calls.goOn();
    expect(said[1]).toEqual({ seq: 31, from: 32 });
  });

  test("in parts is as long as it may be", async () => {
    const { answer, found } = calling({}, { whole: OK.length });
    answer("part", 0, OK.slice(0, 9));
    answer("reply", 1, OK.slice(9));
    expect(await found()).toMatchObject({ result: "ok" });
    const other = calling({}, { whole: OK.length - 1 });
    other.answer("part", 0, OK.slice(0, 9));
    other.answer("reply", 1, OK.slice(9));
    expect(await other.found()).toMatchObject({ info: "its answer cannot be read" });
  });
});

describe("nobody waits", () => {
  const look = async ({ calls, found }: ReturnType<typeof calling>, ms: number) => {
    time.pass(ms);
    calls.look();
    return found();
  };

  test("longer for a first answer than there is patience", async () => {
    for (const [status, result] of [
      ["online", "timeout"],
      [undefined, "timeout"],
      ["offline", "offline"],
    ] as const) {
      const one = calling();
      one.at.status = status;
      expect(await look(one, 10_000)).toBeUndefined();
      expect(await look(one, 1)).toEqual({ board: "b", result });
    }
    // Something has come, though not all of it.
    const heard = calling();
    heard.answer("part", 0);
    await turn();
    expect(await look(heard, 3_600_000)).toBeUndefined();
    const accepted = calling();
    accepted.answer("accepted", 0);
    expect(await look(accepted, 3_600_000)).toBeUndefined();
  });

  test("longer than the call may take, and a little for the board to say so", async () => {
    const one = calling({ timeout: 5000 });
    one.answer("accepted", 0);
    await turn();
    one.at.status = "offline";
    expect(await look(one, 8000)).toBeUndefined();
    expect(await look(one, 1)).toEqual({ board: "b", result: "timeout" });
    // It is not told as one that was offline: it was called.
    const other = calling({ timeout: 90_000 });
    other.answer("accepted", 0);
    other.at.status = "offline";
    await look(other, 0);
    expect(await look(other, 80_000)).toBeUndefined();
  });

  test("more than a minute for a board that went away in its course", async () => {
    const GONE = { board: "b", result: "error", info: "it went offline while it was at it" };
    for (const [away, limit] of [
      [undefined, 60_000],
      [500, 500],
    ] as const) {
      const one = calling({}, { away });
      one.answer("accepted", 0);
      await turn();
      await look(one, 100_000);
      one.at.status = "offline";
      expect(await look(one, 5)).toBeUndefined();
      expect(await look(one, limit)).toBeUndefined();
      // It comes back, and goes again.
      one.at.status = "online";
      expect(await look(one, 1)).toBeUndefined();
      one.at.status = "offline";
      expect(await look(one, 1)).toBeUndefined();
      expect(await look(one, limit)).toBeUndefined();
      expect(await look(one, 1)).toEqual(GONE);
    }
  });

  test("without a word: a board that says nothing for five seconds is asked", async () => {
    const one = calling({ patience: Infinity });
    const asked = async (ms: number) => {
      await look(one, ms);
      return one.said.splice(0);
    };
    expect([await asked(5000), await asked(1), await asked(4999)]).toEqual([[], [{ from: 0 }], []]);
    one.answer("other", 0);
    expect([await asked(1), await asked(4999), await asked(1)]).toEqual([[], [], [{ from: 0 }]]);
    one.answer("accepted", 0);
    await turn();
    for (const [status, isConnected] of [
      ["offline", true],
      [undefined, true],
      ["online", false],
    ] as const) {
      Object.assign(one.at, { status, isConnected });
      expect(await asked(6000)).toEqual([]);
    }
    Object.assign(one.at, { status: "online", isConnected: true });
    expect(await asked(0)).toEqual([{ seq: 0, from: 1 }]);
  });
});
