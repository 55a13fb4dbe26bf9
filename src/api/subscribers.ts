/**
 * The connections that get the events of one task. The task waits for some of them and loses nothing on the way; the others
 * follow as well as they can: where one does not keep up, events are left out, and an event of type `overflow` stands in
 * their place.
 */
import type { Client, Request } from "./client.ts";
import { Lossy } from "./lossy.ts";
import { Patience } from "./patience.ts";

interface Subscription {
  /** By which it was asked for last. */
  request: Request;
  /** The task waits for it. */
  lossless: boolean;
  readonly lossy: Lossy;
  /** The task has waited for it since it last had taken all. */
  held: boolean;
  /** Takes the close handler back. */
  readonly forget: () => void;
  /** Ends the waits on this client. */
  readonly waits: Set<() => void>;
}

/** Of what was left out: how many events, and the bytes of their data as JSON. */
export interface Gap {
  readonly events: number;
  readonly bytes: number;
}

export class Subscribers {
  readonly #subscriptions = new Map<Client, Subscription>();
  /** Those that get the next event. */
  readonly #hearing = new Set<Subscription>();
  /** Those that do not, with the count when that began. */
  readonly #skipped = new Map<Subscription, Gap>();
  /** All that was ever left out, for anybody. */
  #count: Gap = { events: 0, bytes: 0 };
  readonly #patience = new Patience();

  /** @param overflow The event that stands for a gap. */
  constructor(
    readonly event: string,
    readonly overflow: (gap: Gap) => object,
  ) {}

  /** Once, however often it is asked for. A client that disconnects is removed. */
  add(client: Client, request: Request, lossless: boolean): void {
    request.follows?.(this.event);
    const known = this.#subscriptions.get(client);
    if (known) {
      known.request = request;
      known.lossless = lossless;
      // What it has missed is told before it misses nothing more.
      if (lossless) this.#hearAgain(known);
      return;
    }
    if (!client.connected) return;
    const subscription: Subscription = {
      request,
      lossless,
      lossy: new Lossy(client, this.event, () => {
        subscription.held = false;
        this.#hearAgain(subscription);
      }),
      held: false,
      forget: client.onClose(() => this.remove(client)),
      waits: new Set(),
    };
    this.#subscriptions.set(client, subscription);
    this.#hearing.add(subscription);
  }

  /** By which each of them asked for it last. */
  get requests(): [Client, Request][] {
    return [...this.#subscriptions].map(([client, { request }]) => [client, request]);
  }

  remove(client: Client): void {
    const subscription = this.#subscriptions.get(client);
    if (!subscription) return;
    this.#subscriptions.delete(client);
    this.#hearing.delete(subscription);
    this.#skipped.delete(subscription);
    subscription.forget();
    // A task must not stand still for a client that will never read again.
    for (const release of subscription.waits) release();
  }

  /** Takes the events from a client, with a last one, unless it has them by another request by now. */
  dismiss(client: Client, request: Request, data: unknown): void {
    const subscription = this.#subscriptions.get(client);
    if (subscription?.request !== request) return;
    this.#hearAgain(subscription);
    // First: the last event may end the connection.
    this.remove(client);
    void client.send(this.event, data);
  }

  clear(): void {
    for (const client of [...this.#subscriptions.keys()]) this.remove(client);
  }

  /** Sends an event to all. The promise settles when the next may be sent. */
  publish(data: unknown): void | Promise<void> {
    let lossless: Promise<void>[] | undefined;
    let holding: Promise<void>[] | undefined;
    let stalled = false;
    for (const subscription of this.#hearing) {
      const { lossy } = subscription;
      if (subscription.lossless) {
        const sent = lossy.client.send(this.event, data);
        if (sent) (lossless ??= []).push(released(sent, subscription));
      } else if (!lossy.full) {
        const was = lossy.stalled;
        lossy.send(data);
        stalled ||= lossy.stalled !== was;
      } else if (subscription.held && this.#patience.over) {
        this.#hearing.delete(subscription);
        this.#skipped.set(subscription, this.#count);
      } else {
        subscription.held = true;
        lossy.send(data);
        if (lossy.stalled) (holding ??= []).push(lossy.stalled);
      }
    }
    if (this.#skipped.size > 0) this.#leaveOut(data);
    const own = lossless && (lossless.length === 1 ? lossless[0] : all(lossless));
    if (holding) return this.#hold(own, all(holding));
    // One turn of the event loop is for all, since who reads takes much in it.
    return own ?? (stalled ? turn() : undefined);
  }

  /** Sends the last event. Nobody misses it, and who only follows is not waited for. */
  finish(data: unknown): void | Promise<void> {
    const lossless: Promise<void>[] = [];
    for (const subscription of this.#subscriptions.values()) {
      this.#hearAgain(subscription);
      if (subscription.lossless) {
        const sent = subscription.lossy.client.send(this.event, data);
        if (sent) lossless.push(released(sent, subscription));
      } else {
        subscription.lossy.send(data);
      }
    }
    if (lossless.length > 0) return all(lossless);
  }

  async #hold(own: Promise<void> | undefined, followers: Promise<void>): Promise<void> {
    // Only what goes beyond the wait for those that may hold the task is held against the others.
    await own;
    await this.#patience.wait(followers);
  }

  #leaveOut(data: unknown): void {
    const { events, bytes } = this.#count;
    const size = Buffer.byteLength(JSON.stringify(data) ?? "");
    this.#count = { events: events + 1, bytes: bytes + size };
  }

  /** Tells what was left out; from now on it gets events again. */
  #hearAgain(subscription: Subscription): void {
    const since = this.#skipped.get(subscription);
    if (!since) return;
    this.#skipped.delete(subscription);
    this.#hearing.add(subscription);
    const { events, bytes } = this.#count;
    const gap = { events: events - since.events, bytes: bytes - since.bytes };
    subscription.lossy.send(this.overflow(gap));
  }
}

/** Settles also when the client is removed. */
function released(sent: Promise<void>, { waits }: Subscription): Promise<void> {
  return new Promise((resolve) => {
    const release = () => {
      waits.delete(release);
      resolve();
    };
    waits.add(release);
    void sent.then(release);
  });
}

const all = (promises: readonly Promise<void>[]): Promise<void> =>
  Promise.all(promises).then(() => {});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
