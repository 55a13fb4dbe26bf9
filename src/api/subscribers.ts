/** The connections that get the events of one task. */
import type { Client, Request } from "./client.ts";

interface Subscription {
  /** By which it was asked for last. */
  request: Request;
  /** Takes the close handler back. */
  readonly forget: () => void;
  /** Ends the waits on this client. */
  readonly waits: Set<() => void>;
}

export class Subscribers {
  readonly #subscriptions = new Map<Client, Subscription>();

  /** Once, however often it is asked for. A client that disconnects is removed. */
  add(client: Client, request: Request): void {
    const subscription = this.#subscriptions.get(client);
    if (subscription) subscription.request = request;
    if (subscription || !client.connected) return;
    const forget = client.onClose(() => this.remove(client));
    this.#subscriptions.set(client, { request, forget, waits: new Set() });
  }

  /** Those whose request would not be granted any more. */
  without(granted: (request: Request) => boolean): Client[] {
    const entries = [...this.#subscriptions];
    return entries.filter(([, { request }]) => !granted(request)).map(([client]) => client);
  }

  remove(client: Client): void {
    const subscription = this.#subscriptions.get(client);
    if (!subscription) return;
    this.#subscriptions.delete(client);
    subscription.forget();
    // A task must not stand still for a client that will never read again.
    for (const release of subscription.waits) release();
  }

  clear(): void {
    for (const client of [...this.#subscriptions.keys()]) this.remove(client);
  }

  /** Sends an event to all. The promise settles when the slowest can take more. */
  publish(event: string, data: unknown): void | Promise<void> {
    let pending: Promise<void>[] | undefined;
    for (const [client, { waits }] of this.#subscriptions) {
      const sent = client.send(event, data);
      if (!sent) continue;
      pending ??= [];
      pending.push(
        new Promise((resolve) => {
          const release = () => {
            waits.delete(release);
            resolve();
          };
          waits.add(release);
          void sent.then(release);
        }),
      );
    }
    if (!pending) return;
    return pending.length === 1 ? pending[0] : Promise.all(pending).then(() => {});
  }
}
