/** One connection to an exporter: open calls, the sessions and tokens that it has been told, and the events that it has announced. */
import type { Socket } from "node:net";
import type { Client, Request } from "../api/client.ts";
import { Feed } from "../api/feed.ts";
import { AfbError, type FailureStatus, STATUS } from "../errors.ts";
import { Conversation } from "../server/conversation.ts";
import { stringify } from "../server/event-text.ts";
import { encodePacket } from "./encode-packet.ts";
import { MOST_NAME, MOST_TOKEN, type Packet } from "./packet.ts";
import { PacketReader } from "./packets.ts";
import { isUnreadable, jsonValue, MOST_VALUE, readValues } from "./value.ts";
import { encodeOffer, type Offer, RpcError, type Set as Chosen } from "./wire.ts";

const V3 = 3;
/** Versions as binders offer them: zeros are filler. */
const OFFERED = [V3, 0, 0];
/** Calls that may be open on a connection. */
const MOST_CALLS = 4095;
const MOST_ID = 0xffff;
/** Milliseconds after which a call is given up: an exporter that could not send its reply says nothing. */
const CALL_LIMIT = 600_000;

interface Open {
  readonly request: Request;
  readonly settle: PromiseWithResolvers<unknown>;
  readonly timer: ReturnType<typeof setTimeout>;
}

interface Event {
  readonly name: string;
  readonly feeds: Map<Client, { readonly feed: Feed; readonly forget: () => void }>;
}

/** An error with a code of the verb's own; see reply.ts. */
class OwnError extends Error {
  readonly status = "error";

  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

export class Dialled {
  readonly #link: Conversation<Packet | Offer | Chosen>;
  readonly #greeted = Promise.withResolvers<void>();
  readonly #calls = new Map<number, Open>();
  readonly #sessions = new Map<string, number>();
  readonly #tokens = new Map<string, number>();
  readonly #events = new Map<number, Event>();
  #next = 0;
  #seqno = 0;

  private constructor(socket: Socket, gone: () => void) {
    this.#link = new Conversation(socket, {
      reader: new PacketReader("set"),
      sizeOf: () => 0,
      handle: (packet) => this.#handle(packet),
      goodbye: () => undefined,
      faultOf: (error) =>
        error instanceof RpcError ? { code: 1002, message: error.message } : undefined,
      gone: () => {
        gone();
        this.#gone();
      },
    });
    this.#greeted.promise.catch(() => {});
    this.#link.start(new Uint8Array());
    this.#link.answer(encodeOffer(OFFERED));
  }

  /** Agrees about the version: nothing may be sent before that. Rejects with an Error where there is none. */
  static async greet(socket: Socket, limit: number, gone: () => void): Promise<Dialled> {
    const dialled = new Dialled(socket, gone);
    const timer = setTimeout(() => {
      dialled.#greeted.reject(new Error("it does not say in time which version it speaks"));
      dialled.close();
    }, limit);
    try {
      await dialled.#greeted.promise;
      return dialled;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#link.finish();
  }

  /** @param api its name there; undefined for the one that has none. Rejects with the error of the reply */
  call(api: string | undefined, request: Request): Promise<unknown> {
    if (!this.#link.open) throw new AfbError("disconnected", "the other binder has gone");
    if (this.#calls.size >= MOST_CALLS)
      throw new AfbError("busy", "too many calls of the other binder are open: try again later");
    const value = jsonValue(stringify(request.args ?? null) ?? "null");
    if (value.bytes.length > MOST_VALUE)
      throw new AfbError(
        "invalid-request",
        `the arguments have more than the ${MOST_VALUE - 1} bytes that go to another binder`,
      );
    const { verb } = request;
    const { token: text } = request.caller ?? {};
    if (!sendable(verb, MOST_NAME)) throw new AfbError("unknown-verb", "there is no such verb");
    if (text && !sendable(text, MOST_TOKEN))
      throw new AfbError("invalid-token", "this token is none that another binder could be told");
    const before: Packet[] = [];
    const session = this.#idOf("session", request.session.uuid, before);
    const token = text ? this.#idOf("token", text, before) : 0;
    const callid = this.#callid();
    const settle = Promise.withResolvers<unknown>();
    const timer = setTimeout(
      () =>
        this.#end(callid)?.settle.reject(
          new AfbError("timeout", "the other binder does not answer"),
        ),
      CALL_LIMIT,
    );
    this.#calls.set(callid, { request, settle, timer });
    // In one write, as binders send them.
    this.#send(...before, { type: "call", callid, api, verb, session, token, values: [value] });
    return settle.promise;
  }

  #idOf(kind: "session" | "token", name: string, before: Packet[]): number {
    const known = kind === "session" ? this.#sessions : this.#tokens;
    const id = known.get(name) ?? known.size + 1;
    if (id > MOST_ID) {
      // There are no more numbers on this connection. The next has all of them.
      if (this.#calls.size === 0) this.close();
      throw new AfbError("busy", "too many sessions on one connection: try again");
    }
    if (!known.has(name)) before.push({ type: "create", kind, id, name });
    known.set(name, id);
    return id;
  }

  #callid(): number {
    do this.#next = (this.#next % MOST_ID) + 1;
    while (this.#calls.has(this.#next));
    return this.#next;
  }

  #send(...packets: readonly Packet[]): void {
    const bytes = packets.map((packet) => {
      this.#seqno = (this.#seqno % MOST_ID) + 1;
      return encodePacket(packet, this.#seqno);
    });
    void this.#link.send(Buffer.concat(bytes));
  }

  #end(callid: number): Open | undefined {
    const call = this.#calls.get(callid);
    if (!call) return undefined;
    this.#calls.delete(callid);
    clearTimeout(call.timer);
    return call;
  }

  #handle(packet: Packet | Offer | Chosen): void {
    switch (packet.type) {
      case "set":
        if (packet.version === V3) this.#greeted.resolve();
        else {
          this.#greeted.reject(new Error("it speaks no version 3 of RPC"));
          this.close();
        }
        return;
      case "reply": {
        const call = this.#end(packet.callid);
        if (call) settled(call, packet);
        return;
      }
      case "create":
        if (packet.kind !== "event") return;
        this.#forget(packet.id);
        this.#events.set(packet.id, { name: packet.name, feeds: new Map() });
        return;
      case "destroy":
        if (packet.kind === "event") this.#forget(packet.id);
        return;
      case "subscribe":
        return this.#subscribe(packet.callid, packet.event);
      case "unsubscribe": {
        const client = this.#calls.get(packet.callid)?.request.client;
        const feeds = this.#events.get(packet.event)?.feeds;
        if (!client) return;
        feeds?.get(client)?.forget();
        feeds?.delete(client);
        return;
      }
      case "push": {
        const event = this.#events.get(packet.event);
        if (!event) return;
        const data = readable(packet);
        for (const { feed } of event.feeds.values()) feed.push(data);
        return;
      }
      case "broadcast":
        // Whose it is nobody says: it is for clients of the other binder.
        return;
      default:
        throw new RpcError(`an exporter does not say ${packet.type}`);
    }
  }

  #subscribe(callid: number, id: number): void {
    const call = this.#calls.get(callid);
    const event = this.#events.get(id);
    if (!call || !event) throw new RpcError("a subscription to nothing");
    const { client } = call.request;
    call.request.follows?.(event.name);
    if (!client?.connected || event.feeds.has(client)) return;
    const forget = client.onClose(() => {
      event.feeds.delete(client);
      // Nobody listens here any more.
      if (event.feeds.size === 0 && this.#events.get(id) === event && this.#link.open)
        this.#send({ type: "unexpected", event: id });
    });
    event.feeds.set(client, { feed: new Feed(client, event.name), forget });
  }

  #forget(id: number): void {
    const event = this.#events.get(id);
    this.#events.delete(id);
    for (const { forget } of event?.feeds.values() ?? []) forget();
  }

  #gone(): void {
    this.#greeted.reject(new Error("it has closed the connection"));
    for (const id of [...this.#events.keys()]) this.#forget(id);
    for (const callid of [...this.#calls.keys()])
      this.#end(callid)?.settle.reject(new AfbError("disconnected", "the other binder has gone"));
  }
}

/** A name with a NUL within would be another one there. */
const sendable = (name: string, most: number): boolean =>
  !name.includes("\0") && Buffer.byteLength(name) <= most;

type Told = Extract<Packet, { type: "reply" | "push" }>;

function readable({ values }: Told): unknown {
  try {
    return readValues(values) ?? null;
  } catch (error) {
    if (isUnreadable(error)) return { unreadable: error.message };
    throw error;
  }
}

const WORDS = new Map<number, FailureStatus>(
  (Object.keys(STATUS) as (keyof typeof STATUS)[]).flatMap((status) =>
    status === "success" ? [] : [[STATUS[status].code, status] as const],
  ),
);

/** From here on down codes are a verb's own. */
const OWN = -1000;

function settled({ settle }: Open, packet: Extract<Packet, { type: "reply" }>): void {
  const { status } = packet;
  const value = packet.values.length === 0 ? undefined : readable(packet);
  if (status >= 0) return settle.resolve(value);
  const info = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
  const word = WORDS.get(status);
  if (status <= OWN) settle.reject(new OwnError(status, info));
  else settle.reject(new AfbError(word ?? "internal-error", word ? info : `${status}: ${info}`));
}
