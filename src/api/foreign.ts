/** An API of another binder, called as if it were ours. */
import { findCased } from "../cased.ts";
import { AfbError } from "../errors.ts";
import { type Client, type Request, SERVER_SESSION } from "./client.ts";
import type { Hub } from "./hub.ts";
import type { Verb } from "./verb.ts";

export interface ForeignApi {
  /** As it is called here. */
  readonly name: string;
  /** As it is called there, and as its events begin by custom; undefined for one that has no name there. */
  readonly remote: string | undefined;
  /** For people: where it is. */
  readonly info: string;
  /** What a caller needs, all of them. */
  readonly privileges: readonly string[];
  /** Only actions and extra verbs of configs call it. */
  readonly isPrivate: boolean;
  /** The only verbs that may be called; undefined: all there are, which nobody knows. */
  readonly verbs: readonly string[] | undefined;
  /** In words, such as `connected`. */
  readonly state: string;
  /** The response, or undefined for a reply without one. Rejects with the error to reply. */
  call(request: Request): Promise<unknown>;
  /** Ends the events of whose request `may` is false, in the end: grants have changed. */
  recheck(may: May): void;
}

/** Whether the caller of a request still may what it asked for. Never rejects. */
export type May = (request: Request) => boolean | Promise<boolean>;

/** What actions subscribe to: this server hears its events, under the name that the API has here. */
class ServerClient implements Client {
  readonly session = SERVER_SESSION;
  readonly connected = true;
  readonly backlog = 0;

  constructor(
    readonly name: string,
    readonly remote: string | undefined,
    readonly hub: Hub,
  ) {}

  /** Under no other name: an event of a binder must not be taken for one of our own commands. */
  send(event: string, data: unknown): void {
    const [first = "", ...rest] = event.split("/");
    const isUsual = rest.length > 0 && first.toLowerCase() === this.remote?.toLowerCase();
    this.hub.emit(`${this.name}/${isUsual ? rest.join("/") : event}`, data);
  }

  onClose(): () => void {
    return () => {};
  }
}

export class ForeignVerbs {
  readonly #clients = new Map<string, ServerClient>();

  constructor(readonly hub: Hub) {}

  /** Throws AfbError where it may not be called. */
  find(api: ForeignApi, name: string): Verb {
    const { verbs, privileges } = api;
    const known = verbs ? findCased(name, verbs) : name;
    if (known === undefined)
      throw new AfbError(
        "unknown-verb",
        `no verb \`${name.slice(0, 80)}\` of ${api.name} may be called here (there is ${verbs?.join(", ")})`,
      );
    return {
      name: known,
      privileges,
      exact: true,
      call: (request) => api.call({ ...this.#heard(request, api), verb: known }),
    };
  }

  #heard(request: Request, { name, remote }: ForeignApi): Request {
    if (request.session !== SERVER_SESSION || request.client) return request;
    const key = JSON.stringify([name, remote]);
    const client = this.#clients.get(key) ?? new ServerClient(name, remote, this.hub);
    this.#clients.set(key, client);
    return { ...request, client };
  }
}
