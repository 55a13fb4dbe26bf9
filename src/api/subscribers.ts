/**
 * The connections that get the events of one task. The task waits for some of them and loses nothing on the way; the others
 * follow as well as they can: where one does not keep up, events are left out, and an event of type `overflow` stands in
 * their place.
 */
import type { Client, Request } from "./client.ts";
import type { EventData } from "./event-data.ts";
import { unless } from "./gate.ts";
import { Lossy } from "./lossy.ts";
import { Patience } from "./patience.ts";
import { placeOf } from "./place.ts";
import { type Past, Replay } from "./replay.ts";
import { heavy } from "../turnstile.ts";

interface Subscription {
  /** By which it was asked for last. */
  request: Request;
  /** The task waits for it. */
  lossless: boolean;
  readonly lossy: Lossy;
  /** It began with what was before, and has asked for numbers of events, unless it is told the place of each. */
  readonly late: boolean;
  readonly numbered: boolean;
  readonly placed: boolean;
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

/** Events to clients in one turn of the event loop: some milliseconds. */
const A_TURN = 2048;

export class Subscribers {
  readonly #subscriptions = new Map<Client, Subscription>();
  /** Those that are on their way from the past to what happens now. */
  readonly #replays = new Map<Client, Replay>();
  /** Those that get the next event. */
  readonly #hearing = new Set<Subscription>();
  /** Those that do not, with the count when that began. */
  readonly #skipped = new Map<Subscription, Gap>();
  /** All that was ever left out, for anybody. */
  #count: Gap = { events: 0, bytes: 0 };
  /** Since the last turn that was waited for. */
  #sent = 0;

  readonly event: string;

  /** @param overflow The event that stands for a gap. */
  constructor(
    readonly past: Past,
    readonly overflow: (gap: Gap) => object,
    readonly patience = new Patience(),
  ) {
    this.event = past.event;
  }

  /** Once, however often it is asked for. A client that disconnects is removed. */
  add(client: Client, request: Request, lossless: boolean): void {
    request.follows?.(this.event);
    const replay = this.#replays.get(client);
    if (replay) {
      replay.request = request;
      return;
    }
    const { id, ring } = this.past;
    client.stands?.(placeOf(id, ring.last));
    this.#add(client, request, lossless, false);
  }

  /** The same, beginning with the event of that number: what is kept of it, then what comes, by numbers. */
  replay(client: Client, request: Request, lossless: boolean, from: number): void {
    request.follows?.(this.event);
    if (!client.connected) return;
    this.remove(client);
    const { past } = this;
    const forget = client.onClose(() => this.remove(client));
    const replay = new Replay(client, past, from, request, lossless, (caughtUp) => {
      forget();
      if (this.#replays.get(client) === replay) this.#replays.delete(client);
      if (caughtUp && !past.ring.over) this.#add(client, replay.request, lossless, true);
      if (this.#replays.size === 0) this.idle();
    });
    this.#replays.set(client, replay);
  }

  /** Somebody still takes what was before. */
  get replaying(): boolean {
    return this.#replays.size > 0;
  }

  /** Called when nobody does any more. */
  idle = (): void => {};

  #add(client: Client, request: Request, lossless: boolean, late: boolean): void {
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
      late,
      numbered: late && client.stands === undefined,
      placed: client.stands !== undefined,
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
    return [...this.#subscriptions, ...this.#replays].map(([client, { request }]) => [
      client,
      request,
    ]);
  }

  remove(client: Client): void {
    this.#replays.get(client)?.stop();
    const subscription = this.#subscriptions.get(client);
    if (!subscription) return;
    this.#subscriptions.delete(client);
    this.#hearing.delete(subscription);
    this.#skipped.delete(subscription);
    subscription.forget();
    // A task must not stand still for a client that will never read again.
    for (const release of subscription.waits) release();
  }

  /** Takes its events from those that may not have them any more, with a last one that says so. */
  recheck(may: (request: Request) => boolean | Promise<boolean>): void {
    const { pid } = this.past;
    const info = "the privilege to follow this task was withdrawn";
    for (const [client, request] of this.requests)
      unless(may(request), () => {
        this.dismiss(client, request, { type: "unsubscribed", pid, info });
      });
  }

  /** Takes the events from a client, with a last one, unless it has them by another request by now. */
  dismiss(client: Client, request: Request, data: unknown): void {
    const subscription = this.#subscriptions.get(client);
    const asked = subscription ?? this.#replays.get(client);
    if (asked?.request !== request) return;
    if (subscription) this.#hearAgain(subscription);
    // First: the last event may end the connection.
    this.remove(client);
    void client.send(this.event, data);
  }

  /** Nobody gets anything more. */
  drop(): void {
    this.clear();
    for (const replay of [...this.#replays.values()]) replay.stop();
  }

  /** Who still takes what was before takes it to the end. */
  clear(): void {
    for (const client of [...this.#subscriptions.keys()]) this.remove(client);
  }

  /** Sends the last event of the ring to all. The promise settles when the next may be sent. */
  publish(data: EventData): void | Promise<void> {
    let lossless: Promise<void>[] | undefined;
    let holding: Promise<void>[] | undefined;
    let stalled = false;
    /** Made once, for all that want it. */
    let withNumber: EventData | undefined;
    for (const subscription of this.#hearing) {
      const { lossy } = subscription;
      const shown = subscription.numbered
        ? (withNumber ??= data.numbered(this.past.ring.last))
        : data;
      const place = subscription.placed ? this.#place : undefined;
      if (subscription.lossless) {
        const sent = lossy.client.send(this.event, shown, place);
        if (sent) (lossless ??= []).push(released(sent, subscription));
      } else if (!lossy.full) {
        const was = lossy.stalled;
        lossy.send(shown, place);
        stalled ||= lossy.stalled !== was;
      } else if (subscription.held && this.patience.over) {
        this.#hearing.delete(subscription);
        this.#skipped.set(subscription, this.#count);
      } else {
        subscription.held = true;
        lossy.send(shown, place);
        if (lossy.stalled) (holding ??= []).push(lossy.stalled);
      }
    }
    if (this.#skipped.size > 0) this.#leaveOut(data);
    if (this.#replays.size > 0 && this.#comingLossless.length > 0)
      (lossless ??= []).push(...this.#comingLossless);
    const own = lossless && (lossless.length === 1 ? lossless[0] : all(lossless));
    if (holding) return this.#hold(own, all(holding));
    this.#sent += this.#hearing.size;
    // A piece of output may be thousands of lines, and each goes to hundreds.
    if (this.#sent >= A_TURN) return this.#breathe(own);
    // One turn of the event loop is for all, since who reads takes much in it.
    return own ?? (stalled ? turn() : undefined);
  }

  async #breathe(own: Promise<void> | undefined): Promise<void> {
    this.#sent = 0;
    await new Promise<void>((resolve) => heavy.enter(resolve));
    await own;
  }

  /** The same to those alone that began with what was before: others have it by the reply of who started the task. */
  tellLate(data: EventData): void {
    const { last } = this.past.ring;
    for (const { late, numbered, placed, lossy } of this.#subscriptions.values())
      if (late) lossy.send(numbered ? data.numbered(last) : data, placed ? this.#place : undefined);
  }

  /** Sends the last event. Nobody misses it, and who only follows is not waited for. */
  finish(data: EventData): void | Promise<void> {
    const lossless = this.#comingLossless;
    const { last } = this.past.ring;
    for (const subscription of this.#subscriptions.values()) {
      this.#hearAgain(subscription);
      const { lossy } = subscription;
      const shown = subscription.numbered ? data.numbered(last) : data;
      const place = subscription.placed ? this.#place : undefined;
      if (subscription.lossless) {
        const sent = lossy.client.send(this.event, shown, place);
        if (sent) lossless.push(released(sent, subscription));
      } else {
        lossy.send(shown, place);
      }
    }
    if (lossless.length > 0) return all(lossless);
  }

  get #place(): string {
    const { id, ring } = this.past;
    return placeOf(id, ring.last);
  }

  /** The task waits for those too that are still on their way, and are to miss nothing. */
  get #comingLossless(): Promise<void>[] {
    return [...this.#replays.values()].flatMap((one) => (one.lossless ? [one.caughtUp] : []));
  }

  async #hold(own: Promise<void> | undefined, followers: Promise<void>): Promise<void> {
    // Only what goes beyond the wait for those that may hold the task is held against the others.
    await own;
    await this.patience.wait(followers);
  }

  #leaveOut(data: EventData): void {
    const { events, bytes } = this.#count;
    const size = Buffer.byteLength(data.json);
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
