/** The book of tasks: those that wait, run, and have ended lately. It tells witnesses what happens. */
import type { Task } from "../launch/task.ts";
import type { Plan } from "../plan/plan.ts";
import type { Caller, Request } from "./client.ts";
import { type Action, INPUT } from "./query.ts";
import { callerRecord, type Kept, type TaskRecord } from "./record.ts";
import { failure } from "./reply.ts";
import { BrokenInput } from "./source.ts";
import type { WireStatus } from "./status.ts";
import type { Subscribers } from "./subscribers.ts";
import { TaskIds } from "./task-id.ts";
import type { Refusal, Witness } from "./witness.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Written by the task as it goes on. */
export type OpenRecord = Mutable<Omit<TaskRecord, "printed">> & {
  readonly printed: Mutable<TaskRecord["printed"]>;
};

/** A task in the book. */
export interface Entry {
  readonly record: OpenRecord;
  /** The one it was started with. */
  readonly plan: Plan;
  /** Since when it runs, by performance.now(). */
  begun?: number;
  /** Who has given it something to read by a call of its own. */
  feeders?: Set<string>;
  /** Once it has run: its events, which can be had afterwards, too. */
  events?: Subscribers;
}

/** What becomes of a task, for who watches. `dropped`: it waited, and nothing has come of it. */
export type Happening = "waiting" | "started" | "ended" | "dropped";

/** What a {@link Run} is for the book. */
export interface Running {
  readonly pid: number;
  readonly task: Task;
}

export interface BookOptions {
  readonly witnesses?: readonly Witness[];
  /** Told of tasks that begin and end, so that it can keep them for longer. */
  readonly archive?: { note(entry: Entry): void };
  /** What the access file says of a caller, for records. */
  readonly named?: (caller: Caller) => string | undefined;
  /** Epoch ms. */
  readonly now?: () => number;
}

/** Tasks that have ended and are in the book: how many at most, and bytes of their arguments. */
const ENDED = 200;
const ARGUMENTS = 1 << 20;
/** Callers that are known to have fed a task: of more, each piece is told. */
const FEEDERS = 100;

/** What of a refusal is known where it happens. */
export interface Refused extends Kept {
  readonly action: Action;
  readonly plan?: Pick<Plan, "sandbox" | "command">;
  /** What was said of it may hold a secret. */
  readonly discreet?: boolean;
}

export class Book {
  readonly #open = new Map<string, Entry>();
  readonly #ended = new Map<string, Entry>();
  /** Told of what happens, besides the witnesses. */
  listener: ((type: Happening, entry: Entry) => void) | undefined;
  /** Bytes of those of the tasks that have ended. */
  #arguments = 0;
  readonly #witnesses: readonly Witness[];
  readonly #archive: BookOptions["archive"];
  readonly #named: (caller: Caller) => string | undefined;
  readonly #now: () => number;
  readonly #taskIds: TaskIds;
  /** Of starts that had a record: they are told once, however many verbs stand for them. */
  readonly #told = new WeakSet<object>();
  readonly #ids = new WeakMap<object, string>();

  constructor({
    witnesses = [],
    archive,
    named = () => undefined,
    now = Date.now,
  }: BookOptions = {}) {
    this.#witnesses = witnesses;
    this.#archive = archive;
    this.#named = named;
    this.#now = now;
    this.#taskIds = new TaskIds(now);
  }

  /** Tasks to come sort behind that one, of an earlier server. */
  continueAfter(id: string): void {
    this.#taskIds.continueAfter(id);
  }

  /** Where it was made, or is. */
  find(id: string): Entry | undefined {
    return this.#open.get(id) ?? this.#ended.get(id);
  }

  /** The newest last. */
  get entries(): Entry[] {
    return [...this.#ended.values(), ...this.#open.values()];
  }

  /** Somebody wants to hear of what is refused. */
  get isWitnessed(): boolean {
    return this.#witnesses.length > 0;
  }

  /** A promise only where a witness has to be waited for. @throws, or rejects with, the AfbError of one that lets it not start */
  mayStart({ record, plan }: Entry): Promise<void> | undefined {
    let asked: Promise<void> | undefined;
    for (const witness of this.#witnesses) {
      const ask = () => witness.mayStart?.(record, plan);
      asked = asked ? asked.then(ask) : ask();
    }
    return asked;
  }

  /** A start whose turn comes. */
  enter(plan: Plan, request: Pick<Request, "session" | "caller">, kept: Kept): Entry {
    const { api, verb, sandbox, command } = plan;
    const entry: Entry = {
      plan,
      record: {
        id: this.#taskIds.next(),
        ...{ api, verb, sandbox, command },
        caller: callerRecord(request, this.#named),
        asked: this.#now(),
        state: "waiting",
        ...kept,
        printed: { bytes: 0, lines: 0, events: 0 },
      },
    };
    this.#open.set(entry.record.id, entry);
    return entry;
  }

  /** Its turn does not come at once. */
  wait(entry: Entry): void {
    this.listener?.("waiting", entry);
  }

  /** Nothing has come of it. */
  drop(entry: Entry, error: unknown): void {
    const { record } = entry;
    this.#open.delete(record.id);
    this.listener?.("dropped", entry);
    if (typeof error === "object" && error !== null) this.#ids.set(error, record.id);
  }

  /** It runs, and the call that has started it fails by what it gives the task. */
  breakOff({ record }: Entry, error: BrokenInput): void {
    this.#ids.set(error, record.id);
  }

  begin(entry: Entry, run: Running): void {
    const { record } = entry;
    record.pid = run.pid;
    const { mode } = run.task;
    if (mode) record.mode = mode;
    record.started = this.#now();
    entry.begun = performance.now();
    record.state = "running";
    this.#archive?.note(entry);
    this.listener?.("started", entry);
    for (const witness of this.#witnesses) witness.started?.(record);
  }

  end(entry: Entry, status: WireStatus): void {
    const { record } = entry;
    record.ended = this.#now();
    record.state = "ended";
    record.status = status;
    const denied = Object.values(status.denied ?? {}).reduce((sum, count) => sum + count, 0);
    if (denied > 0) record.denied = denied;
    this.#open.delete(record.id);
    delete entry.feeders;
    this.#ended.set(record.id, entry);
    // Before it is let go.
    this.#archive?.note(entry);
    this.#arguments += weightOf(record);
    for (const [id, oldest] of this.#ended) {
      if (this.#ended.size <= ENDED && this.#arguments <= ARGUMENTS) break;
      this.#ended.delete(id);
      this.#arguments -= weightOf(oldest.record);
      oldest.events?.past.ring.close();
    }
    this.listener?.("ended", entry);
    for (const witness of this.#witnesses) witness.ended?.(record);
  }

  stopping(
    record: TaskRecord,
    request: Pick<Request, "session" | "caller">,
    signal?: number,
  ): void {
    const caller = callerRecord(request, this.#named);
    const told = { time: this.#now(), caller, record, ...(signal !== undefined && { signal }) };
    for (const witness of this.#witnesses) witness.stopping?.(told);
  }

  /** It gives a task a piece to read: told of each caller once, however many there are. */
  feeding(entry: Entry, request: Pick<Request, "session" | "caller">): void {
    if (!this.isWitnessed) return;
    const caller = callerRecord(request, this.#named);
    const who = JSON.stringify(caller);
    const feeders = (entry.feeders ??= new Set());
    if (feeders.has(who)) return;
    if (feeders.size < FEEDERS) feeders.add(who);
    const told = { time: this.#now(), caller, record: entry.record };
    for (const witness of this.#witnesses) witness.fed?.(told);
  }

  /** A call of a command verb failed. Only asked for where it {@link isWitnessed}. */
  refuse(request: Request, error: unknown, refused: Refused): void {
    const { plan, discreet, ...kept } = refused;
    const { api, verb } = request;
    if (typeof error === "object" && error !== null) {
      // Verbs that stand for this one pass its error on.
      if (this.#told.has(error)) return;
      this.#told.add(error);
    }
    const { status, info } = failure(error).request;
    const id = typeof error === "object" && error !== null ? this.#ids.get(error) : undefined;
    const hasRun = id !== undefined && error instanceof BrokenInput;
    const refusal: Refusal = {
      time: this.#now(),
      caller: callerRecord(request, this.#named),
      ...{ api, verb },
      ...(plan && { sandbox: plan.sandbox, command: plan.command }),
      ...(id !== undefined && { id }),
      ...kept,
      ...(hasRun && { action: INPUT }),
      status,
      ...(info !== undefined && !discreet && { info }),
    };
    for (const witness of this.#witnesses) witness.refused?.(refusal);
  }
}

/** Bytes of what is kept of its arguments, about. */
export const weightOf = ({ argv = [] }: TaskRecord): number =>
  argv.reduce((sum, text) => sum + text.length + 16, 0);
