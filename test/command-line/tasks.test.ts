/** Tasks of a running server, as they are named and shown on a command line. */
import { describe, expect, test } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import type { Caller } from "../../src/command-line/call-session.ts";
import { outcome, parseTask, tableOf, taskOf, tasksOf } from "../../src/command-line/tasks.ts";
import { UsageError } from "../../src/command-line/usage.ts";
import { parseExact } from "../../src/numbers.ts";

const at = (text: string): number => new Date(text).getTime();
const NOW = at("2030-05-06T12:00:00");
const task = (more: object = {}) =>
  ({
    ...{ id: "i", api: "a", verb: "v", pid: 7, state: "ended", asked: at("2030-05-06T01:02:03") },
    ...{ caller: { via: "rest" }, status: { exit: 0, usage: { wall: 1 } }, ...more },
  }) as never as TaskRecord;
/** A line's cells. */
const row = (more: object) => tableOf([task(more)], NOW)[1]?.split(/ {2,}/);

test("a table, its columns as wide as they have to be", () => {
  expect(tableOf([], NOW)).toEqual(["ID  TASK  PID  STATE  BEGUN  TOOK  CALLER  HOW IT ENDED"]);
  expect(tableOf([task(), task({ id: "longer", verb: "w", pid: undefined })], NOW)).toEqual([
    "ID      TASK  PID  STATE  BEGUN     TOOK  CALLER  HOW IT ENDED",
    "i       a/v   7    ended  01:02:03  1 ms  rest    exit 0",
    "longer  a/w   -    ended  01:02:03  1 ms  rest    never began",
  ]);
  // As wide as a terminal shows them.
  expect(tableOf([task({ verb: "日本" }), task({ verb: "e\u0301🚗" }), task()], NOW)).toEqual([
    "ID  TASK    PID  STATE  BEGUN     TOOK  CALLER  HOW IT ENDED",
    "i   a/日本  7    ended  01:02:03  1 ms  rest    exit 0",
    "i   a/e\u0301🚗   7    ended  01:02:03  1 ms  rest    exit 0",
    "i   a/v     7    ended  01:02:03  1 ms  rest    exit 0",
  ]);
});

test.each<[string, object, number, string]>([
  ["it began when it was started", { started: at("2030-05-06T02:03:04") }, 4, "02:03:04"],
  ["on another day", { asked: at("2029-11-06T01:02:03") }, 4, "2029-11-06 01:02:03"],
  ["it took", { status: { usage: { wall: 999.4 } } }, 5, "999 ms"],
  ["nothing", { status: { usage: { wall: -5 } } }, 5, "0 ms"],
  ["a second", { status: { usage: { wall: 1000 } } }, 5, "1.0 s"],
  ["nearly a minute", { status: { usage: { wall: 59_940 } } }, 5, "59.9 s"],
  ["a minute", { status: { usage: { wall: 60_000 } } }, 5, "1 min 0 s"],
  ["nearly an hour", { status: { usage: { wall: 3_599_900 } } }, 5, "59 min 59 s"],
  ["an hour", { status: { usage: { wall: 3_600_000 } } }, 5, "1 h 0 min"],
  ["hours", { status: { usage: { wall: 7_380_000 } } }, 5, "2 h 3 min"],
  // By no clock that is set: neither that of the board, nor this one.
  ["so far", { state: "running", started: 60_000, wall: 2000, status: undefined }, 5, "2.0 s"],
  ["nobody knows", { state: "waiting", status: undefined }, 5, "-"],
  ["who", { caller: { info: "ann", uid: 5, via: "rest" } }, 6, "ann"],
  ["a user", { caller: { uid: 0, address: "h", via: "rest" } }, 6, "uid 0"],
  ["from somewhere", { caller: { address: "h", operator: "o", via: "rest" } }, 6, "h"],
  ["an operator", { caller: { operator: "o", via: "mqtt" } }, 6, "o"],
  ["a name that is none", { caller: { info: "a\nb", via: "rest" } }, 6, "a\\u000ab"],
  ["a signal", { status: { signal: "Killed", cause: "timeout" } }, 7, "signal Killed, timeout"],
  ["its server was lost", { status: undefined }, 7, "lost: its server ended"],
])("%s", (_what, more, column, text) => {
  expect(row(more)?.[column]).toBe(text);
});

test("how one ends that runs is not told", () => {
  expect(row({ state: "running" })).toHaveLength(7);
  expect([outcome({ exit: 3 } as never), outcome({ exit: 3, cause: "stopped" } as never)]).toEqual([
    ...["exit 3", "exit 3, stopped"],
  ]);
  expect(outcome({} as never)).toBe("exit ?");
});

describe("one is named", () => {
  test.each([
    ["1", { pid: 1 }],
    ["9999999", { pid: 9_999_999 }],
    ["0123456789abcde", { id: "0123456789abcde" }],
  ])("%s", (text, named) => {
    expect(parseTask([text])).toEqual(named);
  });
  test.each([
    [[], "say which task: its ID, as spawnbox ps shows it"],
    [["1", "2"], "name one task"],
    [["12345678"], '"12345678" is neither an ID, as spawnbox ps shows it, nor a pid'],
    [["x"], '"x" is neither an ID, as spawnbox ps shows it, nor a pid'],
  ])("%p is none", (words, why) => {
    expect(() => parseTask(words)).toThrow(new UsageError(why));
  });
});

describe("asked for", () => {
  const asked: unknown[] = [];
  const client = (request: object, response?: unknown): Caller => ({
    call: async (method, args) => {
      asked.push([method, args]);
      return { jtype: "afb-reply", request, response } as never;
    },
    on: () => () => {},
  });
  const ok = { status: "success", code: 0 };
  test("by the server, in numbers that one can reckon with", async () => {
    const big = parseExact('[{"pid":9007199254740993}]');
    expect(await tasksOf(client(ok, big), { state: "ended" })).toEqual([
      { pid: 9007199254740992 } as never,
    ]);
    expect(asked.splice(0)).toEqual([["monitor/tasks", { state: "ended" }]]);
    expect(await tasksOf(client(ok), {})).toEqual([]);
  });
  test("the one that is meant, or none", async () => {
    asked.length = 0;
    expect(await taskOf(client(ok, [{ id: "a" }, { id: "b" }]), { pid: 5 })).toEqual({
      id: "a",
    } as never);
    expect(asked).toEqual([["monitor/tasks", { pid: 5, limit: 1 }]]);
    const none = (named: object) => taskOf(client(ok, []), named).catch((error: unknown) => error);
    const shows = "that you may follow: spawnbox ps --all shows those that are known";
    expect(await none({ pid: 5 })).toMatchObject({
      ...{ status: "no-item", message: `no task with pid 5 ${shows}` },
    });
    expect(await none({ id: "x" })).toMatchObject({ message: `no task x ${shows}` });
  });
  test("refused, in its words", async () => {
    const refused = (request: object) =>
      tasksOf(client(request), {}).catch((error: unknown) => error);
    expect(await refused({ status: "forbidden", info: "why" })).toMatchObject({
      ...{ status: "forbidden", message: "why" },
    });
    expect(await refused({ status: "busy" })).toMatchObject({ status: "busy", message: "" });
  });
});
