/** What a line says of each thing that can happen, and nothing else: its keys, in their order. */
import { describe, expect, test } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import {
  endOf,
  type Entry,
  fedOf,
  isNotable,
  lineOf,
  refusalOf,
  relayOf,
  startOf,
  stopOf,
} from "../../src/audit/entry.ts";

const caller = { uid: 7, via: "websocket" } as const;
const other = { address: "::1", via: "rest" } as const;
const NOW = 99;

const record = {
  ...{ id: "t1", api: "a", verb: "v", sandbox: "s", command: "c", pid: 12, caller },
  ...{ argv: ["/bin/x", "1"], hidden: true, cut: 3, asked: 1, started: 2, ended: 5 },
  ...{ state: "ended", printed: { bytes: 0, lines: 0, events: 0 } },
  status: { exit: 1, cause: "stopped", usage: { wall: 2.6, cpu: 1, rss: 2 } },
} as unknown as TaskRecord;
const task = { id: "t1", api: "a", verb: "v", sandbox: "s", command: "c", pid: 12 };

/** As a reader finds it. */
const read = (entry: Entry): [string, unknown][] =>
  Object.entries(JSON.parse(lineOf(entry)) as object);
const at = (ms: number): string => `1970-01-01T00:00:00.00${ms}Z`;

test.each<[string, Entry, object]>([
  [
    "a start",
    startOf(record, NOW),
    {
      ...{ time: at(2), event: "start", ...task, caller },
      ...{ argv: ["/bin/x", "1"], hidden: true, cut: 3 },
    },
  ],
  [
    "an end",
    endOf(record, NOW),
    {
      ...{ time: at(5), event: "end", ...task, caller },
      ...{ outcome: { exit: 1, cause: "stopped" }, duration: 3 },
    },
  ],
  [
    "a stop",
    stopOf({ time: 4, caller: other, record }),
    { time: at(4), event: "stop", ...task, caller: other },
  ],
  [
    "a signal",
    stopOf({ time: 4, caller: other, record, signal: 10 }),
    { time: at(4), event: "stop", ...task, caller: other, signal: "SIGUSR1" },
  ],
  [
    "a piece of input",
    fedOf({ time: 4, caller: other, record }),
    { time: at(4), event: "input", ...task, caller: other },
  ],
  [
    "a call that goes on",
    relayOf({ time: 4, caller, id: "r1", to: "@all", method: "a/v" }),
    { time: at(4), event: "relay", id: "r1", caller, to: "@all", called: "a/v" },
  ],
  [
    "a start that is refused",
    refusalOf({
      ...{ time: 4, caller, api: "a", verb: "v", action: "start", status: "bad", info: "no" },
      ...{ args: { n: 1 }, hidden: true, cut: 9 },
    }),
    {
      ...{ time: at(4), event: "refuse", api: "a", verb: "v", caller },
      ...{ args: { n: 1 }, hidden: true, cut: 9, status: "bad", info: "no" },
    },
  ],
  [
    "anything else that is refused",
    refusalOf({
      ...{ time: 4, caller, api: "a", verb: "v", action: "stop", status: "bad", id: "t1" },
      ...{ sandbox: "s", command: "c", argv: ["x"] },
    }),
    {
      ...{ time: at(4), event: "refuse", id: "t1", api: "a", verb: "v", sandbox: "s" },
      ...{ command: "c", caller, action: "stop", argv: ["x"], status: "bad" },
    },
  ],
  [
    "lines that are lost",
    { time: 4, event: "lost", lost: 2 },
    { time: at(4), event: "lost", lost: 2 },
  ],
])("%s", (_, entry, expected) => {
  // Parts are written in another order here: that of a line is that of its keys.
  expect(Object.fromEntries(read(entry))).toEqual(expected as never);
  expect(
    read(entry)
      .slice(0, 2)
      .map(([name]) => name),
  ).toEqual(["time", "event"]);
});

describe("of a task that has not begun", () => {
  const { started: _, ended: __, status: ___, pid: ____, ...waiting } = record;

  test("a start is now, and an end is, with no outcome", () => {
    expect(startOf(waiting as TaskRecord, NOW)).toMatchObject({ time: NOW, pid: undefined });
    expect(endOf(waiting as TaskRecord, NOW)).toMatchObject({
      ...{ time: NOW, duration: 0, outcome: {} },
    });
  });
});

test("a time that no calendar has is told as it is", () => {
  expect(lineOf({ time: 8.65e15, event: "lost", lost: 1 })).toBe(
    '{"time":"8650000000000000","event":"lost","lost":1}',
  );
});

test("what people look for: what is refused, and what is lost", () => {
  const events = ["start", "stop", "input", "end", "relay", "refuse", "lost"] as const;
  expect(events.filter((event) => isNotable({ time: 0, event }))).toEqual(["refuse", "lost"]);
});
