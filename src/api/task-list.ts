/** `monitor/tasks`: what runs, what waits for its turn, and what has ended, as far as a caller may follow it. */
import type { Plan } from "../plan/plan.ts";
import { AfbError } from "../errors.ts";
import type { Archive } from "./archive.ts";
import type { Book, Entry, Happening } from "./book.ts";
import type { Client, Request } from "./client.ts";
import { Feed } from "./feed.ts";
import type { Gate } from "./gate.ts";
import type { TaskRecord } from "./record.ts";
import { FILTERS, isCaller, matches, parseFilter, same, type TaskFilter } from "./task-filter.ts";
import type { Verb } from "./verb.ts";

/** The event for who follows it. */
const EVENT = "monitor/tasks";

/** Of a task, what tells who may follow it. */
export type Followed = Pick<Plan, "api" | "verb" | "privileges">;

export interface TaskListDeps {
  readonly book: Book;
  readonly gate: Gate;
  readonly archive?: Archive | undefined;
  /** What a caller needs to follow a task. */
  readonly needs: (task: Followed) => readonly string[];
}

interface Follower {
  readonly feed: Feed;
  readonly forget: () => void;
  /** By which it was asked for last, and of which tasks. */
  request: Request;
  filter: TaskFilter;
}

export class TaskList {
  readonly #followers = new Map<Client, Follower>();

  constructor(readonly deps: TaskListDeps) {}

  get verb(): Verb {
    const parameters = Object.entries(FILTERS).map(([name, schema]) => ({
      name,
      required: false,
      schema,
    }));
    const info = "the tasks that the caller may follow, the newest first";
    return {
      name: "tasks",
      isLong: true,
      call: (request) => this.#call(request),
      describe: () => ({ info, parameters }),
    };
  }

  #call(request: Request): Promise<TaskRecord[]> {
    const filter = parseFilter(request.args);
    const { client } = request;
    if (filter.follow !== undefined) {
      if (!client) throw new AfbError("invalid-request", "events need a WebSocket connection");
      // Before the list is made: what happens meanwhile is in both, and not in neither.
      if (filter.follow) this.#follow(client, request, filter);
      else this.#forget(client);
    }
    return this.#list(request, filter);
  }

  async #list(request: Request, filter: TaskFilter): Promise<TaskRecord[]> {
    const may = this.#judge(request);
    const found: TaskRecord[] = [];
    const known = new Set<string>();
    for (const entry of this.deps.book.entries.reverse()) {
      const { record, plan } = entry;
      known.add(record.id);
      if (matches(filter, record) && (await may(plan))) found.push(copyOf(entry));
    }
    const { archive } = this.deps;
    if (archive && (filter.state === "all" || filter.state === "ended"))
      found.push(...(await this.#archived(archive, filter, may, known)));
    return found.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, filter.limit);
  }

  /** @param known those that are in the book */
  async #archived(
    archive: Archive,
    { api, verb, caller, pid, id, before, limit }: TaskFilter,
    may: (task: Followed) => boolean | Promise<boolean>,
    known: ReadonlySet<string>,
  ): Promise<TaskRecord[]> {
    const kinds: number[] = [];
    for (const kind of archive.kinds())
      if (same(api, kind.api) && same(verb, kind.verb) && (await may(kind))) kinds.push(kind.key);
    if (kinds.length === 0) return [];
    const wanted = { kinds, caller, pid, id, before, limit: limit + known.size };
    return archive.tasks(wanted).filter((record) => !known.has(record.id));
  }

  /** Asked once for all tasks of the same kind. */
  #judge(request: Request): (task: Followed) => boolean | Promise<boolean> {
    const known = new Map<string, boolean | Promise<boolean>>();
    return (task) => {
      const needed = this.deps.needs(task);
      const key = JSON.stringify(needed);
      const may = known.get(key) ?? this.deps.gate.may(needed, request);
      known.set(key, may);
      return may;
    };
  }

  #follow(client: Client, request: Request, filter: TaskFilter): void {
    request.follows?.(EVENT);
    const follower = this.#followers.get(client);
    if (follower) {
      follower.request = request;
      follower.filter = filter;
      return;
    }
    if (!client.connected) return;
    const forget = client.onClose(() => this.#forget(client));
    this.#followers.set(client, { feed: new Feed(client, EVENT), forget, request, filter });
    this.deps.book.listener = (type, entry) => this.#tell(type, entry);
  }

  #forget(client: Client): void {
    this.#followers.get(client)?.forget();
    this.#followers.delete(client);
    if (this.#followers.size === 0) this.deps.book.listener = undefined;
  }

  #tell(type: Happening, entry: Entry): void {
    const { record, plan } = entry;
    const needed = this.deps.needs(plan);
    let copy: TaskRecord | undefined;
    for (const [client, { feed, request, filter }] of this.#followers) {
      const { api, verb, caller } = filter;
      if (!same(api, record.api) || !same(verb, record.verb)) continue;
      if (caller !== undefined && !isCaller(record.caller, caller)) continue;
      // The record goes on while somebody is asked.
      const task = (copy ??= copyOf(entry));
      const may = this.deps.gate.may(needed, request);
      const push = (granted: boolean): void => {
        if (granted && this.#followers.get(client)?.feed === feed) feed.push({ type, task });
      };
      if (may instanceof Promise) void may.then(push);
      else push(may);
    }
  }
}

const copyOf = ({ record, begun }: Entry): TaskRecord => ({
  ...record,
  ...(record.state === "running" &&
    begun !== undefined && { wall: Math.round(performance.now() - begun) }),
  printed: { ...record.printed },
});
