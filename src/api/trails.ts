/** Tasks of one verb that have ended: what can still be had of them, which is what they have sent. */
import { AfbError } from "../errors.ts";
import type { Archive } from "./archive.ts";
import type { Entry } from "./book.ts";
import type { Request } from "./client.ts";
import type { Action, Target } from "./query.ts";
import type { TaskRecord } from "./record.ts";
import { Ring, type Rings } from "./ring.ts";
import type { Followable, MayFollow } from "./run.ts";
import { Subscribers } from "./subscribers.ts";

export interface TrailDeps {
  readonly archive?: Archive | undefined;
  readonly rings: Rings;
}

/** What of it is to be done, and for whom. */
export interface Asked {
  readonly request: Request;
  readonly action: Action;
  readonly target: Target;
}

export class Trails {
  /** Those that somebody takes, with what tells who may. */
  readonly #taken = new Map<Subscribers, Followable>();

  /** @param owner `api/verb` */
  constructor(
    readonly owner: string,
    readonly deps: TrailDeps,
  ) {}

  get idle(): boolean {
    return this.#taken.size === 0;
  }

  /** One that the book has. @returns what replies call it */
  follow({ record, plan, events }: Entry, asked: Asked): string {
    const { id } = record;
    const { request, action, target } = asked;
    if (action === "unsubscribe") {
      if (request.client) events?.remove(request.client);
      return uidOf(record);
    }
    if (action === "stop" || !events) throw hasEnded(id, action);
    const { ring } = events.past;
    return this.#replay(record, plan, events, ring.over ? ring.last : Infinity, target, request);
  }

  /** One that the book does not have any more. @param permit see Tasks: throws, or rejects, where the caller may not */
  async followKept(
    id: string,
    { request, action, target }: Asked,
    permit: (task: { readonly plan: Followable }) => Promise<unknown> | undefined,
  ): Promise<string> {
    const kept = this.deps.archive?.events(id);
    if (!kept || `${kept.kind.api}/${kept.kind.verb}` !== this.owner) throw this.noTask(id);
    const { record, kind, events, last } = kept;
    const asked = permit({ plan: kind });
    if (asked) await asked;
    if (action === "unsubscribe") return uidOf(record);
    if (action === "stop" || record.pid === undefined) throw hasEnded(id, action);
    // They count as those of tasks that run: who asks for many, and reads none, gets less of each.
    const ring = new Ring(Infinity, this.deps.rings, (events[0]?.number ?? last) - 1);
    for (const { data } of events.slice(0, -1)) ring.push(data);
    const final = events.at(-1)?.data;
    if (final) ring.end(final);
    const past = { id, pid: record.pid, event: this.owner, ring };
    const subscribers = new Subscribers(past, (gap) => ({ type: "overflow", ...gap }));
    const close = (): void => ring.close();
    try {
      return this.#replay(record, kind, subscribers, last, target, request, close);
    } finally {
      if (!subscribers.replaying) close();
    }
  }

  /** Somebody still takes what a task has sent that has ended now. */
  add(subscribers: Subscribers, plan: Followable, done = (): void => {}): void {
    this.#taken.set(subscribers, plan);
    subscribers.idle = () => {
      this.#taken.delete(subscribers);
      done();
    };
  }

  /** What callers may do has changed. */
  recheck(may: MayFollow): void {
    for (const [subscribers, plan] of this.#taken)
      subscribers.recheck((request) => may(plan, request));
  }

  /** Nobody gets anything more. */
  drop(): void {
    for (const subscribers of [...this.#taken.keys()]) subscribers.drop();
  }

  noTask(id: string): AfbError {
    const info = `no task ${id} of ${this.owner}: it is not known here, or not any more (monitor/tasks tells which are)`;
    return new AfbError("no-item", info);
  }

  #replay(
    record: TaskRecord,
    plan: Followable,
    subscribers: Subscribers,
    last: number,
    { from }: Target,
    request: Request,
    done?: () => void,
  ): string {
    const { id } = record;
    const { client } = request;
    if (from === undefined || !client) throw hasEnded(id, "subscribe");
    if (from > last) throw new AfbError("no-item", `task ${id} has ended, with its event ${last}`);
    subscribers.replay(client, request, false, from);
    if (subscribers.replaying && !this.#taken.has(subscribers)) this.add(subscribers, plan, done);
    return uidOf(record);
  }
}

/** As replies name it. */
export const uidOf = ({ sandbox, command, pid }: TaskRecord): string =>
  `${sandbox}/${command}${pid === undefined ? "" : `@${pid}`}`;

function hasEnded(id: string, action: Action): AfbError {
  const past = action === "stop" ? "" : ': "from": 1 asks for what is kept of its events';
  return new AfbError("bad-state", `task ${id} has ended${past}`);
}
