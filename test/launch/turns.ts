/** For tests whose clock stands still: turns of the event loop, in which the kernel answers all the same. */
import { readFileSync } from "node:fs";

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Seconds. */
const LIMIT = 20;

/** Of the machine, in seconds: each clock of the runtime stands still with the test's, or runs ahead with it. */
const now = (): number => Number.parseFloat(readFileSync("/proc/uptime", "latin1"));

/** Until that is so, by a clock that goes on. */
export async function turnsUntil(what: string, probe: () => boolean): Promise<void> {
  for (const end = now() + LIMIT; !probe(); await turns(1))
    if (now() > end) throw new Error(`never: ${what}`);
}
