/**
 * Orders to tasks that they end. Of one it is given at once. The end of hundreds at a time would take the processors from
 * everybody for a second, since each wakes two processes or more, so those take turns, fair between clients.
 */
import { type Asker, Turns } from "./turns.ts";

/** Tasks that are ending at a time, and ms after which the next is told, though one has not ended: it may ignore its signal. */
const AT_ONCE = 16;
const PATIENCE = 20;

interface Order {
  readonly ended: Promise<unknown>;
  readonly give: () => void;
}

export class Stops {
  readonly #waiting = new Turns<Order>();
  #ending = 0;

  /**
   * @param ended of the task
   * @param give the order, at once or soon: not after the end
   */
  enter(asker: Asker, ended: Promise<unknown>, give: () => void): void {
    let over = false;
    void ended.then(() => (over = true));
    const order: Order = { ended, give: () => over || give() };
    if (this.#ending < AT_ONCE && this.#waiting.size === 0) this.#give(order);
    else this.#waiting.push(asker, order);
  }

  #give({ ended, give }: Order): void {
    this.#ending++;
    let counts = true;
    const next = (): void => {
      if (!counts) return;
      counts = false;
      clearTimeout(timer);
      this.#ending--;
      const order = this.#waiting.shift();
      if (order) this.#give(order);
    };
    const timer = setTimeout(next, PATIENCE);
    void ended.then(next);
    give();
  }
}
