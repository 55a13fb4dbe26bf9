/**
 * What a task has sent, once more for one client, until that has caught up with it. The client takes it as fast as it reads; what
 * is gone by then is told by an event of type `gone` in its place.
 */
import type { Client, Request } from "./client.ts";
import { placeOf } from "./place.ts";
import { type Gone, type Ring, sizeOf } from "./ring.ts";

/** Whose events they are. */
export interface Past {
  readonly id: string;
  readonly pid: number;
  /** Its name, `api/verb`. */
  readonly event: string;
  readonly ring: Ring;
}

/** What stands for what is gone. */
export const goneEvent = (pid: number, gone: Gone) => ({ type: "gone", pid, ...gone });

/** Events that are sent in one turn of the event loop. */
const A_TURN = 256;

export class Replay {
  /** Number of the last event that it has been sent, and bytes of all up to there. */
  #at: number;
  #sum: number | undefined;
  #stopped = false;
  readonly #caughtUp = Promise.withResolvers<void>();

  /**
   * @param from number of the first event that is wanted
   * @param request by which it was asked for last
   * @param done in the turn in which it has caught up, or been stopped: from then on it is up to others
   */
  constructor(
    readonly client: Client,
    readonly past: Past,
    from: number,
    public request: Request,
    readonly lossless: boolean,
    readonly done: (caughtUp: boolean) => void,
  ) {
    this.#at = Math.min(Math.max(from, 1), past.ring.last + 1) - 1;
    this.#sum = past.ring.sumAt(this.#at);
    client.stands?.(placeOf(past.id, this.#at));
    // Behind the reply: see Registry.call.
    setImmediate(() => void this.#run());
  }

  /** Settles when it has caught up, or been stopped: a task waits for one that misses nothing. */
  get caughtUp(): Promise<void> {
    return this.#caughtUp.promise;
  }

  stop(): void {
    if (!this.#stopped) this.#finish(false);
  }

  async #run(): Promise<void> {
    let sent = 0;
    while (!this.#stopped) {
      const waits = this.#next();
      if (waits === "none") return this.#finish(true);
      if (waits) await waits;
      // Others have their turn, too.
      else if (++sent % A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #next(): void | Promise<void> | "none" {
    const { id, pid, event, ring } = this.past;
    const gone = ring.goneSince(this.#at, this.#sum);
    if (gone) {
      this.#at = ring.first - 1;
      this.#sum = ring.sumAt(this.#at);
      return this.client.send(event, goneEvent(pid, gone), this.#place(id));
    }
    const data = ring.at(this.#at + 1);
    if (!data) return "none";
    this.#at++;
    if (this.#sum !== undefined) this.#sum += sizeOf(data.json);
    const shown = this.client.stands ? data : data.numbered(this.#at);
    return this.client.send(event, shown, this.#place(id));
  }

  #place(id: string): string | undefined {
    return this.client.stands ? placeOf(id, this.#at) : undefined;
  }

  #finish(caughtUp: boolean): void {
    this.#stopped = true;
    this.done(caughtUp);
    this.#caughtUp.resolve();
  }
}
