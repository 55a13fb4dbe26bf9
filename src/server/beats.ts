/**
 * Proxies close a WebSocket over which nothing comes for a minute (nginx) or less, and what its client has started may end with it.
 * So who has something under way is pinged (RFC 6455, section 5.5.2). Others are not: they may be closed, and their pongs would
 * look as if they were in use.
 */

/** ms; half of what the shortest of usual proxies wait. */
const EVERY = 15_000;

export interface Beating {
  /** Pings its client, if that waits for something. */
  beat(): void;
}

export class Beats {
  readonly #all = new Set<Beating>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param every ms */
  constructor(readonly every = EVERY) {}

  get size(): number {
    return this.#all.size;
  }

  add(one: Beating): void {
    this.#all.add(one);
    this.#timer ??= setInterval(() => this.beat(), this.every);
  }

  delete(one: Beating): void {
    this.#all.delete(one);
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Now. */
  beat(): void {
    for (const one of this.#all) one.beat();
  }
}

/** Of all WebSockets of this process: one timer wakes it for all of them. */
export const beats = new Beats();
