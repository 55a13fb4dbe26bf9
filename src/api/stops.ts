/**
 * Orders to tasks that they end. Of one it is given at once. The end of hundreds at a time would take the processors from
 * everybody for a second, since each wakes two processes or more, so those take turns, fair between clients.
 */
import { type Asker, Turns } from "./turns.ts";

/** Tasks that are ending at a time, and ms after which the next is told, though one has not ended: it may ignore its signal. */
const AT_ONCE = 16;
const PATIENCE = 20;

/** What an order is for. */
export interface Stoppable {
  readonly over: boolean;
  /** Calls it at the end, unless the function that it returns was called before. */
  onEnd(ended: () => void): () => void;
}

interface Order {
  readonly task: Stoppable;
  readonly give: () => void;
}

export class Stops {
  readonly #waiting = new Turns<Order>();
  #ending = 0;

  /** @param give the order, at once or soon, once; it has to see for itself whether there is still something to do */
  enter(asker: Asker, task: Stoppable, give: () => void): void {
    if (this.#ending < AT_ONCE && this.#waiting.size === 0) this.#give({ task, give });
    else this.#waiting.push(asker, { task, give });
  }

  #give({ task, give }: Order): void {
    give();
    if (task.over) return;
    this.#ending++;
    const done = (): void => {
      clearTimeout(timer);
      forget();
      this.#ending--;
      this.#next();
    };
    const timer = setTimeout(done, PATIENCE);
    const forget = task.onEnd(done);
  }

  #next(): void {
    while (this.#ending < AT_ONCE) {
      const order = this.#waiting.shift();
      if (!order) return;
      this.#give(order);
    }
  }
}
