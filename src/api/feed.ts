/** Events to one client that nothing waits for: when it reads too slowly some are dropped, and it is told how many. */
import type { Client } from "./client.ts";

/** Most events that wait for a client. */
const WAITING = 256;

export class Feed {
  #waiting: object[] = [];
  #dropped = 0;
  #full = false;

  constructor(
    readonly client: Client,
    readonly event: string,
  ) {}

  /** After a gap the client gets `{"dropped": N}`. */
  push(data: object): void {
    if (!this.#full) this.#send(data);
    else if (this.#waiting.length < WAITING) this.#waiting.push(data);
    else this.#dropped++;
  }

  #send(data: object): void {
    const sent = this.client.send(this.event, data);
    if (!sent) return;
    this.#full = true;
    void sent.then(() => this.#resume());
  }

  #resume(): void {
    this.#full = false;
    const waiting = this.#waiting;
    const dropped = this.#dropped;
    this.#waiting = [];
    this.#dropped = 0;
    for (const data of waiting) this.push(data);
    if (dropped > 0) this.push({ dropped });
  }
}
