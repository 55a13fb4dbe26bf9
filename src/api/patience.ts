/**
 * How long a task stands still for clients that only follow it: a burst reaches a client in full that reads it a little more
 * slowly, and no client, nor many in turn, can hold the task for longer than this.
 */

/** Milliseconds, for all of them together. */
const MOST = 1000;
/** What of the time that goes by is given back: so much slower is a task at worst. */
const GIVEN_BACK = 1 / 20;

export class Patience {
  #left = MOST;
  #at: number;

  constructor(readonly now: () => number = () => performance.now()) {
    this.#at = now();
  }

  /** Less than a timer can wait is none. */
  get over(): boolean {
    return this.#refill() < 1;
  }

  /** Until `ready` settles, or patience is over; at least one turn of the event loop, in which a client that reads takes much. */
  async wait(ready: Promise<unknown>): Promise<void> {
    const left = this.#refill();
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    if (left < 1) {
      setImmediate(resolve);
      await Promise.race([ready, enough]);
      return;
    }
    const begun = this.now();
    const timer = setTimeout(resolve, left);
    await Promise.race([ready, enough]);
    clearTimeout(timer);
    this.#left = Math.max(0, this.#refill() - (this.now() - begun));
  }

  #refill(): number {
    const now = this.now();
    this.#left = Math.min(MOST, this.#left + (now - this.#at) * GIVEN_BACK);
    this.#at = now;
    return this.#left;
  }
}
