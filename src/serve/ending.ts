/** The end of a server: what tells it, and what it waits for. */
import type { RunningRegistry } from "../api/registry.ts";
import { MOST_SECONDS } from "../config/ranges.ts";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** ms after the longest grace: what is left of the killed, and output that nobody takes, is not waited for here. */
const LATE = 1_000;

/** Resolves at the first of the signals that tell it. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of SIGNALS) process.once(signal, () => resolve());
  });
}

/**
 * Resolves once all tasks that have a grace have ended, and who follows them knows: after the longest of these at the latest, or
 * at another signal. Meanwhile calls are answered, but nothing starts.
 * @param grace ms
 */
export async function drained(registry: RunningRegistry, grace: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of SIGNALS) process.on(signal, resolve);
  const timer = setTimeout(resolve, Math.min(grace + LATE, MOST_SECONDS * 1000));
  await Promise.race([registry.drain(), promise]);
  clearTimeout(timer);
  for (const signal of SIGNALS) process.off(signal, resolve);
}
