/** The APIs of this server and their verbs: the one door through which every transport calls. */
import { suggestion } from "../config/nearest.ts";
import type { findEncoder } from "../encoders/catalogue.ts";
import { AfbError } from "../errors.ts";
import type { Launch } from "../launch/task.ts";
import type { ApiPlan, Plan } from "../plan/plan.ts";
import { infoVerb, pingVerb } from "./builtin.ts";
import type { Request } from "./client.ts";
import { Command } from "./command.ts";
import { type Granted, grantAll } from "./privileges.ts";
import { failure, type Reply, success } from "./reply.ts";
import type { Verb } from "./verb.ts";

export interface Registry {
  /**
   * Answers a call. Never rejects: a failure is a reply.
   *
   * A transport with events must write the reply in the turn of the event loop in which the promise settles (nothing
   * awaited in between but settled promises): the data events of a task that it starts come in a later turn.
   */
  call(request: Request): Promise<Reply>;
  /** Verbs by API, for the 404 page and the start banner. */
  list(): { api: string; verbs: string[] }[];
  /** Kills every task and waits until their trees are gone. */
  close(): Promise<void>;
}

export interface RegistryOptions {
  readonly apis: readonly ApiPlan[];
  readonly launch: Launch;
  /** The plan in words, for a reply with `verbose`. */
  readonly explain?: (plan: Plan) => string[];
  /** The privileges of a caller; all by default. */
  readonly granted?: Granted;
  /** Finds encoders by name; the built-in ones by default. */
  readonly encoders?: typeof findEncoder;
  /** Further verbs, by API name: those of a config's API, or of an API of their own. */
  readonly verbs?: Readonly<Record<string, readonly Verb[]>>;
}

interface Api {
  readonly name: string;
  readonly verbs: Map<string, Verb>;
}

/** Throws when two APIs, or two verbs of an API, have the same name but for case, or an encoder does not exist. */
export function createRegistry(options: RegistryOptions): Registry {
  const { launch, explain, granted = grantAll } = options;
  const apis = new Map<string, Api>();
  const commands: Command[] = [];
  let pings = 0;

  for (const plan of options.apis) {
    const api = addApi(apis, plan.api);
    addVerb(
      api,
      pingVerb(() => ++pings),
    );
    addVerb(api, infoVerb(plan));
    for (const command of plan.sandboxes.flatMap((sandbox) => sandbox.plans)) {
      const verb = new Command(command, { launch, explain, granted }, options.encoders);
      commands.push(verb);
      addVerb(api, verb);
    }
  }
  for (const [name, verbs] of Object.entries(options.verbs ?? {})) {
    const api = apis.get(name.toLowerCase()) ?? addApi(apis, name);
    for (const verb of verbs) addVerb(api, verb);
  }

  return {
    async call(request) {
      try {
        return success(await findVerb(apis, request).call(request));
      } catch (error) {
        return failure(error);
      }
    },
    list: () => [...apis.values()].map(({ name, verbs }) => ({ api: name, verbs: namesOf(verbs) })),
    async close() {
      await Promise.all(commands.map((command) => command.close()));
    },
  };
}

function addApi(apis: Map<string, Api>, name: string): Api {
  const key = name.toLowerCase();
  if (apis.has(key)) throw new Error(`two APIs are named ${name}`);
  const api: Api = { name, verbs: new Map() };
  apis.set(key, api);
  return api;
}

function addVerb({ name, verbs }: Api, verb: Verb): void {
  const key = verb.name.toLowerCase();
  if (verbs.has(key)) throw new Error(`two verbs are named ${name}/${verb.name}`);
  verbs.set(key, verb);
}

function findVerb(apis: ReadonlyMap<string, Api>, request: Request): Verb {
  const api = apis.get(request.api.toLowerCase());
  if (!api) {
    throw new AfbError("unknown-api", `no API ${known(request.api, namesOf(apis))}`);
  }
  const verb = api.verbs.get(request.verb.toLowerCase());
  if (!verb) {
    throw new AfbError("unknown-verb", `no verb ${known(request.verb, namesOf(api.verbs))}`);
  }
  return verb;
}

function namesOf(entries: ReadonlyMap<string, { readonly name: string }>): string[] {
  return [...entries.values()].map(({ name }) => name);
}

/** Most names that an error lists; a server may have a thousand verbs. */
const LISTED = 20;

function known(word: string, names: readonly string[]): string {
  const more = names.length > LISTED ? `, and ${names.length - LISTED} more` : "";
  const list = names.slice(0, LISTED).join(", ") + more;
  return `\`${word.slice(0, 80)}\`${suggestion(word, names)} (there is ${list})`;
}
