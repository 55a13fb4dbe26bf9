/** When lines are written, and how many at a time: by a clock that the test sets on. */
import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { audited, record, settled } from "./asked-to-take.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

async function after(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await settled();
}

/** How often the sink is asked just before, and at, a time after now. */
async function asksAt(sink: { calls: number }, ms: number): Promise<[number, number]> {
  const before = sink.calls;
  await after(ms - 1);
  const then = sink.calls - before;
  await after(1);
  return [then, sink.calls - before];
}

test("a line is written in a moment, all of that moment together", async () => {
  const { sink, audit, said } = audited();
  for (let i = 0; i < 4; i++) audit.started(record(i));
  expect(await asksAt(sink, 5)).toEqual([0, 1]);
  expect(sink.texts).toHaveLength(4);
  expect(jest.getTimerCount()).toBe(0);
  for (let i = 0; i < 5; i++) audit.started(record(i));
  expect(await asksAt(sink, 5)).toEqual([0, 1]);
  // There were many: the next wait longer.
  audit.started(record(5));
  expect(await asksAt(sink, 50)).toEqual([0, 1]);
  audit.started(record(6));
  expect(await asksAt(sink, 5)).toEqual([0, 1]);
  // Of what goes well nothing is told.
  await audit.close();
  expect(said).toEqual([]);
});

test.each([
  ["EAGAIN", 20],
  ["ENOSPC", 500],
])("%s: it is tried again after %i ms, again and again", async (why, ms) => {
  const { sink, audit } = audited();
  sink.why = why;
  audit.started(record(1));
  expect(await asksAt(sink, 5)).toEqual([0, 1]);
  expect(await asksAt(sink, ms)).toEqual([0, 1]);
  audit.started(record(2));
  expect(await asksAt(sink, ms)).toEqual([0, 1]);
  sink.why = undefined;
  expect(await asksAt(sink, ms)).toEqual([0, 1]);
  expect([sink.texts.length, jest.getTimerCount()]).toEqual([2, 0]);
});

test("what must be written first is so at once, with what waits: nothing is written once more for that", async () => {
  const { sink, audit } = audited();
  audit.started(record(1));
  await after(3);
  const begun = audit.begin(record(2));
  await settled();
  expect([sink.calls, sink.texts.length]).toEqual([1, 2]);
  expect(await begun).toBeUndefined();
  audit.started(record(3));
  expect(await asksAt(sink, 5)).toEqual([0, 1]);
  expect(jest.getTimerCount()).toBe(0);
});

test("what comes while the sink is busy is written behind it", async () => {
  const { sink, audit } = audited();
  const held = Promise.withResolvers<void>();
  sink.held = held.promise;
  audit.started(record(1));
  await after(5);
  audit.started(record(2));
  await after(1000);
  expect([sink.calls, jest.getTimerCount()]).toEqual([1, 0]);
  held.resolve();
  await settled();
  expect(sink.texts).toHaveLength(1);
  expect(await asksAt(sink, 5)).toEqual([0, 1]);
  expect(sink.texts).toHaveLength(2);
});

test("reopened, it is tried at once where something waits", async () => {
  const { sink, audit } = audited();
  audit.reopen();
  await settled();
  expect([sink.reopened, sink.calls]).toEqual([1, 0]);
  sink.why = "ENOENT";
  audit.started(record(1));
  await after(5);
  sink.why = undefined;
  audit.reopen();
  await settled();
  expect([sink.reopened, sink.calls, sink.texts.length]).toEqual([2, 2, 1]);
  expect(jest.getTimerCount()).toBe(0);
});

test("a start waits a second for its line, and the end of the server one for all of them", async () => {
  const { sink, audit, said } = audited();
  sink.why = "EAGAIN";
  const answers: unknown[] = [];
  void audit.begin(record(1)).then((why) => answers.push(why));
  await settled();
  await after(999);
  expect(answers).toEqual([]);
  await after(1);
  expect(answers).toEqual(["its reader is slow"]);
  void audit.close().then(() => answers.push("closed"));
  await settled();
  for (let i = 0; i < 51; i++) {
    expect([i, answers.length, sink.closed]).toEqual([i, 1, 0]);
    await after(20);
  }
  expect([answers[1], sink.closed]).toEqual(["closed", 1]);
  expect(said).toEqual([
    "error: audit: the fake: lines are lost: its reader is slow",
    "error: audit: the fake: lost at the end: 1",
  ]);
  expect(audit.counts).toEqual({ written: 0, lost: 1, why: "EAGAIN" });
  expect(jest.getTimerCount()).toBe(0);
});
