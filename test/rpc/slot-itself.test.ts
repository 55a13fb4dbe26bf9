/** The place of who dials in to give an API, by a clock that stands still: who has it, when it is called, when it is to dial again. */
import { afterAll, afterEach, beforeEach, expect, jest, spyOn, test } from "bun:test";
import type { Calls } from "../../src/rpc/calls.ts";
import { Slot } from "../../src/rpc/slot.ts";
import { isSettled } from "../api/listener.ts";

const said: string[] = [];
const spies = [
  spyOn(console, "log").mockImplementation((line: string) => void said.push(`out: ${line}`)),
  spyOn(console, "error").mockImplementation((line: string) => void said.push(`err: ${line}`)),
];
beforeEach(() => {
  jest.useFakeTimers();
  said.length = 0;
});
afterEach(() => void jest.useRealTimers());
afterAll(() => spies.forEach((spy) => spy.mockRestore()));

/** One that has dialled in. */
function giver() {
  const made = {
    ...{ isIdle: true, told: { isUsedUp: false, isFull: false }, rechecked: 0, ended: 0 },
    answers: [] as PromiseWithResolvers<unknown>[],
    call: (): Promise<unknown> => {
      const answer = Promise.withResolvers<unknown>();
      made.answers.push(answer);
      return answer.promise;
    },
    recheck: (): void => void made.rechecked++,
  };
  return { ...made, made, calls: made as unknown as Calls, finish: () => void made.ended++ };
}
const request = { api: "a", verb: "v", args: null, session: { uuid: "s" } };
const call = (slot: Slot): Promise<unknown> =>
  slot.call("a", request).catch((error: unknown) => (error as Error).message);

test("the first has it until it goes, and a second is refused", async () => {
  const slot = new Slot("the\nhub", ["one", "two"]);
  const [first, second] = [giver(), giver()];
  expect(slot.state).toBe("nobody has dialled in");
  expect(await call(slot)).toBe("the\nhub: nobody has dialled in");
  slot.recheck(() => true);
  expect(slot.take(first.calls, "uid\n7", first.finish)).toBe(true);
  expect(slot.state).toBe("connected");
  expect(slot.take(second.calls, "uid 8", second.finish)).toBe(false);
  // It was none that gives.
  slot.leave(second.calls);
  expect(slot.state).toBe("connected");
  slot.recheck(() => true);
  expect([first.made.rechecked, second.made.rechecked]).toEqual([1, 0]);
  slot.leave(first.calls);
  slot.leave(first.calls);
  expect(slot.state).toBe("nobody has dialled in");
  expect(said).toEqual([
    "out: the\\u000ahub: uid\\u000a7 gives one, two",
    "err: the\\u000ahub: uid 8 may not give one, two: another gives them already",
    "err: the\\u000ahub: nobody gives one, two any more",
  ]);
  expect(slot.take(second.calls, "uid 8", second.finish)).toBe(true);
});

test("its first call is 200 ms behind its hello, and others are at once", async () => {
  const slot = new Slot("hub", ["one"]);
  const first = giver();
  slot.take(first.calls, "uid 7", first.finish);
  const early = call(slot);
  await isSettled(early);
  jest.advanceTimersByTime(199);
  await isSettled(early);
  expect(first.made.answers).toHaveLength(0);
  jest.advanceTimersByTime(1);
  await isSettled(early);
  const late = call(slot);
  await isSettled(late);
  expect(first.made.answers).toHaveLength(2);
  first.made.answers.forEach((answer, i) => answer.resolve(i));
  expect(await Promise.all([early, late])).toEqual([0, 1]);
  expect(jest.getTimerCount()).toBe(0);
});

test("who goes before that is not called; nor does the next have less time", async () => {
  const slot = new Slot("hub", ["one"]);
  const [first, second] = [giver(), giver()];
  slot.take(first.calls, "uid 7", first.finish);
  const early = call(slot);
  jest.advanceTimersByTime(150);
  slot.leave(first.calls);
  slot.take(second.calls, "uid 8", second.finish);
  const other = call(slot);
  await isSettled(other);
  jest.advanceTimersByTime(50);
  await isSettled(early);
  // The first would be ready by now.
  const third = call(slot);
  await isSettled(third);
  expect(second.made.answers).toHaveLength(0);
  for (let i = 0; i < 2; i++) {
    jest.advanceTimersByTime(200);
    await isSettled(third);
  }
  expect(second.made.answers).toHaveLength(3);
  for (const answer of second.made.answers) answer.resolve("here");
  expect(await Promise.all([early, other, third])).toEqual(["here", "here", "here"]);
  slot.leave(second.calls);
  const gone = call(slot);
  expect(await gone).toBe("hub: nobody has dialled in");
});

test.each([
  [{ isUsedUp: false, isFull: false }, true, 0],
  [{ isUsedUp: true, isFull: false }, true, 1],
  [{ isUsedUp: true, isFull: false }, false, 0],
  [{ isUsedUp: true, isFull: true }, false, 1],
])("numbers: %j, idle: %p: it is to dial again: %d", async (told, isIdle, ended) => {
  for (const answers of [true, false]) {
    const slot = new Slot("hub", ["one"]);
    const one = giver();
    slot.take(one.calls, "uid 7", one.finish);
    jest.advanceTimersByTime(200);
    Object.assign(one.made, { told, isIdle });
    const made = call(slot);
    await isSettled(made);
    expect(one.made.ended).toBe(0);
    if (answers) one.made.answers[0]?.resolve("here");
    else one.made.answers[0]?.reject(new Error("no"));
    expect(await made).toBe(answers ? "here" : "no");
    await isSettled(made);
    expect(one.made.ended).toBe(ended);
    one.made.told = { isUsedUp: false, isFull: false };
  }
});
