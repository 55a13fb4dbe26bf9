/**
 * Events to one client that nothing stands still for. What waits for it in memory is bounded, for each such client and for
 * all of them together; who sends leaves out the rest, and tells how much that was once the client reads again.
 */
import type { Client } from "./client.ts";

/**
 * Most bytes that wait for one client, and one event more. Less than the backlog at which a WebSocket is no longer read: who
 * cannot keep up must still be able to unsubscribe.
 */
export const SHARE = 512 << 10;
/** Most for all clients of this process; beyond, nothing more waits for those that wait already. */
export const TOTAL = 32 << 20;

/** Bytes that wait for clients which have not taken them yet, as last seen. */
const waiting = new Map<Client, number>();
let total = 0;

function note(client: Client, bytes: number): void {
  total += bytes - (waiting.get(client) ?? 0);
  if (bytes > 0) waiting.set(client, bytes);
  else waiting.delete(client);
}

export class Lossy {
  #stalled: Promise<void> | undefined;

  /** @param resumed The client has taken all, after it had not at once: may send, too. */
  constructor(
    readonly client: Client,
    readonly event: string,
    readonly resumed: () => void,
  ) {}

  /** Settles when the client has taken all; undefined when it has. */
  get stalled(): Promise<void> | undefined {
    return this.#stalled;
  }

  /** An event that is sent now would wait beyond the bounds. */
  get full(): boolean {
    return this.#stalled !== undefined && (this.client.backlog >= SHARE || total >= TOTAL);
  }

  /** Sends also when full: an event that must not be left out. */
  send(data: unknown, place?: string): void {
    const { client } = this;
    const sent = client.send(this.event, data, place);
    if (!sent) return;
    note(client, client.backlog);
    this.#stalled ??= sent.then(() => {
      this.#stalled = undefined;
      note(client, 0);
      this.resumed();
    });
  }
}
