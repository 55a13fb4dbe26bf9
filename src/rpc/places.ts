/**
 * Calls that are open on one connection at a time, and those that wait to be. A peer may have up to {@link GREED} times what it
 * leaves free: calls that take long must not keep those of others from being made. Who waits is served in turns of the peers.
 */
import { AfbError } from "../errors.ts";

const GREED = 3;

export class Places {
  #open = 0;
  #waiting = 0;
  readonly #held = new Map<string, number>();
  /** In the order of their turns. */
  readonly #queues = new Map<string, PromiseWithResolvers<void>[]>();

  /** @param most that are open; and that wait */
  constructor(
    readonly most: number,
    readonly mostWaiting: number,
  ) {}

  /** Rejects with an AfbError where there are too many. What it gives is given back by {@link leave}. */
  enter(peer: string): void | Promise<void> {
    if (!this.#queues.has(peer) && this.#mayEnter(peer)) return this.#take(peer);
    if (this.#waiting >= this.mostWaiting)
      throw new AfbError("busy", "too many calls of the other binder wait: try again later");
    const turn = Promise.withResolvers<void>();
    const queue = this.#queues.get(peer);
    if (queue) queue.push(turn);
    else this.#queues.set(peer, [turn]);
    this.#waiting++;
    return turn.promise;
  }

  leave(peer: string): void {
    this.#open--;
    const held = (this.#held.get(peer) ?? 0) - 1;
    if (held > 0) this.#held.set(peer, held);
    else this.#held.delete(peer);
    this.#next();
  }

  /** Those that wait are told an error. */
  close(error: Error): void {
    const all = [...this.#queues.values()].flat();
    this.#queues.clear();
    this.#waiting = 0;
    for (const { reject } of all) reject(error);
  }

  #mayEnter(peer: string): boolean {
    const held = this.#held.get(peer) ?? 0;
    return this.#open < this.most && (held === 0 || held < GREED * (this.most - this.#open));
  }

  #take(peer: string): void {
    this.#open++;
    this.#held.set(peer, (this.#held.get(peer) ?? 0) + 1);
  }

  #next(): void {
    for (const [peer, queue] of this.#queues) {
      if (!this.#mayEnter(peer)) continue;
      const turn = queue.shift();
      this.#queues.delete(peer);
      // Behind the others.
      if (queue.length > 0) this.#queues.set(peer, queue);
      if (!turn) continue;
      this.#waiting--;
      this.#take(peer);
      turn.resolve();
      return;
    }
  }
}
