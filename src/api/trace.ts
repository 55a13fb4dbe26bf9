/** Traces: copies of requests, replies and events to the clients that asked for them. See AFB.md, "monitor API". */
import type { Caller, Client, Session } from "./client.ts";
import { Feed } from "./feed.ts";
import type { Hub } from "./hub.ts";
import { identityOf } from "./permissions.ts";
import type { Reply } from "./reply.ts";
import { type Kind, invalid, type Trace, tracesToAdd, tracesToDrop } from "./trace-query.ts";
import { isObject } from "../object.ts";

/** More would only be a way to make every request slow. */
const MOST_TRACES = 64;

interface Tracer {
  /** By name of the event. */
  readonly feeds: Map<string, Feed>;
  readonly forget: () => void;
  traces: readonly Trace[];
}

const eventOf = ({ name }: Trace): string => `monitor/${name}`;

/** What a request is, for who traces it. */
export interface Traced {
  readonly index: number;
  readonly api: string;
  readonly verb: string;
  readonly session: Session;
  readonly caller?: Caller;
}

export class Traces {
  readonly #tracers = new Map<Client, Tracer>();
  #unlisten: (() => void) | undefined;
  /** Of the traces, and of the events that they tell. */
  #ids = 0;
  readonly #events = new Map<string, number>();

  constructor(readonly hub: Hub) {}

  get active(): boolean {
    return this.#tracers.size > 0;
  }

  /** What `trace` is called with: `{"add": …}`, `{"drop": …}` or both. @throws AfbError invalid-request */
  change(client: Client, args: unknown): void {
    if (!isObject(args) || !("add" in args || "drop" in args)) {
      throw invalid('expects {"add":{"apiname":…,"request":"all","event":"all"}} or {"drop":true}');
    }
    const old = this.#tracers.get(client)?.traces ?? [];
    const dropped = tracesToDrop(args["drop"], old);
    const kept = old.filter((trace) => !dropped.has(trace));
    const added = args["add"] === undefined ? [] : tracesToAdd(args["add"], MOST_TRACES);
    if (kept.length + added.length > MOST_TRACES)
      throw invalid(`at most ${MOST_TRACES} traces at a time`);
    this.#set(client, [...kept, ...added]);
  }

  /** The events that a client gets by its traces. */
  eventsOf(client: Client): readonly string[] {
    return this.#tracers.get(client)?.traces.map(eventOf) ?? [];
  }

  request(traced: Traced, args: unknown): void {
    this.#request(traced, "begin", { params: args ?? null });
  }

  reply(traced: Traced, { request, response }: Reply): void {
    const { status, code, info } = request;
    const failed = status === "success" ? {} : { error: status, info };
    this.#request(traced, "reply", { status: code, ...failed, reply: response ?? null });
  }

  /** A client has come, or has gone. */
  session(action: "create" | "close", { uuid }: Session): void {
    this.#tell("session", action, { uuid }, { session: { uuid, action } });
  }

  #request(traced: Traced, action: string, data: object): void {
    const { index, api, verb, session, caller } = traced;
    const { uuid } = session;
    const request = { index, api, verb, action, session: uuid, ...identityOf(caller) };
    this.#tell("request", action, { api, verb, uuid }, { request, data });
  }

  #event(name: string, data: unknown): void {
    const id = this.#events.get(name) ?? this.#events.size + 1;
    this.#events.set(name, id);
    const slash = name.indexOf("/");
    const about = { api: name.slice(0, slash), verb: name.slice(slash + 1), name };
    for (const action of ["push_before", "push_after"])
      this.#tell("event", action, about, { event: { id, name, action }, data: { data } });
  }

  #set(client: Client, traces: readonly Trace[]): void {
    const tracer = this.#tracers.get(client);
    if (traces.length === 0) {
      tracer?.forget();
      this.#tracers.delete(client);
    } else if (tracer) {
      tracer.traces = traces;
    } else if (client.connected) {
      const forget = client.onClose(() => this.#set(client, []));
      this.#tracers.set(client, { feeds: new Map(), forget, traces });
    }
    this.#unlisten ??= this.hub.listen((name, data) => this.#event(name, data));
    if (this.active) return;
    this.#unlisten();
    this.#unlisten = undefined;
    this.#events.clear();
  }

  #tell(
    kind: Kind,
    action: string,
    about: { api?: string; verb?: string; uuid?: string; name?: string },
    what: object,
  ): void {
    const { api, verb, uuid, name } = about;
    const fits = (trace: Trace) =>
      trace.actions[kind].has(action) &&
      (api === undefined || trace.api(api)) &&
      (verb === undefined || trace.verb(verb)) &&
      (uuid === undefined ? trace.uuids.length === 0 : trace.uuid(uuid)) &&
      (name === undefined || trace.pattern(name));
    for (const [client, { feeds, traces }] of this.#tracers) {
      for (const trace of traces) {
        if (!fits(trace)) continue;
        let feed = feeds.get(trace.name);
        if (!feed) feeds.set(trace.name, (feed = new Feed(client, eventOf(trace))));
        feed.push({ time: Date.now() / 1000, tag: trace.tag, id: ++this.#ids, ...what });
      }
    }
  }
}
