/** How long a hook of an encoder may take, and what its command waits for: by a clock that is turned here, and a thread that does as it is told. */
import { afterEach, expect, jest, test } from "bun:test";
import { TaskEncoding } from "../../src/plugins/encoding.ts";
import type { Heard, Thread } from "../../src/plugins/thread.ts";
import { isSettled } from "../api/listener.ts";

afterEach(() => void jest.useRealTimers());

function made() {
  const asked: PromiseWithResolvers<unknown>[] = [];
  const taken: PromiseWithResolvers<void>[] = [];
  const told: unknown[] = [];
  const ends: (string | undefined)[] = [];
  let hears: (heard: Heard) => void = () => {};
  const thread: Pick<Thread, "hand" | "ask" | "tell" | "end"> = {
    hand: (given) => void (hears = given),
    ask: () => (asked[asked.length] = Promise.withResolvers<unknown>()).promise,
    tell: (message) => void told.push(message),
    end: (why) => void ends.push(why?.message),
  };
  const encoding = new TaskEncoding(
    {
      fresh: () => thread as Thread,
      shared: () => thread as unknown as Thread,
      stray: () => {},
      limit: 1000,
    },
    () => (taken[taken.length] = Promise.withResolvers<void>()).promise,
  );
  const emits = (batch: number) => hears({ kind: "events", batch, list: [`{"n":${batch}}`] });
  return { encoding, asked, taken, told, ends, emits };
}
const CHUNK = Uint8Array.of(1);
const turns = async () => {
  for (let n = 0; n < 9; n++) await Promise.resolve();
};

test("two halves of its time in a row, without a client that is waited for", async () => {
  jest.useFakeTimers();
  const { encoding, taken, ends, emits } = made();
  void encoding.stdout(CHUNK);
  jest.advanceTimersByTime(500);
  emits(1);
  jest.advanceTimersByTime(10_000);
  taken[0]?.resolve();
  await turns();
  jest.advanceTimersByTime(999);
  expect(ends).toEqual([]);
  jest.advanceTimersByTime(1);
  expect(ends).toEqual(["stdout() took more than 1 s"]);
});

test("a hook that is answered takes no more time", async () => {
  jest.useFakeTimers();
  const { encoding, asked, ends } = made();
  const done = encoding.stderr(CHUNK);
  jest.advanceTimersByTime(999);
  asked[0]?.resolve(undefined);
  await done;
  jest.advanceTimersByTime(10_000);
  expect(ends).toEqual([]);
});

test("a command waits until its clients have all events, in whatever order they take them", async () => {
  const { encoding, asked, taken, told, emits } = made();
  const done = encoding.stdout(CHUNK);
  emits(1);
  emits(2);
  asked[0]?.resolve(undefined);
  taken[1]?.resolve();
  expect([await isSettled(done), told]).toEqual([false, []]);
  taken[0]?.resolve();
  await done;
  await turns();
  expect(told).toEqual([1, 2].map((batch) => ({ kind: "sent", batch })));
});
