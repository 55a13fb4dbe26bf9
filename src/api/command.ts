/** The verb of one plan: start, stop, subscribe and unsubscribe. See AFB.md, "A command verb". */
import { findEncoder } from "../encoders/catalogue.ts";
import { sync } from "../encoders/sync.ts";
import { AfbError } from "../errors.ts";
import type { Launch } from "../launch/task.ts";
import { fill } from "../plan/argv.ts";
import type { Plan } from "../plan/plan.ts";
import type { Client, Request } from "./client.ts";
import { type Granted, requirePrivileges } from "./privileges.ts";
import { parseQuery, parseTarget, type Query } from "./query.ts";
import { type Encoded, Run } from "./run.ts";
import type { Verb } from "./verb.ts";

export interface CommandDeps {
  readonly launch: Launch;
  readonly granted: Granted;
  /** The plan in words, for a reply with `verbose`. */
  readonly explain?: ((plan: Plan) => string[]) | undefined;
}

/** How long the output of killed tasks may wait for clients that do not read, when the server closes; ms. */
const CLOSE_GRACE = 1000;

export class Command implements Verb {
  readonly name: string;
  readonly #plan: Plan;
  readonly #deps: CommandDeps;
  readonly #encoded: Encoded;
  /** Running tasks by pid. */
  readonly #runs = new Map<number, Run>();
  readonly #starting = new Set<Promise<Run>>();
  #closing = false;

  /** Throws when the encoder does not exist: a mistake of boot, not of a request. */
  constructor(plan: Plan, deps: CommandDeps, find: typeof findEncoder = findEncoder) {
    const encoder = find(plan.encoder.name);
    if (!encoder) throw new Error(`${plan.api}/${plan.verb}: no encoder ${plan.encoder.name}`);
    this.name = plan.verb;
    this.#plan = plan;
    this.#deps = deps;
    this.#encoded = { encoder, opts: plan.encoder.opts };
  }

  async call(request: Request): Promise<unknown> {
    requirePrivileges(this.#plan, this.#deps.granted(request.session));
    const query = parseQuery(request.args);
    switch (query.action) {
      case "start":
        return this.#start(request, query);
      case "stop": {
        const { signal } = parseTarget(query.args);
        return this.#each(query.args, (run) => run.task.stop(signal));
      }
      case "subscribe": {
        const client = this.#client(request);
        return this.#each(query.args, (run) => run.subscribers.add(client));
      }
      case "unsubscribe": {
        const client = this.#client(request);
        return this.#each(query.args, (run) => run.subscribers.remove(client));
      }
    }
  }

  /** Kills every task and waits until their trees are gone. Nothing starts any more. */
  async close(): Promise<void> {
    this.#closing = true;
    // Those being started are killed as soon as they have.
    await Promise.allSettled(this.#starting);
    const runs = [...this.#runs.values()];
    for (const run of runs) run.task.kill();
    const timer = setTimeout(() => {
      for (const run of runs) run.subscribers.clear();
    }, CLOSE_GRACE);
    await Promise.all(runs.map((run) => run.task.ended));
    clearTimeout(timer);
  }

  async #start(request: Request, query: Query): Promise<unknown> {
    const { params } = this.#plan;
    const argv = fill(this.#plan.argv, query.args, params?.allowDash);
    params?.check(query.args);
    const encoded = query.wait || request.wait ? waiting(this.#encoded) : this.#encoded;
    const run = await this.#launch(argv, encoded);
    if (request.client) run.subscribers.add(request.client);
    const plan =
      query.verbose > 0 && this.#deps.explain ? { plan: this.#deps.explain(this.#plan) } : {};
    if (encoded.encoder.synchronous) {
      void run.announce();
      run.open();
      const { status, fields } = await this.#ending(run);
      run.subscribers.clear();
      return { ...run.identity, status, ...fields, ...plan };
    }
    // The reply travels through promises to a transport that writes it in the same turn of the event loop (see
    // Registry.call). The next turn is therefore the first in which events cannot overtake it.
    setImmediate(() => run.open());
    void this.#follow(run);
    return { ...run.identity, ...plan };
  }

  /** Takes a place before it launches, so that requests which arrive together do not exceed `concurrency`. */
  async #launch(argv: readonly string[], encoded: Encoded): Promise<Run> {
    if (this.#closing) throw new AfbError("not-available", "the server is shutting down");
    this.#requirePlace();
    const starting = Run.launch(this.#deps.launch, this.#plan, argv, encoded);
    this.#starting.add(starting);
    try {
      const run = await starting;
      this.#runs.set(run.pid, run);
      return run;
    } finally {
      this.#starting.delete(starting);
    }
  }

  #requirePlace(): void {
    const { api, verb, concurrency } = this.#plan;
    if (concurrency === 0 || this.#runs.size + this.#starting.size < concurrency) return;
    const pids = [...this.#runs.keys()];
    const who = pids.length > 0 ? `pid ${pids.join(", ")}` : "being started";
    const most = concurrency === 1 ? "one task" : `${concurrency} tasks`;
    throw new AfbError("bad-state", `${api}/${verb} is running: ${who}; at most ${most} at a time`);
  }

  /** The end of a task. Its place is free before anybody hears of it: a client may start the next one at once. */
  async #ending(run: Run) {
    await run.task.ended;
    if (this.#runs.get(run.pid) === run) this.#runs.delete(run.pid);
    return run.ending();
  }

  async #follow(run: Run): Promise<void> {
    const { status } = await this.#ending(run);
    await run.publish("final-event", { status });
    run.subscribers.clear();
  }

  /** Does something to the task that `args` names, or to all. Returns its uid, or theirs. */
  #each(args: unknown, act: (run: Run) => void): string | string[] {
    const { pid } = parseTarget(args);
    if (pid === undefined) {
      const runs = [...this.#runs.values()];
      for (const run of runs) act(run);
      return runs.map((run) => run.uid);
    }
    const run = this.#runs.get(pid);
    if (!run) {
      const { api, verb } = this.#plan;
      throw new AfbError(
        "invalid-request",
        `invalid pid ${pid}: no running task of ${api}/${verb}`,
      );
    }
    act(run);
    return run.uid;
  }

  #client(request: Request): Client {
    if (request.client) return request.client;
    throw new AfbError("invalid-request", "events need a WebSocket connection");
  }
}

/** The encoding of a reply that waits for the end: an asynchronous encoder has no fields for it, so `sync` stands in. */
function waiting(encoded: Encoded): Encoded {
  if (encoded.encoder.synchronous) return encoded;
  // Of the same kind of options where the encoder has lines too; a json `maxlen` is another thing.
  const alike = encoded.encoder.name === "text" || encoded.encoder.name === "line";
  return { encoder: sync, opts: alike ? encoded.opts : {} };
}
