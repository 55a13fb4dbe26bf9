/** A client that events are sent to directly: it remembers them, with their places, and takes no more while it is held. */
import { stringify, valueOf } from "../../src/api/event-data.ts";
import type { Client, Request } from "../../src/api/client.ts";

export class Listener implements Client {
  readonly session = { uuid: "listener" };
  connected = true;
  backlog = 0;
  readonly heard: unknown[] = [];
  readonly places: (string | undefined)[] = [];
  /** Where it stands, of one that comes back by places. */
  readonly stood: string[] = [];
  stands?: (place: string) => void;
  readonly #closing = new Set<() => void>();
  #held: PromiseWithResolvers<void> | undefined;

  /** @param placed it comes back by places */
  constructor(placed = false) {
    if (placed) this.stands = (place) => void this.stood.push(place);
  }

  send(_event: string, data: unknown, place?: string): void | Promise<void> {
    this.heard.push(valueOf(data));
    this.places.push(place);
    if (!this.#held) return;
    this.backlog += stringify(data)?.length ?? 0;
    return this.#held.promise;
  }

  /** It takes nothing more of what it is sent, until the function that this returns is called. */
  hold(): () => void {
    const held = Promise.withResolvers<void>();
    this.#held = held;
    return () => {
      this.#held = undefined;
      this.backlog = 0;
      held.resolve();
    };
  }

  onClose(gone: () => void): () => void {
    this.#closing.add(gone);
    return () => this.#closing.delete(gone);
  }

  /** Who wants to know when it goes. */
  get handlers(): number {
    return this.#closing.size;
  }

  disconnect(): void {
    this.connected = false;
    for (const gone of [...this.#closing]) gone();
  }

  /** One by which it asks. */
  asking(more: Partial<Request> = {}): Request {
    return { api: "p", verb: "x", args: {}, session: this.session, client: this, ...more };
  }

  /** Of what it has heard, the types, or the numbers of what has none. */
  get kinds(): unknown[] {
    return this.heard.map((one) => {
      const { type, n } = one as { type?: string; n?: number };
      return type ?? n;
    });
  }
}

/** Behind all that this turn of the event loop has left to do. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Whether it is settled by now, as far as microtasks go. */
export async function isSettled(promise: void | Promise<unknown>): Promise<boolean> {
  let settled = false;
  void Promise.resolve(promise).then(() => (settled = true));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  return settled;
}
