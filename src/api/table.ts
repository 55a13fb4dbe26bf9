/** Which verbs there are: made from plans at boot and at each reload, then only looked up. */
import { Cased } from "../cased.ts";
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import type { Request } from "./client.ts";
import type { ApiDescription, Verb } from "./verb.ts";
import { describeVerb } from "./verb.ts";

interface Api {
  readonly name: string;
  readonly info?: string | undefined;
  readonly version?: string | undefined;
  readonly http?: "afb" | undefined;
  readonly mcp?: readonly string[] | undefined;
  readonly verbs: Cased<Verb>;
  /** Of another binder: its verbs are not known, or only some. */
  readonly foreign?: ForeignTable;
}

interface ForeignTable {
  readonly isPrivate: boolean;
  readonly known: readonly string[];
  /** Throws AfbError for one that may not be called. */
  find(verb: string): Verb;
}

export class Table {
  readonly #apis = new Cased<Api>();
  #described: ApiDescription[] | undefined;

  /** Throws when there is one of that name. */
  addApi(
    name: string,
    about: { info?: string; version?: string; http?: "afb"; mcp?: readonly string[] } = {},
    foreign?: ForeignTable,
  ): void {
    if (this.#apis.has(name)) throw new Error(`two APIs are named ${name}`);
    this.#apis.set(name, {
      name,
      info: about.info,
      version: about.version,
      http: about.http,
      mcp: about.mcp,
      verbs: new Cased(),
      ...(foreign && { foreign }),
    });
  }

  hasApi(name: string): boolean {
    return this.#apis.has(name);
  }

  /** What an API is called that a caller names; what it says where there is none. */
  nameOf(api: string): string {
    return this.#apis.get(api)?.name ?? api;
  }

  /** Throws when there is one of that name. */
  addVerb(name: string, verb: Verb): void {
    const api = this.#apis.get(name);
    if (!api) throw new Error(`no API ${name}`);
    if (api.verbs.has(verb.name)) throw new Error(`two verbs are named ${api.name}/${verb.name}`);
    api.verbs.set(verb.name, verb);
  }

  verb(name: string, verb: string): Verb | undefined {
    const api = this.#apis.get(name);
    return api?.foreign ? api.foreign.find(verb) : api?.verbs.get(verb);
  }

  /** Whether clients cannot call it. */
  isPrivate(api: string): boolean {
    return this.#apis.get(api)?.foreign?.isPrivate === true;
  }

  /** undefined where {@link find} throws, which takes longer. */
  lookup(request: Pick<Request, "api" | "verb">): Verb | undefined {
    const api = this.#apis.get(request.api);
    if (!api?.foreign) return api?.verbs.get(request.verb);
    try {
      return api.foreign.find(request.verb);
    } catch (error) {
      if (error instanceof AfbError) return undefined;
      throw error;
    }
  }

  /** Throws unknown-api or unknown-verb, saying what there is. */
  find(request: Pick<Request, "api" | "verb">): Verb {
    const api = this.#apis.get(request.api);
    if (!api) {
      const names = this.list().map(({ api }) => api);
      throw new AfbError("unknown-api", `no API ${known(request.api, names)}`);
    }
    if (api.foreign) return api.foreign.find(request.verb);
    const verb = api.verbs.get(request.verb);
    if (!verb) {
      throw new AfbError("unknown-verb", `no verb ${known(request.verb, namesOf(api.verbs))}`);
    }
    return verb;
  }

  /** Of all that clients can call. */
  list(): { api: string; verbs: string[] }[] {
    return this.#open.map(({ name, verbs, foreign }) => ({
      api: name,
      verbs: foreign ? [...foreign.known] : namesOf(verbs),
    }));
  }

  get #open(): Api[] {
    return [...this.#apis.values()].filter(({ foreign }) => !foreign?.isPrivate);
  }

  /** The same object each time, once all verbs are there. */
  describe(): ApiDescription[] {
    return (this.#described ??= this.#describe());
  }

  #describe(): ApiDescription[] {
    return this.#open.map(({ name, info, version, http, mcp, verbs, foreign }) => ({
      api: name,
      ...(info !== undefined && { info }),
      ...(version !== undefined && { version }),
      ...(http !== undefined && { http }),
      ...(mcp !== undefined && { mcp }),
      ...(foreign && { foreign: true as const }),
      verbs: foreign
        ? foreign.known.map((verb) => describeVerb(foreign.find(verb)))
        : [...verbs.values()].map(describeVerb),
    }));
  }
}

function namesOf(entries: Cased<{ readonly name: string }>): string[] {
  return [...entries.values()].map(({ name }) => name);
}

/** Most names that an error lists; a server may have a thousand verbs. */
const LISTED = 20;

function known(word: string, names: readonly string[]): string {
  const more = names.length > LISTED ? `, and ${names.length - LISTED} more` : "";
  const list = names.slice(0, LISTED).join(", ") + more;
  return `\`${word.slice(0, 80)}\`${suggestion(word, names)} (there is ${list})`;
}
