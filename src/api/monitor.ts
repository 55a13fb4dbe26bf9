/** The API `monitor`: what there is, how much is logged, who is calling, and what goes on. See AFB.md, "monitor API". */
import { AfbError } from "../errors.ts";
import type { Log } from "../log.ts";
import { type Client, type Request, SERVER_SESSION, type Session } from "./client.ts";
import { Feed } from "./feed.ts";
import { unless } from "./gate.ts";
import type { Hub } from "./hub.ts";
import { openapi } from "./openapi.ts";
import { identityOf } from "./permissions.ts";
import { namesIn } from "./select.ts";
import type { TaskList } from "./task-list.ts";
import type { Traces } from "./trace.ts";
import type { ApiDescription, Verb } from "./verb.ts";
import { getVerbosity, setVerbosity } from "./verbosity.ts";
import { isObject } from "../object.ts";

export const MONITOR = "monitor";
const GUARDED = ["set", "trace", "subscribe"] as const;
const privilege = (verb: (typeof GUARDED)[number]) => `urn:AGL:permission:monitor:public:${verb}`;
export const MONITOR_PRIVILEGES = GUARDED.map(privilege);
const DISCONNECTED = `${MONITOR}/disconnected`;
/** Seconds: what is said of a session of which the transport does not tell. */
const SESSION_TIMEOUT = 32_000_000;

export interface MonitorDeps {
  readonly describe: () => ApiDescription[];
  readonly log: Log;
  readonly hub: Hub;
  readonly traces: Traces;
  readonly tasks: TaskList;
  readonly explain: Verb;
}

export class Monitor {
  readonly #seen = new WeakSet<Client>();
  readonly #listeners = new Map<Client, { feed: Feed; forget: () => void; asked: Request }>();
  readonly #tracers = new Map<Client, Request>();

  constructor(readonly deps: MonitorDeps) {}

  /** A client has called: from now on its end is an event. */
  meet(client: Client): void {
    if (this.#seen.has(client)) return;
    this.#seen.add(client);
    this.deps.traces.session("create", client.session);
    const gone = (): void => {
      this.#listeners.delete(client);
      this.#tracers.delete(client);
      this.deps.traces.session("close", client.session);
      const data = { uuid: client.session.uuid };
      this.deps.hub.emit(DISCONNECTED, data);
      for (const { feed } of this.#listeners.values()) feed.push(data);
    };
    client.onClose(gone, false);
  }

  get verbs(): Verb[] {
    return [
      verb("get", "what APIs there are, and how much is logged", ["apis", "verbosity"], (request) =>
        this.#get(request.args),
      ),
      verb("apis", "what APIs there are", [], (request) =>
        this.#get({ apis: request.args ?? false }),
      ),
      verb("info", "what this API offers", [], () => this.#info()),
      this.#guarded("set", "sets how much is logged", ["verbosity"], (request) =>
        this.#set(request.args),
      ),
      this.deps.tasks.verb,
      this.deps.explain,
      verb("session", "the session of the caller", [], (request) => describe(request)),
      this.#guarded(
        "trace",
        "events for requests, replies and events",
        ["add", "drop"],
        (request) => this.#trace(request),
      ),
      this.#guarded("subscribe", 'to "disconnected"', [], (request) => this.#subscribe(request)),
      verb("unsubscribe", 'from "disconnected"', [], (request) => this.#unsubscribe(request)),
    ];
  }

  /** Ends what callers hear that `may` no longer call the verb which got it for them: their grants have changed. */
  recheck(may: (request: Request, verb: Verb) => boolean | Promise<boolean>): void {
    const verbs = new Map(this.verbs.map((one) => [one.name, one]));
    const still = (request: Request): boolean | Promise<boolean> => {
      const asked = verbs.get(request.verb.toLowerCase());
      return asked !== undefined && may(request, asked);
    };
    for (const [client, request] of this.#tracers)
      unless(still(request), () => {
        if (this.#tracers.get(client) !== request) return;
        this.deps.traces.change(client, { drop: true });
        this.#tracers.delete(client);
      });
    for (const [client, { forget, asked }] of this.#listeners)
      unless(still(asked), () => {
        if (this.#listeners.get(client)?.asked !== asked) return;
        forget();
        this.#listeners.delete(client);
      });
  }

  /** What one caller does there, others notice: it takes a privilege, where privileges are handed out. */
  #guarded(
    name: (typeof GUARDED)[number],
    info: string,
    names: string[],
    call: (request: Request) => unknown,
  ): Verb {
    return { ...verb(name, info, names, call), privileges: [privilege(name)] };
  }

  #get(args: unknown) {
    if (!isObject(args) || !("apis" in args || "verbosity" in args)) return undefined;
    const all = this.deps.describe().sort((a, b) => (a.api < b.api ? -1 : 1));
    const names = all.map(({ api }) => api);
    return {
      ...("apis" in args && { apis: apisOf(args["apis"], all) }),
      ...("verbosity" in args && {
        verbosity: getVerbosity(args["verbosity"], names, this.deps.log),
      }),
    };
  }

  /** As the APIs of configs have it. */
  #info() {
    const own = this.deps.describe().find(({ api }) => api === MONITOR);
    const verbs = (own?.verbs ?? []).map(({ name, info, parameters, privileges }) => ({
      uid: name,
      verb: name,
      ...(info !== undefined && { info }),
      usage: Object.fromEntries(parameters.map((one) => [one.name, one.required])),
      ...(privileges.length > 0 && { privileges }),
    }));
    const metadata = { uid: MONITOR, info: "what goes on in this server", api: MONITOR };
    return { groups: [{ uid: MONITOR, info: metadata.info, verbs }], metadata };
  }

  #set(args: unknown): void {
    if (!isObject(args) || !("verbosity" in args)) {
      throw new AfbError("invalid-request", 'expects {"verbosity":{"API":"LEVEL"}}');
    }
    const names = this.deps.describe().map(({ api }) => api);
    setVerbosity(args["verbosity"], names, this.deps.log);
  }

  #trace(request: Request): void {
    const client = clientOf(request);
    this.deps.traces.change(client, request.args);
    if (client.connected) this.#tracers.set(client, request);
    for (const event of this.deps.traces.eventsOf(client)) request.follows?.(event);
  }

  #subscribe(request: Request): void {
    requireDisconnected(request.args);
    // Actions of a config hear it as it is.
    if (!request.client && request.session === SERVER_SESSION) return;
    const client = clientOf(request);
    request.follows?.(DISCONNECTED);
    if (this.#listeners.has(client) || !client.connected) return;
    const forget = client.onClose(() => this.#listeners.delete(client));
    this.#listeners.set(client, { feed: new Feed(client, DISCONNECTED), forget, asked: request });
  }

  #unsubscribe(request: Request): void {
    requireDisconnected(request.args);
    if (!request.client && request.session === SERVER_SESSION) return;
    const client = clientOf(request);
    this.#listeners.get(client)?.forget();
    this.#listeners.delete(client);
  }
}

function verb(
  name: string,
  info: string,
  names: string[],
  call: (request: Request) => unknown,
): Verb {
  return { name, isLong: true, call, describe: () => ({ info, parameters: optional(names) }) };
}

const optional = (names: string[]) => names.map((name) => ({ name, required: false }));

/** Names only, or descriptions. */
function apisOf(value: unknown, all: readonly ApiDescription[]) {
  const names = all.map(({ api }) => api);
  if (value === "*" || value === false || value === "false") {
    return Object.fromEntries(names.map((name) => [name, true]));
  }
  const chosen = value === true || value === "true" ? names : namesIn(value, names, "apis");
  return Object.fromEntries(
    all.filter(({ api }) => chosen.includes(api)).map((one) => [one.api, openapi(one)]),
  );
}

function describe({ session, caller }: Request) {
  const { uuid, timeout = SESSION_TIMEOUT, remain = timeout }: Session = session;
  return { uuid, timeout, remain, ...identityOf(caller) };
}

function requireDisconnected(args: unknown): void {
  if (args === "disconnected") return;
  if (Array.isArray(args) && args.length > 0 && args.every((one) => one === "disconnected")) return;
  throw new AfbError("invalid-request", 'there is one event to subscribe to: "disconnected"');
}

function clientOf({ client }: Request): Client {
  if (client) return client;
  throw new AfbError("invalid-request", "events need a WebSocket connection");
}
