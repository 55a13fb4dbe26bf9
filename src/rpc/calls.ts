/** What one calls over a connection, whichever of the protocols it speaks: open calls, the sessions and tokens that the exporter has been told, and the events that it has announced. */
import { type Client, type Request, SERVER_SESSION } from "../api/client.ts";
import type { May } from "../api/foreign.ts";
import { Feed } from "../api/feed.ts";
import { AfbError } from "../errors.ts";
import { MOST_NAME, MOST_TOKEN } from "./packet.ts";
import { Places } from "./places.ts";
import { Told } from "./told.ts";
import { RpcError } from "./wire.ts";

/** The bytes of what an importer says. */
export interface Caller {
  /** undefined where the arguments are more than the protocol carries. */
  call(
    callid: number,
    api: string | undefined,
    session: number,
    token: number,
    asked: Request,
  ): Buffer | undefined;
  create(kind: "session" | "token", id: number, name: string): Buffer;
  unexpected(event: number): Buffer;
  /** Most bytes of arguments. */
  readonly most: number;
}

/** The connection: see Conversation. */
export interface CallLink {
  readonly open: boolean;
  readonly backlog: number;
  send(bytes: Buffer): void | Promise<void>;
}

/** What a call has come to. */
export type Answer = { readonly response: unknown } | { readonly error: Error };

interface Open {
  readonly request: Request;
  readonly settle: PromiseWithResolvers<unknown>;
}

interface Followed {
  readonly feed: Feed;
  readonly forget: () => void;
  readonly asked: Request;
}

interface Event {
  readonly name: string;
  readonly feeds: Map<Client, Followed>;
}

/** Calls that may be open on a connection, of which an exporter of ours would read no more; and calls that wait for that. */
const MOST_CALLS = 1000;
const MOST_QUEUED = 16_384;
const MOST_ID = 0xffff;
/** Milliseconds after which a call is given up: an exporter that could not send its reply says nothing. */
const CALL_LIMIT = 600_000;
/** Bytes that may wait for an exporter. */
const MOST_WAITING = 512 << 10;
/** Bytes of the names of events that an exporter may have announced, and what each costs besides. */
const MOST_NAMES = 1 << 20;
const NAME_COST = 64;

const GONE = "the other binder has gone";

export class Calls {
  readonly #calls = new Map<number, Open>();
  readonly #events = new Map<number, Event>();
  /** Those of all calls, made or not. */
  readonly #unsettled = new Set<Open["settle"]>();
  readonly #places = new Places(MOST_CALLS, MOST_QUEUED);
  #link: CallLink | undefined;
  /** Settles when the link can take more. */
  #sent: Promise<void> | undefined;
  /** Events that came behind a reply in this turn of the event loop: it has still a way to go to its client, and is to be there first. */
  #behind: (() => void)[] | undefined;
  #names = 0;
  #next = 0;

  readonly told: Told;

  constructor(readonly speaker: Caller) {
    this.told = new Told(speaker.create);
  }

  attach(link: CallLink): void {
    this.#link = link;
  }

  /** No call is open, and nobody follows anything. */
  get isIdle(): boolean {
    return (
      this.#unsettled.size === 0 &&
      [...this.#events.values()].every(({ feeds }) => feeds.size === 0)
    );
  }

  /** @param api its name there; undefined for the one that has none. Rejects with the error of the reply */
  async call(api: string | undefined, request: Request): Promise<unknown> {
    if (!this.#link?.open) throw new AfbError("disconnected", GONE);
    const peer = request.from?.peer ?? "";
    const settle = Promise.withResolvers<unknown>();
    const late = new AfbError("timeout", "the other binder does not answer");
    const timer = setTimeout(() => settle.reject(late), CALL_LIMIT);
    this.#unsettled.add(settle);
    let callid: number | undefined;
    const made = async (): Promise<void> => {
      await this.#places.enter(peer);
      try {
        await this.#room();
        if (this.#unsettled.has(settle)) callid = this.#send(api, request, settle);
        await settle.promise;
      } finally {
        this.#places.leave(peer);
      }
    };
    made().catch((error: unknown) => settle.reject(error));
    try {
      return await settle.promise;
    } finally {
      clearTimeout(timer);
      this.#unsettled.delete(settle);
      if (callid !== undefined) this.#calls.delete(callid);
    }
  }

  /** Waits while much waits for the exporter: beyond, it would not be read either, and tear what it sends. */
  async #room(): Promise<void> {
    while (this.#link?.open && this.#link.backlog >= MOST_WAITING && this.#sent) await this.#sent;
    if (!this.#link?.open) throw new AfbError("disconnected", GONE);
  }

  /** Returns the number of the call. */
  #send(api: string | undefined, request: Request, settle: Open["settle"]): number {
    const { verb } = request;
    const { token: text } = request.caller ?? {};
    if (!sendable(verb, MOST_NAME)) throw new AfbError("unknown-verb", "there is no such verb");
    if (text && !sendable(text, MOST_TOKEN))
      throw new AfbError("invalid-token", "this token is none that another binder could be told");
    const before: Buffer[] = [];
    const session = this.told.session(request.session, before);
    const token = text ? this.told.token(text, before) : 0;
    const callid = this.#callid();
    const bytes = this.speaker.call(callid, api, session, token, request);
    if (bytes) {
      this.#calls.set(callid, { request, settle });
      before.push(bytes);
    }
    // In one write, as binders send them; what they have been told is known from now on.
    if (before.length > 0) this.#sent = this.#link?.send(Buffer.concat(before)) ?? undefined;
    if (bytes) return callid;
    throw new AfbError(
      "invalid-request",
      `the arguments have more than the ${this.speaker.most} bytes that go to another binder`,
    );
  }

  reply(callid: number, answer: Answer): void {
    const call = this.#calls.get(callid);
    this.#calls.delete(callid);
    if (!this.#behind) {
      this.#behind = [];
      setImmediate(() => this.#catchUp());
    }
    if ("error" in answer) call?.settle.reject(answer.error);
    else call?.settle.resolve(answer.response);
  }

  /** An event is announced. A number that is one already is another from now on. */
  create(id: number, name: string): void {
    this.destroy(id);
    this.#names += name.length + NAME_COST;
    if (this.#names > MOST_NAMES)
      throw new RpcError("it announces more events than there is room for");
    this.#events.set(id, { name, feeds: new Map() });
  }

  destroy(id: number): void {
    const event = this.#events.get(id);
    if (!event) return;
    this.#events.delete(id);
    this.#names -= event.name.length + NAME_COST;
    for (const { forget } of event.feeds.values()) forget();
  }

  subscribe(callid: number, id: number): void {
    const event = this.#events.get(id);
    if (!event) throw new RpcError("a subscription to nothing");
    const request = this.#calls.get(callid)?.request;
    // It has been given up, which is no fault of who answers late.
    if (!request) return;
    const { client } = request;
    request.follows?.(event.name);
    if (!client?.connected || event.feeds.has(client)) return;
    const forget = client.onClose(() => this.#leave(id, event, client));
    event.feeds.set(client, { feed: new Feed(client, event.name), forget, asked: request });
  }

  unsubscribe(callid: number, id: number): void {
    const client = this.#calls.get(callid)?.request.client;
    const feeds = this.#events.get(id)?.feeds;
    if (!client) return;
    feeds?.get(client)?.forget();
    feeds?.delete(client);
  }

  /** @param data only read where somebody listens */
  push(id: number, data: () => unknown): void {
    const event = this.#events.get(id);
    if (!event || event.feeds.size === 0) return;
    const value = data();
    const tell = (): void => {
      for (const { feed } of event.feeds.values()) feed.push(value);
    };
    if (this.#behind) this.#behind.push(tell);
    else tell();
  }

  /** Ends the events of whose request `may` is false, in the end. */
  recheck(may: May): void {
    for (const [id, event] of [...this.#events])
      for (const [client, { asked, feed, forget }] of [...event.feeds]) {
        const end = (still: boolean): void => {
          if (still || event.feeds.get(client)?.feed !== feed) return;
          if (asked.session !== SERVER_SESSION) feed.end({ type: "unsubscribed" });
          forget();
          this.#leave(id, event, client);
        };
        const still = may(asked);
        if (typeof still === "boolean") end(still);
        else void still.then(end);
      }
  }

  #catchUp(): void {
    const behind = this.#behind ?? [];
    this.#behind = undefined;
    for (const tell of behind) tell();
  }

  /** The connection is gone. Who followed something is told so: nothing more comes until it calls again. */
  gone(): void {
    this.#catchUp();
    for (const [id, { feeds }] of [...this.#events]) {
      for (const { feed, asked } of feeds.values())
        // Actions of the server are for what the other binder sends.
        if (asked.session !== SERVER_SESSION) feed.end({ type: "disconnected", info: GONE });
      this.destroy(id);
    }
    this.#places.close(new AfbError("disconnected", GONE));
    for (const settle of this.#unsettled) settle.reject(new AfbError("disconnected", GONE));
  }

  /** A client listens to an event no more. */
  #leave(id: number, event: Event, client: Client): void {
    event.feeds.delete(client);
    // Nobody listens here any more.
    if (event.feeds.size === 0 && this.#events.get(id) === event && this.#link?.open)
      void this.#link.send(this.speaker.unexpected(id));
  }

  #callid(): number {
    do this.#next = (this.#next % MOST_ID) + 1;
    while (this.#calls.has(this.#next));
    return this.#next;
  }
}

/** A name with a NUL within would be another one there. */
const sendable = (name: string, most: number): boolean =>
  !name.includes("\0") && Buffer.byteLength(name) <= most;
