/** Traces: copies of requests, replies and events to the clients that asked for them. See AFB.md, "monitor API". */
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import type { Client } from "./client.ts";
import { Feed } from "./feed.ts";
import type { Hub } from "./hub.ts";
import { isObject } from "../object.ts";

const EVENT = "monitor/trace";
const KEYS = ["tag", "api", "request", "event"];
/** More would only be a way to make every request slow. */
const MOST_TRACES = 64;

interface Trace {
  readonly tag: string;
  /** Lower case; undefined: all but monitor, whose own calls would drown the others. */
  readonly apis: ReadonlySet<string> | undefined;
  readonly request: boolean;
  readonly event: boolean;
}

interface Tracer {
  readonly feed: Feed;
  readonly forget: () => void;
  traces: Trace[];
}

export class Traces {
  readonly #tracers = new Map<Client, Tracer>();
  #unlisten: (() => void) | undefined;

  constructor(readonly hub: Hub) {}

  get active(): boolean {
    return this.#tracers.size > 0;
  }

  /** What `trace` is called with: `{"add": …}`, `{"drop": …}` or both. @throws AfbError invalid-request */
  change(client: Client, args: unknown): void {
    if (!isObject(args) || !("add" in args || "drop" in args)) {
      throw invalid('expects {"add":{"api":…,"request":true,"event":true}} or {"drop":true}');
    }
    const added = listOf(args["add"]).map(parse);
    const dropped = args["drop"] === undefined ? () => false : dropper(args["drop"]);
    const old = this.#tracers.get(client)?.traces ?? [];
    const traces = [...old.filter((trace) => !dropped(trace)), ...added];
    if (traces.length > MOST_TRACES) throw invalid(`at most ${MOST_TRACES} traces at a time`);
    this.#set(client, traces);
  }

  request(index: number, api: string, verb: string, data: unknown): void {
    this.#tell("request", api, { request: { index, api, verb, action: "begin" }, data });
  }

  reply(index: number, api: string, verb: string, data: unknown): void {
    this.#tell("request", api, { request: { index, api, verb, action: "reply" }, data });
  }

  #set(client: Client, traces: Trace[]): void {
    const tracer = this.#tracers.get(client);
    if (traces.length === 0) {
      tracer?.forget();
      this.#tracers.delete(client);
    } else if (tracer) {
      tracer.traces = traces;
    } else if (client.connected) {
      const forget = client.onClose(() => this.#set(client, []));
      this.#tracers.set(client, { feed: new Feed(client, EVENT), forget, traces });
    }
    this.#unlisten ??= this.hub.listen((name, data) => {
      const api = name.slice(0, name.indexOf("/"));
      this.#tell("event", api, { event: { name, action: "push" }, data });
    });
    if (this.active) return;
    this.#unlisten();
    this.#unlisten = undefined;
  }

  #tell(kind: "request" | "event", api: string, what: object): void {
    const name = api.toLowerCase();
    for (const { feed, traces } of this.#tracers.values()) {
      for (const trace of traces) {
        if (!trace[kind] || !(trace.apis?.has(name) ?? name !== "monitor")) continue;
        feed.push({ time: (Date.now() / 1000).toFixed(6), tag: trace.tag, ...what });
      }
    }
  }
}

const invalid = (info: string) => new AfbError("invalid-request", info);

const listOf = (value: unknown): unknown[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

function parse(value: unknown): Trace {
  if (!isObject(value)) throw invalid("add: expected an object, or a list of them");
  for (const key of Object.keys(value)) {
    if (KEYS.includes(key)) continue;
    const shown = JSON.stringify(key.slice(0, 80));
    throw invalid(`add: unknown key ${shown}${suggestion(key, KEYS)} (${KEYS.join(", ")})`);
  }
  const { tag = "trace", api = "*", request, event } = value;
  if (typeof tag !== "string") throw invalid("add.tag: expected a string");
  const names = listOf(api);
  const strings = names.filter((name) => typeof name === "string");
  if (strings.length < names.length) throw invalid("add.api: expected names of APIs");
  // Words for parts of them, as other servers know, mean all of it.
  const wanted = (part: unknown) => part !== undefined && part !== false && part !== "none";
  const both = request === undefined && event === undefined;
  return {
    tag,
    apis: strings.includes("*") ? undefined : new Set(strings.map((name) => name.toLowerCase())),
    request: both || wanted(request),
    event: both || wanted(event),
  };
}

/** `true`: all; else tags, or `{"tag": …}`. */
function dropper(value: unknown): (trace: Trace) => boolean {
  if (value === true) return () => true;
  const tags = listOf(isObject(value) ? value["tag"] : value);
  if (tags.length === 0 || tags.some((tag) => typeof tag !== "string")) {
    throw invalid("drop: expected true, a tag, or a list of tags");
  }
  return ({ tag }) => tags.includes(tag);
}
