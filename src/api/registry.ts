/** The APIs of this server and their verbs: the one door through which every transport calls. */
import { findCased } from "../cased.ts";
import { findEncoder } from "../encoders/catalogue.ts";
import { AfbError, shuttingDown } from "../errors.ts";
import type { Launch } from "../launch/task.ts";
import { type Log, serverLog } from "../log.ts";
import type { ApiPlan, Plan, PluginPlan } from "../plan/plan.ts";
import type { Webhook } from "../plan/webhook.ts";
import { type LoadedPlugin, loadPlugin } from "../plugins/load.ts";
import { Admission } from "./admission.ts";
import type { Archive } from "./archive.ts";
import { assemble, type Assembly, type AssemblyDeps, type TaskVerb } from "./assembly.ts";
import { Book, type Refused } from "./book.ts";
import type { Changed } from "./builtin.ts";
import { askerOf, type Caller, type Request } from "./client.ts";
import { type ForeignApi, ForeignVerbs } from "./foreign.ts";
import { explainVerb } from "./explained.ts";
import { type Asking, Gate } from "./gate.ts";
import { Hub } from "./hub.ts";
import { OneByOne } from "./one-by-one.ts";
import { Monitor, MONITOR } from "./monitor.ts";
import type { PermissionService } from "./permissions.ts";
import type { Granted } from "./privileges.ts";
import { parseQuery } from "./query.ts";
import { failure, type Reply, success } from "./reply.ts";
import { Rings } from "./ring.ts";
import { Stops } from "./stops.ts";
import { type Followed, TaskList } from "./task-list.ts";
import type { Tasks } from "./tasks.ts";
import { Traces } from "./trace.ts";
import type { ApiDescription, Verb } from "./verb.ts";
import type { Witness } from "./witness.ts";
import { toDoubles } from "../numbers.ts";

export interface Registry {
  /**
   * Answers a call. Never rejects: a failure is a reply.
   *
   * A transport with events must write the reply in the turn of the event loop in which the promise settles (nothing
   * awaited in between but settled promises): the data events of a task that it starts come in a later turn.
   */
  call(request: Request): Promise<Reply>;
  /** The verb that is called so, where webhooks may start it. */
  hooked?(called: Pick<Request, "api" | "verb">): Hooked | undefined;
  /** Whether the verb that is called so reads the body of a POST: it has no arguments then. */
  isFed?(called: Pick<Request, "api" | "verb">): boolean;
  /** Whether a caller has these privileges now. Never rejects. */
  may?(privileges: readonly string[], asking: Asking): boolean | Promise<boolean>;
  /** Whether the token of a caller is one that somebody has handed out. Where a permission service is asked, it may know each. */
  knows?(caller: Caller): boolean;
  /** Calls `changed` where there are other verbs, or callers may do other things. Returns a function that takes that back. */
  onChange?(changed: () => void): () => void;
  /** Verbs by API, for the 404 page and the start banner. */
  list(): { api: string; verbs: string[] }[];
  /** What every verb is and takes: for `monitor/get` and OpenAPI. */
  describe(): ApiDescription[];
  /**
   * Runs the `onload`, then the `onstart` actions, one after the other. Rejects when one fails that is required.
   * @param chosen of which APIs; all by default
   */
  start(chosen?: (api: string) => boolean): Promise<void>;
  /**
   * Serves other plans from now on, all at once; throws, and changes nothing, when they cannot be served. Tasks go on
   * under the plan they were started with, and can be stopped and listened to, also where their verb is gone. Traces and
   * subscriptions end whose callers have lost the privilege for them: who changes grants does so first.
   * @param foreign by default as before
   */
  replace(apis: readonly ApiPlan[], foreign?: readonly ForeignApi[]): void;
  /** What callers may do has changed, or may have: what they follow and may not any more ends. */
  recheck(): void;
  /**
   * Kills the tasks whose verbs are gone, and waits until their trees are.
   * @param chosen of which APIs
   */
  endGone(chosen: (api: string) => boolean): Promise<void>;
  /** Kills every task and waits until their trees are gone. */
  close(): Promise<void>;
}

/** One whose server ends in good order. */
export interface RunningRegistry extends Registry {
  /** ms: the longest that a task which runs may take to end; 0 where none has a grace. */
  readonly grace: number;
  /** Ends every task, and waits for those that have a grace. Nothing starts or is replaced any more. */
  drain(): Promise<void>;
  /** Ids of tasks to come sort behind that one, the last of an earlier server. */
  continueAfter(id: string): void;
}

export interface Hooked {
  /** `api/verb`, however it was called. */
  readonly id: string;
  readonly webhook: Webhook;
  /** What other callers need. */
  readonly privileges: readonly string[];
}

export interface RegistryOptions {
  readonly apis: readonly ApiPlan[];
  readonly launch: Launch;
  /** The plan in words, for a reply with `verbose`. */
  readonly explain?: (plan: Plan) => string[];
  /** The privileges of a caller; none by default. */
  readonly granted?: Granted;
  /** Asked for privileges that a caller is not granted; undefined while there is none. */
  readonly permissions?: () => PermissionService | undefined;
  /** Finds encoders by name; the built-in ones by default. */
  readonly encoders?: AssemblyDeps["encoders"];
  /** What `info` tells besides the notices of the plans; nothing by default. */
  readonly changed?: Changed;
  /** Loads the modules of a plugin; from disk by default. */
  readonly loadPlugin?: (plan: PluginPlan) => LoadedPlugin;
  readonly log?: Log;
  /** Who is told of tasks, and of calls that did not become one; nobody by default. */
  readonly witnesses?: readonly Witness[];
  /** Where tasks of before are kept; by default nowhere. */
  readonly archive?: Archive;
  /** What is known of a caller besides what it may, for records: such as what the access file says of its token. */
  readonly named?: (caller: Caller) => string | undefined;
  /**
   * Until that is settled, calls wait, but for those that do not depend on what is tried (`ping`). When it is rejected they are
   * answered `not-available`.
   */
  readonly tried?: Promise<unknown>;
  /** Who may start tasks when; by default without a limit but turns. */
  readonly admission?: Admission;
  /** APIs of other binders. */
  readonly foreign?: readonly ForeignApi[];
  /** Further verbs, by API name: those of a config's API, or of an API of their own. */
  readonly verbs?: Readonly<Record<string, readonly Verb[]>>;
}

/** Throws when two APIs, or two verbs of an API, have the same name, or an encoder does not exist. */
export function createRegistry(options: RegistryOptions): RunningRegistry {
  return new LocalRegistry(options);
}

/** ms that the hooks of plugins have at the end of the server. */
const LAST_HOOKS = 1000;

class LocalRegistry implements RunningRegistry {
  readonly #options: RegistryOptions;
  readonly #log: Log;
  readonly #hub = new Hub();
  readonly #traces = new Traces(this.#hub);
  readonly #monitor: Monitor;
  readonly #deps: AssemblyDeps;
  /** Verbs that are gone, and may still have tasks. */
  readonly #retired = new Map<string, TaskVerb>();
  #current: Assembly;
  #apis: readonly ApiPlan[];
  #foreign: readonly ForeignApi[];
  /** All that were ever used: tasks of earlier plans may still have theirs. */
  readonly #plugins = new Set<LoadedPlugin>();
  #requests = 0;
  #drained = false;
  /** How often what callers may do has changed. */
  #changes = 0;
  readonly #changed = new Set<() => void>();
  readonly #gate: Gate;
  readonly #long = new OneByOne();
  readonly #book: Book;
  #looking = false;
  #held: Promise<void> | undefined;
  #unlisten = () => {};

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#log = options.log ?? serverLog;
    this.#gate = new Gate(options);
    this.#book = new Book(options);
    const [log, hub, traces] = [this.#log, this.#hub, this.#traces];
    const describe = () => this.describe();
    const { archive } = options;
    const needs = (task: Followed) => this.#needsOf(task);
    const tasks = new TaskList({ book: this.#book, gate: this.#gate, archive, needs });
    this.#apis = options.apis;
    const explain = explainVerb({ gate: this.#gate, apis: () => this.#apis });
    this.#monitor = new Monitor({ describe, log, hub, traces, tasks, explain });
    let pings = 0;
    this.#deps = {
      ...options,
      log,
      hub,
      gate: this.#gate,
      book: this.#book,
      archive: options.archive,
      explain: options.explain,
      admission: options.admission ?? new Admission(),
      rings: new Rings(),
      stops: new Stops(),
      encoders: options.encoders ?? findEncoder,
      loadPlugin: options.loadPlugin ?? loadPlugin,
      invoke: (request) => this.#invoke(this.#named(request)),
      nextPing: () => ++pings,
      foreignVerbs: new ForeignVerbs(hub),
    };
    this.#foreign = options.foreign ?? [];
    this.#current = this.#assemble(options.apis, this.#foreign);
    this.#commit();
    this.#listen();
    if (options.tried) this.#hold(options.tried);
  }

  async call(request: Request): Promise<Reply> {
    if (request.client) this.#monitor.meet(request.client);
    try {
      if (this.#held && !this.#isUntried(request)) await this.#held;
      if (this.#current.table.isPrivate(request.api))
        throw new AfbError("unknown-api", `no API \`${request.api}\` that clients may call`);
      return success(await this.#invoke(this.#named(request)));
    } catch (error) {
      return failure(error);
    }
  }

  isFed(called: Pick<Request, "api" | "verb">): boolean {
    const { table } = this.#current;
    return !table.isPrivate(called.api) && table.lookup(called)?.isFed === true;
  }

  hooked(called: Pick<Request, "api" | "verb">): Hooked | undefined {
    const { table } = this.#current;
    if (table.isPrivate(called.api)) return undefined;
    const { name, webhook, privileges = [] } = table.lookup(called) ?? {};
    return webhook && { id: `${table.nameOf(called.api)}/${name}`, webhook, privileges };
  }

  may(privileges: readonly string[], asking: Asking): boolean | Promise<boolean> {
    return this.#gate.may(privileges, asking);
  }

  knows(caller: Caller): boolean {
    return this.#gate.knows(caller);
  }

  onChange(changed: () => void): () => void {
    this.#changed.add(changed);
    return () => void this.#changed.delete(changed);
  }

  list() {
    return this.#current.table.list();
  }

  describe() {
    return this.#current.table.describe();
  }

  async start(chosen: (api: string) => boolean = () => true): Promise<void> {
    for (const action of this.#current.startup.filter(({ deps }) => chosen(deps.api))) {
      try {
        await action.run();
      } catch (error) {
        const { uid, required } = action.plan;
        if (!required) continue;
        const reason = error instanceof Error ? error.message : String(error);
        const where = `${action.deps.api}: ${action.when} ${uid}`;
        throw new Error(`${where}: required, and failed: ${reason}`, { cause: error });
      }
    }
  }

  replace(apis: readonly ApiPlan[], foreign: readonly ForeignApi[] = this.#foreign): void {
    // Its verbs would start what nobody waits for.
    if (this.#drained) throw shuttingDown();
    const old = this.#current;
    this.#current = this.#assemble(apis, foreign);
    this.#apis = apis;
    this.#foreign = foreign;
    this.#commit();
    for (const plugin of old.plugins) if (!this.#current.plugins.has(plugin)) plugin.close();
    for (const [key, verb] of [...this.#retired, ...old.tasks]) {
      if (this.#current.tasks.get(key) === verb || verb.tasks.idle) this.#retired.delete(key);
      else this.#retired.set(key, verb);
    }
    this.#listen();
    this.recheck();
  }

  recheck(): void {
    this.#changes++;
    this.#lookAtAll();
    for (const changed of this.#changed) changed();
  }

  #lookAtAll(): void {
    this.#monitor.recheck((request, { privileges = [] }) => this.#gate.may(privileges, request));
    for (const verb of [...this.#current.tasks.values(), ...this.#retired.values()])
      verb.tasks.recheck((plan, request) => this.#gate.may(verb.needs(plan), request));
    for (const api of this.#foreign)
      api.recheck((request) => this.#gate.may(api.privileges, request));
  }

  /** As who subscribes to it now; of a verb that is gone, what it needed then. */
  #needsOf({ api, verb, privileges }: Followed): readonly string[] {
    const key = `${api}/${verb}`;
    const known = this.#current.tasks.get(key) ?? this.#retired.get(key);
    return known ? known.needs({ privileges }) : privileges;
  }

  async endGone(chosen: (api: string) => boolean): Promise<void> {
    const gone = [...this.#retired].filter(([, { tasks }]) => chosen(apiOf(tasks)));
    // A verb that ends its tasks starts no more: a config that has it again gets another.
    for (const [key] of gone) this.#retired.delete(key);
    await Promise.all(gone.map(([, { tasks }]) => tasks.close()));
  }

  get grace(): number {
    return Math.max(0, ...this.#verbs.map(({ tasks }) => tasks.grace));
  }

  continueAfter(id: string): void {
    this.#book.continueAfter(id);
  }

  async drain(): Promise<void> {
    this.#drained = true;
    await Promise.all(this.#verbs.map(({ tasks }) => tasks.drain()));
  }

  /** With those that are gone. */
  get #verbs(): TaskVerb[] {
    return [...this.#current.tasks.values(), ...this.#retired.values()];
  }

  async close(): Promise<void> {
    this.#unlisten();
    const verbs = this.#verbs;
    // What plugins make of the last output: but one may loop.
    const end = () => this.#plugins.forEach((plugin) => plugin.end());
    const impatient = setTimeout(end, LAST_HOOKS);
    await Promise.all(verbs.map(({ tasks }) => tasks.close()));
    clearTimeout(impatient);
    end();
  }

  #hold(until: Promise<unknown>): void {
    this.#held = until.then(
      () => {
        this.#held = undefined;
      },
      () => {
        throw new AfbError("not-available", "this server does not start: it has told why");
      },
    );
    // Whom it concerns is told it by `until`.
    this.#held.catch(() => {});
  }

  /** What is not there is told once it is sure that it is not. */
  #isUntried(request: Request): boolean {
    return this.#current.table.lookup(request)?.isUntried === true;
  }

  #commit(): void {
    this.#current.commit();
    for (const plugin of this.#current.plugins) this.#plugins.add(plugin);
  }

  #assemble(apis: readonly ApiPlan[], foreign: readonly ForeignApi[]): Assembly {
    const before = new Map([...this.#retired, ...(this.#current?.tasks ?? [])]);
    const assembly = assemble(apis, this.#deps, before, foreign);
    const { table } = assembly;
    table.addApi(MONITOR);
    for (const verb of this.#monitor.verbs) table.addVerb(MONITOR, verb);
    for (const [name, verbs] of Object.entries(this.#options.verbs ?? {})) {
      if (!table.hasApi(name)) table.addApi(name);
      for (const verb of verbs) table.addVerb(name, verb);
    }
    return assembly;
  }

  #listen(): void {
    this.#unlisten();
    const { events } = this.#current;
    this.#unlisten = events.empty
      ? () => {}
      : this.#hub.listen((event, data) => events.tell(event, data));
  }

  /** With the API's own name, by which it is logged and traced. */
  #named(request: Request): Request {
    const api = this.#current.table.nameOf(request.api);
    return api === request.api ? request : { ...request, api };
  }

  #invoke(request: Request): Promise<unknown> {
    return this.#book.isWitnessed ? this.#witnessed(request) : this.#traced(request);
  }

  async #witnessed(request: Request): Promise<unknown> {
    try {
      return await this.#traced(request);
    } catch (error) {
      const verb = this.#verbOf(request);
      const refused = verb?.refused ? verb.refused(request) : isDenied(verb, error);
      if (refused) this.#book.refuse(request, error, refused);
      throw error;
    }
  }

  /** undefined where there is none by now. */
  #verbOf(request: Request): Verb | undefined {
    try {
      return this.#known(request);
    } catch (error) {
      if (error instanceof AfbError) return undefined;
      throw error;
    }
  }

  async #traced(request: Request): Promise<unknown> {
    const { api, verb } = request;
    if (!this.#traces.active && !this.#log.enabled(api, "debug")) return this.#admitted(request);
    const index = ++this.#requests;
    const log = this.#log.for(api);
    log("debug", `request ${index}: ${verb}`);
    // What the config hides is in no log and no trace either, nor what was said of it.
    const { hidden, args, discreet } = this.#verbOf(request)?.refused?.(request) ?? {};
    this.#traces.request({ ...request, index }, hidden ? args : request.args);
    try {
      const response = await this.#admitted(request);
      this.#told(index, request, success(response));
      return response;
    } catch (error) {
      const reply = failure(error);
      this.#told(index, request, discreet ? withoutInfo(reply) : reply);
      throw error;
    }
  }

  #told(index: number, request: Request, reply: Reply): void {
    const { api } = request;
    this.#traces.reply({ ...request, index }, reply);
    const { status, info = "" } = reply.request;
    this.#log.for(api)("debug", `reply ${index}: ${[status, info].filter(Boolean).join(": ")}`);
  }

  /** What there is instead of a verb that is not there may take as long to say as a long answer. */
  #admitted(request: Request): unknown {
    const verb = this.#known(request);
    if (verb && !verb.isLong) return this.#granted(request);
    return this.#long.enter(askerOf(request)).then(() => this.#granted(request));
  }

  #granted(given: Request): unknown {
    const request = this.#gate.asks ? this.#watched(given) : given;
    const verb = this.#find(request);
    const { privileges = [] } = verb;
    const asked =
      privileges.length > 0 &&
      this.#gate.require(`${request.api}/${verb.name}`, privileges, request);
    // Another verb may have the name by then, or this one need more.
    if (asked) return asked.then((answered) => this.#granted({ ...request, answered }));
    if (verb.exact || typeof request.args !== "object") return verb.call(request);
    return verb.call({ ...request, args: toDoubles(request.args) });
  }

  /** What it follows by an answer from before a change, is looked at once more. */
  #watched(request: Request): Request {
    const before = this.#changes;
    const follows = (event: string): void => {
      request.follows?.(event);
      if (this.#changes === before || this.#looking) return;
      this.#looking = true;
      queueMicrotask(() => {
        this.#looking = false;
        // Nothing has changed by that: else each would make others do the same.
        this.#lookAtAll();
      });
    };
    return { ...request, follows };
  }

  /** Throws where there is none, saying what there is. */
  #find(request: Request): Verb {
    return this.#known(request) ?? this.#current.table.find(request);
  }

  /** The verb of a request, or what is left of one that has tasks and is otherwise gone. */
  #known(request: Request): Verb | undefined {
    const verb = this.#current.table.lookup(request);
    if (verb || this.#retired.size === 0) return verb;
    const key = findCased(`${request.api}/${request.verb}`, this.#retired.keys()) ?? "";
    const retired = this.#retired.get(key);
    if (!retired) return undefined;
    if (!retired.tasks.idle)
      return parseQuery(request.args).action === "start" ? undefined : retired;
    this.#retired.delete(key);
    return undefined;
  }
}

const DENIED: ReadonlySet<string> = new Set(["invalid-token", "insufficient-scope"]);

/** Of a verb that launches nothing it is told when somebody calls it who may not. */
const isDenied = (verb: Verb | undefined, error: unknown): Refused | undefined =>
  verb?.privileges?.length && error instanceof AfbError && DENIED.has(error.status)
    ? { action: "start", hidden: true }
    : undefined;

function withoutInfo({ request: { info: _, ...request }, ...reply }: Reply): Reply {
  return { ...reply, request };
}

/** Verbs may have a `/` in them, APIs not. */
const apiOf = ({ owner }: Tasks): string => owner.slice(0, owner.indexOf("/"));
