/** Events to one client that nothing waits for: when it reads too slowly some are dropped, and it is told how many. */
import type { Client } from "./client.ts";
import { Lossy } from "./lossy.ts";

export class Feed {
  #dropped = 0;
  readonly #lossy: Lossy;

  constructor(client: Client, event: string) {
    this.#lossy = new Lossy(client, event, () => this.#resumed());
  }

  /** After a gap the client gets `{"dropped": N}`. */
  push(data: unknown): void {
    // Once one is dropped, all are until the client has been told: it sees one gap, where it is.
    if (this.#dropped > 0 || this.#lossy.full) this.#dropped++;
    else this.#lossy.send(data);
  }

  /** The last one, which tells that there will be no other: whoever waits for more must not miss it. */
  end(data: unknown): void {
    this.#resumed();
    this.#lossy.send(data);
  }

  #resumed(): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (dropped > 0) this.#lossy.send({ dropped });
  }
}
