/** The end of a server: what tells it, and how long it is waited for. */
import { describe, expect, spyOn, test } from "bun:test";
import type { RunningRegistry } from "../../src/api/registry.ts";
import { MOST_SECONDS } from "../../src/config/ranges.ts";
import { drained, untilStopped } from "../../src/serve/ending.ts";
import { isSettled } from "../api/listener.ts";

describe("the end of a server", () => {
  const SIGNALS = ["SIGTERM", "SIGINT"] as const;
  const listeners = () => SIGNALS.map((signal) => process.listenerCount(signal));
  /** As the runtime tells that one has come. */
  const come = (signal: (typeof SIGNALS)[number]) => void process.emit(signal, signal);
  const draining = (drain: Promise<void>) => ({ drain: () => drain }) as RunningRegistry;
  const never = new Promise<void>(() => {});

  test.each(SIGNALS)("comes by %s", async (signal) => {
    const before = listeners();
    const stopped = untilStopped();
    expect(await isSettled(stopped)).toBe(false);
    come(signal);
    await stopped;
    for (const other of SIGNALS) come(other);
    expect(listeners()).toEqual(before);
  });

  test("is when all have ended", async () => {
    const before = listeners();
    const { promise, resolve: end } = Promise.withResolvers<void>();
    const over = drained(draining(promise), 60_000);
    expect(await isSettled(over)).toBe(false);
    expect(listeners()).toEqual(before.map((count) => count + 1));
    end();
    await over;
    expect(listeners()).toEqual(before);
  });

  test.each(SIGNALS)("is when another signal comes: %s", async (signal) => {
    const before = listeners();
    // A grace that no timer counts is no haste.
    const over = drained(draining(never), 1e15);
    await Bun.sleep(20);
    expect(await isSettled(over)).toBe(false);
    come(signal);
    await over;
    expect(listeners()).toEqual(before);
  });

  test("is a second after the longest grace, or what a timer counts at most", async () => {
    const spy = spyOn(globalThis, "setTimeout");
    try {
      for (const [grace, time] of [
        [60_000, 61_000],
        [1e15, MOST_SECONDS * 1000],
      ] as const) {
        const late = drained(draining(never), grace);
        expect(spy.mock.calls.splice(0).map(([, delay]) => delay)).toEqual([time]);
        come("SIGINT");
        await late;
      }
    } finally {
      spy.mockRestore();
    }
    await drained(draining(never), -990);
    const over = drained(draining(never), 0);
    await Bun.sleep(20);
    expect(await isSettled(over)).toBe(false);
    come("SIGINT");
    await over;
  });
});
