/** Work that takes the event loop for milliseconds goes through one at a time, one in each turn: others are heard in between. */

export class Turnstile {
  readonly #waiting: (() => void)[] = [];
  #turning = false;
  /** Called after each. */
  after: (() => void) | undefined;

  /** Calls `go` in a turn of the event loop in which it calls nobody else: not at once. */
  enter(go: () => void): void {
    this.#waiting.push(go);
    this.#turn();
  }

  #turn(): void {
    if (this.#turning || this.#waiting.length === 0) return;
    this.#turning = true;
    setImmediate(() => {
      this.#turning = false;
      this.#waiting.shift()?.();
      this.after?.();
      this.#turn();
    });
  }
}

/** Of this process, since there is one event loop: for what clients send, and for what commands print. */
export const heavy = new Turnstile();
