/** Calls whose answers take milliseconds to make and to write: one in each turn of the event loop, in turns of those who ask. */
import { type Asker, Turns } from "./turns.ts";

export class OneByOne {
  readonly #waiting = new Turns<() => void>();
  #scheduled = false;

  /** Resolves in its turn. */
  enter(asker: Asker): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push(asker, go);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#waiting.shift()?.();
      this.#schedule();
    });
  }
}
