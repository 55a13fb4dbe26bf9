/** For tests whose clock stands still: turns of the event loop, in which the kernel answers all the same. */

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

const LIMIT = 20e9;

/** Until that is so, by a clock that goes on. */
export async function turnsUntil(what: string, probe: () => boolean): Promise<void> {
  for (const end = Bun.nanoseconds() + LIMIT; !probe(); await turns(1))
    if (Bun.nanoseconds() > end) throw new Error(`never: ${what}`);
}
