/**
 * How fast messages of a broker are taken in by a process that has other things to do: whoever sends without end gets half of the
 * time of the event loop at most. What is not taken waits with the broker.
 */

/** Of the time. */
const SHARE = 0.5;
/** ms of work that may come at once after a pause: most calls come alone. */
const BURST = 4;
/** ms of that in one turn of the event loop. */
const TURN = 1;

export class Pace {
  #credit = BURST;
  #at: number;
  /** Since when there is work on what comes next. */
  #since: number;

  constructor(
    readonly now: () => number = () => performance.now(),
    /** With 0 once all that is ready by now has had its turn. */
    readonly later: (next: () => void, ms: number) => void = (next, ms) => {
      if (ms === 0) setImmediate(next);
      else setTimeout(next, ms);
    },
  ) {
    this.#at = now();
    this.#since = this.#at;
  }

  /** Bytes have come: before, nothing was done. */
  arrived(): void {
    this.#since = this.now();
  }

  /** What has come is taken. Calls `next` when more may be. */
  taken(next: () => void): void {
    this.#count();
    if (this.#credit > BURST - TURN) return next();
    this.later(() => {
      // Calls go on after they were taken: that counts too.
      this.#count();
      const wait = -this.#credit / SHARE;
      // Less than a timer can wait.
      if (wait < 0.5) return next();
      this.later(() => {
        this.#since = this.now();
        next();
      }, wait);
    }, 0);
  }

  #count(): void {
    const now = this.now();
    const worked = now - this.#since;
    this.#credit = Math.min(BURST, this.#credit + (now - this.#at) * SHARE) - worked;
    this.#at = now;
    this.#since = now;
  }
}
