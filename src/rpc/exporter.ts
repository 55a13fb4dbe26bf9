/** What one importer is served with over its connection, whichever of the protocols it speaks: calls, sessions, tokens, events. */
import type { Caller, Session } from "../api/client.ts";
import { stringify, valueOf } from "../api/event-data.ts";
import type { Registry } from "../api/registry.ts";
import { failure, type Reply } from "../api/reply.ts";
import type { Asker } from "../api/turns.ts";
import { AfbError } from "../errors.ts";
import type { CertificateNames } from "../api/client.ts";
import type { Peer } from "../server/peer.ts";
import { callerOf, type Credentials, type Sessions } from "../server/session.ts";
import { Share } from "../share.ts";
import { errorLine } from "../unexpected.ts";
import type { Shown } from "../config/binder-uri.ts";
import { localApi } from "./local-api.ts";
import { type Host, Party } from "./party.ts";
import { isUnreadable } from "./value.ts";
import { RpcError } from "./wire.ts";

/** The bytes of what an exporter says; undefined for what the protocol has no room for. */
export interface Speaker {
  reply(callid: number, reply: Reply): Buffer | undefined;
  create(event: number, name: string): Buffer;
  subscribe(callid: number, event: number): Buffer;
  push(event: number, data: unknown): Buffer | undefined;
  destroy(event: number): Buffer;
  /** Most bytes of a reply or an event, and what carries more. */
  readonly most: number;
  readonly advice: string;
}

/** The connection: see Conversation. */
export interface Link {
  readonly open: boolean;
  readonly empty: boolean;
  readonly backlog: number;
  readonly heard: number | undefined;
  send(bytes: Buffer): void | Promise<void>;
  hold(held: boolean): void;
  charge(bytes: number): void;
}

export interface ExporterOptions {
  readonly registry: Registry;
  readonly sessions: Sessions;
  readonly exported: readonly Shown[];
  readonly from: Asker;
  /** Of calls that name neither session nor token. */
  readonly credentials?: Pick<Credentials, "uuid" | "token">;
  /** Who connected, over a unix socket. */
  readonly peer: Peer | undefined;
  /** Verified by TLS, where the connection came over HTTP. */
  readonly certificate?: CertificateNames | undefined;
  /** Where it comes from, over TCP. */
  readonly address?: string | undefined;
}

export interface Call {
  readonly callid: number;
  readonly api: string | undefined;
  readonly verb: string;
  /** 0 for none. */
  readonly session: number;
  readonly token: number;
  /** Of the message, about. */
  readonly size: number;
  /** Throws a SyntaxError where they are no JSON. */
  readonly args: () => unknown;
  /** Who calls, where that is not the peer. Throws, or rejects with, an AfbError. */
  readonly caller?: (session: Session) => Caller | Promise<Caller>;
}

/** Calls without a reply at which a connection is no longer read, and at which it is again. */
const CALLS_HIGH = 1024;
const CALLS_LOW = 512;
/** Bytes of sessions and tokens that importers have named: binders never take one back. What each may have, and all together. */
const NAMES_EACH = 1 << 20;
const NAMES_ALL = 32 << 20;
const NAME_COST = 128;
const names = new Share(NAMES_ALL, NAMES_EACH);

const MOST_ID = 0xffff;

export class Exporter implements Host {
  #link: Link | undefined;
  #calls = 0;
  #next = 0;
  readonly #names = names.part();
  readonly #sessions = new Map<number, string>();
  readonly #tokens = new Map<number, string>();
  /** By number of the session. */
  readonly #parties = new Map<number, Party>();
  readonly #events = new Map<number, { readonly party: Party; readonly name: string }>();

  constructor(
    readonly options: ExporterOptions,
    readonly speaker: Speaker,
  ) {}

  attach(link: Link): void {
    this.#link = link;
  }

  get connected(): boolean {
    return this.#link?.open ?? false;
  }

  get backlog(): number {
    return this.#link?.backlog ?? 0;
  }

  /** Since when nothing was asked for, ms of performance.now(); undefined while something is done for it. */
  get idleSince(): number | undefined {
    const link = this.#link;
    if (!link || this.#calls > 0 || !link.empty) return undefined;
    for (const { kept } of this.#parties.values()) if (kept > 0) return undefined;
    return link.heard;
  }

  /** Names a session or a token. A number that has a name already gets another, as nobody can have it twice. */
  name(kind: "session" | "token", id: number, name: string): void {
    const known = kind === "session" ? this.#sessions : this.#tokens;
    const before = known.get(id);
    if (before === name) return;
    if (before !== undefined) this.forget(kind, id);
    known.set(id, name);
    this.#names.add(name.length + NAME_COST);
    if (this.#names.full)
      throw new RpcError("it has named more sessions and tokens than there is room for");
  }

  forget(kind: "session" | "token", id: number): void {
    const known = kind === "session" ? this.#sessions : this.#tokens;
    const name = known.get(id);
    if (name === undefined) return;
    known.delete(id);
    this.#names.add(-name.length - NAME_COST);
    if (kind === "session") this.#leave(id);
  }

  /** A token by its number; undefined for none. Throws AfbError for one that was never told. */
  tokenOf(id: number): string | undefined {
    const text = id === 0 ? this.options.credentials?.token : this.#tokens.get(id);
    if (id !== 0 && text === undefined)
      throw new AfbError("invalid-token", `token ${id} was never told on this connection`);
    return text;
  }

  /** Nobody there listens to an event any more: no more of it is sent. It is announced anew where somebody does. */
  unexpected(event: number): void {
    const known = this.#events.get(event);
    if (!known) return;
    this.#events.delete(event);
    known.party.events.delete(known.name);
    void this.#link?.send(this.speaker.destroy(event));
  }

  call(call: Call): void {
    const { callid, verb, size } = call;
    if (++this.#calls >= CALLS_HIGH) this.#link?.hold(true);
    this.#link?.charge(size);
    let open = true;
    const reply = (answer: Reply): void => {
      open = false;
      this.#reply(callid, answer);
      if (--this.#calls === CALLS_LOW) this.#link?.hold(false);
      this.#link?.charge(-size);
    };
    try {
      const { registry, exported, from, certificate } = this.options;
      const api = localApi(exported, call.api);
      if (api === undefined) throw new AfbError("unknown-api", this.#unknown(call.api));
      const { peer, address } = this.options;
      const how = { address, via: "binder", certificate } as const;
      const own = callerOf(this.#credentials(call.token), peer, how);
      const party = this.#party(call.session);
      const told = new Set<string>();
      const follows = (event: string): void => {
        if (!open || told.has(event)) return;
        told.add(event);
        this.#announce(party, event, callid);
      };
      const args = call.args();
      const { session } = party;
      const made = { api, verb, args, client: party, session, follows, from };
      const caller = call.caller?.(session) ?? own;
      const answer =
        caller instanceof Promise
          ? caller.then((known) => registry.call({ ...made, caller: known }))
          : registry.call({ ...made, caller });
      answer.then(reply, (error: unknown) => reply(failure(error)));
    } catch (error) {
      if (error instanceof RpcError) throw error;
      const unread = isUnreadable(error);
      reply(
        failure(
          unread
            ? new AfbError("invalid-request", `the arguments are not JSON: ${error.message}`)
            : error,
        ),
      );
    }
  }

  push(party: Party, event: string, data: unknown): void | Promise<void> {
    const id = party.events.get(event);
    // Nobody listens there any more.
    if (id === undefined || !this.#link) return;
    const bytes = this.speaker.push(id, data) ?? this.speaker.push(id, this.#tooLong(data));
    if (bytes) return this.#link.send(bytes);
  }

  /** The connection is gone. */
  gone(): void {
    this.#names.close();
    const parties = [...this.#parties.values()];
    this.#parties.clear();
    this.#events.clear();
    for (const party of parties) party.gone();
  }

  #credentials(token: number) {
    const text = this.tokenOf(token);
    return { fromCookie: false, ...(text !== undefined && { token: text }) };
  }

  #party(id: number): Party {
    const known = this.#parties.get(id);
    if (known) return known;
    const name = id === 0 ? this.options.credentials?.uuid : this.#sessions.get(id);
    if (id !== 0 && name === undefined)
      throw new AfbError("invalid-request", `session ${id} was never told on this connection`);
    const { sessions, peer } = this.options;
    const usable = name !== undefined && /^[A-Za-z0-9_-]{1,64}$/.test(name);
    const session = sessions.open({ fromCookie: false, ...(usable && { uuid: name }) }, peer);
    const party = new Party(this, session);
    this.#parties.set(id, party);
    return party;
  }

  #leave(session: number): void {
    const party = this.#parties.get(session);
    if (!party) return;
    this.#parties.delete(session);
    for (const id of party.events.values()) {
      this.#events.delete(id);
      void this.#link?.send(this.speaker.destroy(id));
    }
    party.gone();
  }

  /** Before the reply, in this order: who hears of an event first by its subscription, or after the reply, hangs up. */
  #announce(party: Party, name: string, callid: number): void {
    const link = this.#link;
    const known = party.events.get(name);
    const id = known ?? this.#free();
    if (!link || id === undefined) return;
    if (known === undefined) {
      // First, since a name may be none that can be told.
      void link.send(this.speaker.create(id, name));
      party.events.set(name, id);
      this.#events.set(id, { party, name });
    }
    void link.send(this.speaker.subscribe(callid, id));
  }

  /** A number that no event has. */
  #free(): number | undefined {
    if (this.#events.size >= MOST_ID) return undefined;
    do this.#next = (this.#next % MOST_ID) + 1;
    while (this.#events.has(this.#next));
    return this.#next;
  }

  #reply(callid: number, reply: Reply): void {
    const { most, advice } = this.speaker;
    const what = `the reply has more than the ${most} bytes that this protocol carries: ${advice}`;
    let bytes: Buffer | undefined;
    try {
      bytes =
        this.speaker.reply(callid, reply) ??
        this.speaker.reply(callid, failure(new AfbError("not-available", what)));
    } catch (error) {
      // Whatever it is, one answer there must be: importers wait for it for ever.
      bytes = this.speaker.reply(callid, failure(new Error(`the reply: ${errorLine(error)}`)));
    }
    if (bytes) void this.#link?.send(bytes);
  }

  #tooLong(sent: unknown): object {
    const { most, advice } = this.speaker;
    const data = valueOf(sent);
    const pid = typeof data === "object" && data !== null && "pid" in data && { pid: data.pid };
    const info = `an event has more than the ${most} bytes that this protocol carries: ${advice}`;
    const bytes = Buffer.byteLength(stringify(sent) ?? "");
    return { type: "overflow", ...pid, events: 1, bytes, info };
  }

  #unknown(api: string | undefined): string {
    const all = this.options.exported.map(({ remote }) => remote ?? "");
    const here = `here are ${all.filter((name) => name !== "").join(", ")}`;
    if (api === undefined) return `several APIs are exported here: say which; ${here}`;
    return `the API ${JSON.stringify(api.slice(0, 80))} is not exported here; ${here}`;
  }
}
