/**
 * The protocol over HTTP ("Streamable HTTP"): sessions, and whose they are. A session is its maker's: to anybody else its id is
 * that of none. How many there may be is bounded, for all and for each peer; those that are idle make room.
 */
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import {
  isInitializeRequest,
  isJSONRPCRequest,
  type RequestId,
} from "@modelcontextprotocol/sdk/types.js";
import { parseForeign, TooManyValues } from "../json.ts";
import { withoutNull } from "./null-arguments.ts";
import { isWritten, toDoubles } from "../numbers.ts";
import { isObject } from "../object.ts";
import type { Host, Who } from "./host.ts";
import { Outlets } from "./outlet.ts";
import { Own } from "./own.ts";
import { Replay } from "./replay.ts";
import { Session } from "./session.ts";
import { visible } from "../visible.ts";

/** Who has sent a request. */
export interface Visit {
  readonly who: Pick<Who, "caller">;
  /** The same for the same maker of sessions, and for nobody else. */
  readonly owner: string;
  readonly peer: string;
  readonly body: Uint8Array;
}

/** Sessions at a time, of all and of one peer. */
const MOST = 256;
const MOST_EACH = 128;
/** ms */
export interface Patience {
  /** Without a request, a stream or a call: then a session is over. */
  readonly idle: number;
  /** How often that is looked for. */
  readonly look: number;
  /** In which a client whose streams all broke may come back, before what is to end with it ends. */
  readonly away: number;
}
const PATIENCE: Patience = { idle: 15 * 60_000, look: 60_000, away: 30_000 };
/** Bytes of a first message: what a client says of itself is kept. */
const FIRST = 64 << 10;
/** Callers whose tasks are remembered. */
const OWNERS = 256;
/** Characters of an id of a request that are told. */
const ID = 80;

const JSON_RPC = {
  ...{ parse: -32700, invalid: -32600, method: -32601, unknown: -32001, busy: -32000 },
} as const;
/** What a client asks first that speaks later versions, too, which have no sessions: see `relay.ts`. */
const DISCOVER = "server/discover";

class Guest {
  readonly id = crypto.randomUUID();
  readonly session: Session;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  readonly outlets: Outlets;
  readonly #replay = new Replay();
  #who: Who;
  #away: ReturnType<typeof setTimeout> | undefined;
  readonly owner: string;
  readonly peer: string;
  used = performance.now();

  constructor(
    host: Host,
    visit: Visit,
    own: Own,
    readonly away: number,
    readonly gone: (guest: Guest) => void,
  ) {
    // Not the request, which may be long.
    this.owner = visit.owner;
    this.peer = visit.peer;
    const from = { peer: visit.peer, connection: this };
    this.#who = { session: { uuid: crypto.randomUUID() }, from, caller: visit.who.caller };
    this.outlets = new Outlets(
      () => void this.close(),
      () => this.#alone(),
    );
    this.session = new Session(
      host,
      () => this.#who,
      own,
      () => this.outlets.isSlow,
      (call) => this.#unwanted(call),
    );
    this.transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => this.id,
      eventStore: this.#replay,
    });
    // Its client has ended it.
    this.session.server.onclose = () => void this.close();
  }

  /** Nothing of it goes on. */
  get isIdle(): boolean {
    return !this.session.busy && this.outlets.open === 0;
  }

  async respond(request: Request, visit: Visit, message: unknown): Promise<Response> {
    this.used = performance.now();
    clearTimeout(this.#away);
    // Of the same maker: the certificate may be a newer one, the address another.
    this.#who = { ...this.#who, caller: visit.who.caller };
    // What the protocol wants where there is no stream to be had. Another answer would be asked for again.
    const last = request.method === "GET" ? request.headers.get("last-event-id") : null;
    if (this.#replay.isOver(last))
      return fault(405, JSON_RPC.invalid, "that call was cancelled: nothing more comes of it");
    const rest = last === null ? undefined : this.#restOf(last);
    if (rest?.isMore === false)
      return fault(405, JSON_RPC.invalid, "that call was answered: nothing more comes of it");
    const twice = this.#twice(message);
    // The answer to one would be taken for that to the other, and the stream of one never end.
    if (twice !== undefined) return fault(400, JSON_RPC.invalid, `the id ${twice} is in use`);
    const options = message === undefined ? {} : { parsedBody: message };
    const response = await this.transport.handleRequest(request, options);
    if (rest && response.ok) this.transport["_streamMapping"].get(rest.stream)?.cleanup();
    const isStream = response.headers.get("content-type") === "text/event-stream";
    if (!isStream && this.outlets.open === 0) this.#alone();
    return isStream ? this.outlets.through(response) : response;
  }

  async close(): Promise<void> {
    clearTimeout(this.#away);
    this.gone(this);
    await this.session.close();
    this.#replay.close();
    this.outlets.close();
  }

  /**
   * What is left of a stream of which all is answered: the transport would leave it open for ever. There are clients that come back
   * to each that had an error for its answer. undefined where more may come.
   */
  #restOf(last: string): ReturnType<Replay["after"]> {
    const rest = this.#replay.after(last);
    const open = new Set(this.transport["_requestToStreamMapping"].values());
    const mayGoOn = [...open, this.transport["_standaloneSseStreamId"]];
    return rest && !mayGoOn.includes(rest.stream) ? rest : undefined;
  }

  /** An id of a request, shortened, that is that of another whose answer is not there yet; undefined where there is none. */
  #twice(message: unknown): string | undefined {
    const open = new Set<unknown>(this.transport["_requestToStreamMapping"].keys());
    for (const one of Array.isArray(message) ? message : [message]) {
      if (!isJSONRPCRequest(one)) continue;
      if (open.has(one.id)) return visible(JSON.stringify(one.id).slice(0, ID));
      open.add(one.id);
    }
    return undefined;
  }

  /** The transport waits for an answer, with the stream and the connection that it would come by. */
  #unwanted(call: RequestId): void {
    const streams = this.transport["_requestToStreamMapping"];
    const answers = this.transport["_requestResponseMap"];
    const stream = streams.get(call);
    if (stream === undefined) return;
    // Where several calls came in one message, theirs come by the same: it ends behind the last of them.
    const others = [...streams].filter(([other, by]) => other !== call && by === stream);
    const isOver = others.every(([other]) => answers.has(other));
    if (isOver) this.transport.closeSSEStream(call);
    streams.delete(call);
    if (others.length === 0) return this.#replay.end(stream);
    if (!isOver) return;
    for (const [other] of others) {
      streams.delete(other);
      answers.delete(other);
    }
  }

  #alone(): void {
    this.used = performance.now();
    clearTimeout(this.#away);
    if (this.session.busy) this.#away = setTimeout(() => this.session.away(), this.away);
  }
}

export class Door {
  /** The least recently used first. */
  readonly #guests = new Map<string, Guest>();
  readonly #owned = new Map<string, Own>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    readonly host: Host,
    readonly patience: Patience = PATIENCE,
  ) {}

  async respond(request: Request, visit: Visit): Promise<Response> {
    request.headers.set("accept", accepted(request.headers.get("accept")));
    const id = request.headers.get("mcp-session-id");
    const message = request.method === "POST" ? messageOf(visit.body) : undefined;
    if (message instanceof Unreadable) return fault(400, JSON_RPC.parse, message.why);
    const isFirst = isInitializeRequest(message?.value);
    if (id !== null) {
      const guest = this.#guests.get(id);
      if (guest?.owner === visit.owner) {
        this.#guests.delete(id);
        this.#guests.set(id, guest);
        return guest.respond(request, visit, message?.value);
      }
      // There are clients that begin anew as they should after the 404, and go on naming the session that is none.
      if (!isFirst) return fault(404, JSON_RPC.unknown, "no such session: initialize another one");
      request.headers.delete("mcp-session-id");
    }
    if (!isFirst) return notBegun(message?.value);
    if (visit.body.length > FIRST)
      return fault(413, JSON_RPC.invalid, `initialize takes at most ${FIRST} bytes`);
    if (!this.#makeRoom(visit.peer))
      return fault(503, JSON_RPC.busy, "there are too many sessions: end some, or try again later");
    return this.#begin(request, visit, message?.value);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await Promise.all([...this.#guests.values()].map((guest) => guest.close()));
  }

  async #begin(request: Request, visit: Visit, message: unknown): Promise<Response> {
    const forget = ({ id }: Guest): void => {
      this.#guests.delete(id);
      if (this.#guests.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
    const { away, look } = this.patience;
    const guest = new Guest(this.host, visit, this.#ownOf(visit.owner), away, forget);
    await guest.session.connect(guest.transport);
    this.#guests.set(guest.id, guest);
    this.#timer ??= setInterval(() => this.#look(), look);
    const response = await guest.respond(request, visit, message);
    // It was not what the protocol wants.
    if (guest.transport.sessionId === undefined) await guest.close();
    return response;
  }

  #ownOf(owner: string): Own {
    const own = this.#owned.get(owner) ?? new Own();
    this.#owned.delete(owner);
    this.#owned.set(owner, own);
    const [first] = this.#owned.keys();
    if (this.#owned.size > OWNERS && first !== undefined) this.#owned.delete(first);
    return own;
  }

  /** Of its own where a peer has many, else of whoever has not been heard of for longest. */
  #makeRoom(peer: string): boolean {
    const all = [...this.#guests.values()];
    const own = all.filter((guest) => guest.peer === peer);
    const crowd = own.length >= MOST_EACH ? own : all.length >= MOST ? all : undefined;
    if (!crowd) return true;
    const idle = crowd.find((guest) => guest.isIdle);
    if (!idle) return false;
    void idle.close();
    return true;
  }

  #look(): void {
    const now = performance.now();
    for (const guest of [...this.#guests.values()])
      if (guest.isIdle && now - guest.used > this.patience.idle) void guest.close();
  }
}

class Unreadable {
  constructor(readonly why: string) {}
}

/** Numbers of arguments stay as they are written. */
function messageOf(body: Uint8Array): { readonly value: unknown } | Unreadable {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    const parsed = parseForeign(text);
    return { value: Array.isArray(parsed) ? parsed.map(withDoubles) : withDoubles(parsed) };
  } catch (error) {
    if (error instanceof TooManyValues) return new Unreadable(error.message);
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return new Unreadable(`the body is no JSON: ${error.message}`);
  }
}

/** But for arguments: the protocol reckons with its own numbers. */
function withDoubles(message: unknown): unknown {
  if (!isObject(message) || isWritten(message)) return toDoubles(message);
  const { params } = message;
  if (!isObject(params) || isWritten(params)) return toDoubles(message);
  const { arguments: args, ...others } = params;
  if (args === null) return toDoubles(withoutNull(message));
  if (!isObject(args) || isWritten(args)) return toDoubles(message);
  const plain = toDoubles(others);
  const outer = toDoubles({ ...message, params: undefined });
  if (!isObject(plain) || !isObject(outer)) return undefined;
  return { ...outer, params: { ...plain, arguments: args } };
}

const TYPES = ["application/json", "text/event-stream"];

/** Ranges in full, since the transport looks for the types themselves; who says nothing takes anything (RFC 9110, section 12.5.1). */
function accepted(given: string | null): string {
  const ranges = (given ?? "*/*")
    .split(",")
    .map((one) => one.split(";", 1)[0]?.trim().toLowerCase());
  const has = (type: string): boolean =>
    [type, type.replace(/\/.*/, "/*"), "*/*"].some((one) => ranges.includes(one));
  return TYPES.filter(has).join(", ");
}

/** With the id of a request, for clients that look for it to see by which version to begin. */
function notBegun(message: unknown): Response {
  const asked = isJSONRPCRequest(message) ? message : undefined;
  const code = asked?.method === DISCOVER ? JSON_RPC.method : JSON_RPC.invalid;
  return fault(400, code, "begin with initialize, then send Mcp-Session-Id", asked?.id);
}

const fault = (
  status: number,
  code: number,
  message: string,
  id: RequestId | null = null,
): Response => Response.json({ jsonrpc: "2.0", error: { code, message }, id }, { status });
