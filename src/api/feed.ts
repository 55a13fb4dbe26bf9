/** Events to one client that nothing waits for: when it reads too slowly some are dropped, and it is told how many. */
import type { Client } from "./client.ts";
import { stringify } from "./event-data.ts";
import { isObject } from "../object.ts";
import { Lossy } from "./lossy.ts";

/** After these, no other comes of the task that they tell of: whoever waits for its end waits for them. */
const LAST: ReadonlySet<unknown> = new Set(["final-event", "unsubscribed"]);
/** Characters of such a one, and how many go to a client that does not read: they come from elsewhere, and are held here. */
const LONG = 16 << 10;
const MOST = 64;

export class Feed {
  #dropped = 0;
  /** Last ones that were sent in spite of all, since the client has read. */
  #lasts = 0;
  readonly #lossy: Lossy;

  constructor(client: Client, event: string) {
    this.#lossy = new Lossy(client, event, () => this.#resumed());
  }

  /** After a gap the client gets `{"dropped": N}`. The end of a task is not left out. */
  push(data: unknown): void {
    // Once one is dropped, all are until the client has been told: it sees one gap, where it is.
    if (this.#dropped === 0 && !this.#lossy.full) return this.#lossy.send(data);
    if (this.#lasts >= MOST || !isLast(data)) return void this.#dropped++;
    this.#lasts++;
    this.end(data);
  }

  /** The last one, which tells that there will be no other: whoever waits for more must not miss it. */
  end(data: unknown): void {
    this.#tellGap();
    this.#lossy.send(data);
  }

  #resumed(): void {
    this.#lasts = 0;
    this.#tellGap();
  }

  #tellGap(): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (dropped > 0) this.#lossy.send({ dropped });
  }
}

const isLast = (data: unknown): boolean =>
  isObject(data) && LAST.has(data["type"]) && (stringify(data) ?? "").length <= LONG;
