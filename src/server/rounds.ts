/**
 * What clients ask is answered in rounds of some milliseconds, one in each turn of the event loop. Where more is asked than that,
 * peers take turns, and of a peer its connections: so who asks for little is next, however many others ask without end, and what
 * commands do is heard in between.
 */
import { type Asker, Turns } from "../api/turns.ts";

/** Milliseconds. */
const ROUND = 8;

export class Rounds {
  readonly #waiting = new Turns<() => void>();
  /** Of this round, ms of performance.now(). */
  #begin: number | undefined;
  #scheduled = false;

  /** @param most milliseconds of a round */
  constructor(readonly most = ROUND) {}

  /** Whether who asks now has to {@link enter}: others wait, or the round is over. */
  get isFull(): boolean {
    if (this.#waiting.size > 0) return true;
    if (this.#begin !== undefined) return performance.now() - this.#begin > this.most;
    this.#begin = performance.now();
    this.#schedule();
    return false;
  }

  /** Calls `go` in its turn, in another turn of the event loop. */
  enter(asker: Asker, go: () => void): void {
    this.#waiting.push(asker, go);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#begin = undefined;
      if (this.#waiting.size === 0) return;
      this.#begin = performance.now();
      this.#schedule();
      this.#serve(this.#begin);
    });
  }

  #serve(begin: number): void {
    this.#waiting.shift()?.();
    if (this.#waiting.size === 0) return;
    // Behind all that the one has made to be done, as far as that waits for nothing: only then it is known how long it took.
    queueMicrotask(() =>
      process.nextTick(() => {
        if (this.#begin === begin && performance.now() - begin < this.most) this.#serve(begin);
      }),
    );
  }
}

/** Of this process, since there is one event loop. */
export const rounds = new Rounds();
