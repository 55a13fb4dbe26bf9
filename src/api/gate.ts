/**
 * Who may pass: by what callers are granted here, which is known at once, or by what a permission service answers, which may take
 * a while. A caller passes only once it is granted everything, by what is granted then.
 */
import { type Caller, type Request, SERVER_SESSION } from "./client.ts";
import { type Answer, type How, type PermissionService, questionOf } from "./permissions.ts";
import { type Granted, grantNothing, type Grants, missing, refusal } from "./privileges.ts";

/** What of a request tells who asks. */
export type Asking = Pick<Request, "session" | "caller" | "from" | "answered">;

export interface GateOptions {
  /** The privileges of a caller; none by default. */
  readonly granted?: Granted | undefined;
  /** Asked for those that are missing; undefined while there is none. */
  readonly permissions?: (() => PermissionService | undefined) | undefined;
}

const SERVER_GRANTS: Grants = { privileges: "all" };

/** Of one request, and privileges. */
interface Recheck {
  /** Something has changed since this was asked. */
  again: boolean;
  readonly result: Promise<boolean>;
}

export class Gate {
  /** By request, then by privileges. */
  readonly #rechecks = new WeakMap<Asking, Map<string, Recheck>>();

  constructor(readonly options: GateOptions) {}

  /** Whether what callers may do can change while they wait to be told. */
  get asks(): boolean {
    return this.#service !== undefined;
  }

  get #service(): PermissionService | undefined {
    return this.options.permissions?.();
  }

  /**
   * Throws, or rejects with, the AfbError to reply where something is missing. A promise only where something has to be asked, of
   * what the service has given this call by then: require all of it again with that, since more may be missing, or needed.
   * @param verb for the error
   */
  require(
    verb: string,
    needed: readonly string[],
    request: Asking,
  ): Promise<ReadonlySet<string>> | undefined {
    if (needed.length === 0) return undefined;
    const grants = this.#grants(request);
    const lacking = missing(needed, grants).filter((one) => !request.answered?.has(one));
    const [first] = lacking;
    if (first === undefined) return undefined;
    const service = this.#service;
    if (!service) throw refusal(verb, lacking, grants);
    // One after the other, since a question may be put to a person.
    return this.#ask(service, verb, first, request);
  }

  /** Whether its token is one that somebody has handed out; a permission service may know each. */
  knows(caller: Caller): boolean {
    if (this.#service) return true;
    const grants = (this.options.granted ?? grantNothing)(caller);
    return grants.unknownToken !== true && this.options.granted !== undefined;
  }

  /** Whether a caller has one of these privileges. Never rejects. */
  hasAny(privileges: readonly string[], request: Asking): boolean | Promise<boolean> {
    const lacking = missing(privileges, this.#grants(request));
    if (lacking.length < privileges.length) return true;
    const service = this.#service;
    return service ? this.#anyOf(service, privileges, request) : false;
  }

  /** Whether what was granted before still is. Never rejects. */
  may(needed: readonly string[], request: Asking): boolean | Promise<boolean> {
    const lacking = missing(needed, this.#grants(request));
    if (lacking.length === 0) return true;
    return this.#service ? this.#again(needed, request) : false;
  }

  #grants({ session, caller = {} }: Asking): Grants {
    if (session === SERVER_SESSION) return SERVER_GRANTS;
    return (this.options.granted ?? grantNothing)(caller);
  }

  async #ask(
    service: PermissionService,
    verb: string,
    privilege: string,
    request: Asking,
  ): Promise<ReadonlySet<string>> {
    const answer = await asked(service, privilege, request, false);
    if (answer === "yes") return new Set(request.answered).add(privilege);
    throw refusal(verb, [privilege], undefined, answer.refused);
  }

  async #anyOf(
    service: PermissionService,
    privileges: readonly string[],
    request: Asking,
  ): Promise<boolean> {
    for (const privilege of privileges)
      if ((await asked(service, privilege, request, false)) === "yes") return true;
    return false;
  }

  /** One question at a time for each request: what changes meanwhile, however often, makes it once more. */
  #again(needed: readonly string[], request: Asking): Promise<boolean> {
    const known = this.#rechecks.get(request) ?? new Map<string, Recheck>();
    this.#rechecks.set(request, known);
    const key = needed.join("\n");
    const running = known.get(key);
    if (running) {
      running.again = true;
      return running.result;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const recheck: Recheck = { again: false, result: promise };
    known.set(key, recheck);
    void (async () => {
      let may: boolean;
      do {
        recheck.again = false;
        may = await this.#still(needed, request);
        // A refusal stands, else who may no more would stay as long as changes go on.
      } while (may && recheck.again);
      known.delete(key);
      resolve(may);
    })();
    return promise;
  }

  async #still(needed: readonly string[], request: Asking): Promise<boolean> {
    for (const privilege of missing(needed, this.#grants(request))) {
      const service = this.#service;
      if (!service || (await asked(service, privilege, request, true)) !== "yes") return false;
    }
    return true;
  }
}

function asked(
  service: PermissionService,
  privilege: string,
  { session, caller = {}, from }: Asking,
  patient: boolean,
): Answer | Promise<Answer> {
  const how: How = { from: from?.peer ?? "", patient };
  return service.ask(questionOf(session, caller, privilege), how);
}

/** Does it where what may have changed is lost: at once where that is known. */
export function unless(may: boolean | Promise<boolean>, lost: () => unknown): void {
  if (may instanceof Promise) void may.then((granted) => granted || lost());
  else if (!may) lost();
}
