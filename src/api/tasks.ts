/** The running tasks of one verb: started, stopped, subscribed to. They keep the plan they were started with. */
import { milliseconds, MOST_SECONDS } from "../config/ranges.ts";
import { AfbError, shuttingDown } from "../errors.ts";
import type { Launch } from "../launch/task.ts";
import type { Logger } from "../log.ts";
import type { Plan } from "../plan/plan.ts";
import type { Admission, Place, Waiting } from "./admission.ts";
import type { Archive } from "./archive.ts";
import type { Book, Entry } from "./book.ts";
import { type Client, leaverOf, type Request, SERVER_SESSION } from "./client.ts";
import { bytesFor, encodingFor } from "./encodings.ts";
import { parsePiece, PIECE, type Piece } from "./feeding.ts";
import type { Hub } from "./hub.ts";
import { allows, ANY, type Permit } from "./permit.ts";
import { INPUT, parseTarget, type Query, type Target } from "./query.ts";
import { keptOf } from "./record.ts";
import { type Encoded, type Ending, type MayFollow, Run } from "./run.ts";
import { Readers } from "./readers.ts";
import type { Rings } from "./ring.ts";
import { wholeOf } from "./source.ts";
import type { Stops } from "./stops.ts";
import { Trails, uidOf } from "./trails.ts";

export interface TaskDeps {
  readonly admission: Admission;
  readonly archive?: Archive | undefined;
  readonly book: Book;
  readonly launch: Launch;
  /** The plan in words, for a reply with `verbose`. */
  readonly explain?: ((plan: Plan) => string[]) | undefined;
  readonly hub: Hub;
  readonly log: Logger;
  readonly rings: Rings;
  readonly stops: Stops;
}

/** What is to be started. */
export interface Start {
  readonly plan: Plan;
  readonly encoded: Encoded;
  readonly argv: readonly string[];
  /** What `argv` was made of. */
  readonly args: unknown;
}

/** How long the output of killed tasks may wait for clients that do not read, when the server closes; ms. */
const CLOSE_GRACE = 1000;

export class Tasks {
  /** By pid. */
  readonly #runs = new Map<number, Run>();
  readonly #starting = new Set<Promise<Run>>();
  /** Starts whose turn has not come. */
  readonly #waiting = new Map<Waiting, Entry>();
  /** Aborted when the server closes: launches on their way end too. */
  readonly #closing = new AbortController();
  readonly #trails: Trails;
  readonly #readers = new Readers();
  /** Of tasks that have ended, until that is told. */
  readonly #ends = new Set<Promise<Ending>>();
  /** Of the last {@link recheck}. */
  #may: MayFollow | undefined;

  constructor(
    /** `api/verb`, for messages. */
    readonly owner: string,
    readonly deps: TaskDeps,
  ) {
    this.#trails = new Trails(owner, deps);
  }

  /** Nothing runs, nothing is being started. */
  get idle(): boolean {
    const tasks = this.#runs.size + this.#starting.size + this.#waiting.size;
    return tasks === 0 && this.#trails.idle;
  }

  /** Starts `argv` under a plan; the reply is that of AFB.md, "A command verb". */
  async start(what: Start, request: Request, query: Query): Promise<unknown> {
    const { plan } = what;
    const recheck = this.#rechecking();
    const taking = bytesFor(what.encoded, request);
    const bytes = taking && (await taking);
    const encoded = encodingFor(what.encoded, bytes, query, request);
    const run = await this.#launch({ ...what, encoded }, request);
    if (request.client) {
      run.own(request.client, request);
    }
    const leaver = plan.detach === false ? leaverOf(request) : undefined;
    if (leaver) run.tie(leaver, request);
    this.#stopIfCancelled(run, request);
    const { explain } = this.deps;
    const words = {
      ...(query.verbose > 0 && explain && { plan: explain(plan) }),
      ...(query.notices && query.notices.length > 0 && { notices: query.notices }),
    };
    if (encoded.encoder.synchronous) {
      if (bytes) this.#readers.add(run, bytes, request);
      recheck(run);
      run.announce();
      run.open();
      const ending = this.#ending(run);
      if (
        !bytes &&
        !query.wait &&
        typeof request.wait === "number" &&
        !(await isOver(ending, request.wait))
      ) {
        run.tellItRuns();
        void this.#tellLater(run, ending);
        await this.#requireInput(run);
        return { ...run.identity, ...words };
      }
      const { status, fields } = await ending;
      this.#readers.remove(run);
      run.keep(fields, status);
      this.#clear(run);
      await this.#requireInput(run);
      request.ended?.(plan, status);
      return { ...run.identity, status, ...fields, ...words };
    }
    // The reply travels through promises to a transport that writes it in the same turn of the event loop (see
    // Registry.call). The next turn is therefore the first in which events cannot overtake it.
    setImmediate(() => {
      recheck(run);
      run.open();
    });
    void this.#follow(run);
    // Who has no events of it has nothing but this reply to know whether it was all taken.
    if (!request.client) await this.#requireInput(run);
    return { ...run.identity, ...words };
  }

  #stopIfCancelled(run: Run, request: Request): void {
    const { cancel } = request;
    if (!cancel) return;
    const stop = (): void => {
      this.deps.book.stopping(run.record, request);
      run.stop(request);
    };
    if (cancel.aborted) return stop();
    cancel.addEventListener("abort", stop);
    void run.task.ended.then(() => cancel.removeEventListener("abort", stop));
  }

  /** Stops, subscribes or unsubscribes. Of all tasks only those that `permit` does not refuse, by throwing. */
  async act(request: Request, query: Query, permit: Permit = ANY): Promise<string | string[]> {
    if (query.action === INPUT) {
      const body = request.input && (await wholeOf(request.input, PIECE));
      const { piece, target } = parsePiece(query, body);
      return this.#give(request, piece, parseTarget(target), permit);
    }
    const target = parseTarget(query);
    const { pid, id } = target;
    if (id !== undefined) return this.#actOn(id, request, query.action, target, permit);
    const act = this.#actOf(request, query.action, target);
    const recheck = this.#rechecking();
    if (query.action === "stop" && pid === undefined) {
      const asked = this.#withdraw(request, permit);
      if (asked) await asked;
    }
    // A client may send the stop right behind the start, which then is still on its way.
    await Promise.allSettled(this.#starting);
    if (pid !== undefined) {
      const run = this.#running(pid);
      const asked = permit(run);
      // It may have ended meanwhile, and another one have its pid.
      if (asked) await asked.then(() => this.#running(pid, run));
      act(run);
      recheck(run);
      return run.uid;
    }
    const all = [...this.#runs.values()];
    const may = all.map((run) => allows(permit, run));
    const allowed = may.some((one) => one instanceof Promise) ? await Promise.all(may) : may;
    const runs = all.filter((run, at) => allowed[at] === true && this.#runs.get(run.pid) === run);
    for (const run of runs) {
      act(run);
      recheck(run);
    }
    return runs.map((run) => run.uid);
  }

  /** Who may stop a task may give it its input. */
  async #give(
    request: Request,
    piece: Piece,
    { pid, id }: Target,
    permit: Permit,
  ): Promise<string> {
    await Promise.allSettled(this.#starting);
    const record = id === undefined ? undefined : this.deps.book.find(id)?.record;
    if (id !== undefined && record?.pid === undefined) throw this.#trails.noTask(id);
    const run = this.#running(record?.pid ?? pid ?? 0);
    if (record && run.record !== record) throw this.#trails.noTask(record.id);
    const asked = permit(run);
    if (asked) await asked.then(() => this.#running(run.pid, run));
    this.deps.book.feeding(run.entry, request);
    await run.give(piece);
    return run.uid;
  }

  /** The same to one that is named by its id, which may wait for its turn, or have ended. */
  async #actOn(
    id: string,
    request: Request,
    action: Query["action"],
    target: Target,
    permit: Permit,
  ): Promise<string> {
    const act = this.#actOf(request, action, target);
    const recheck = this.#rechecking();
    await Promise.allSettled(this.#starting);
    const before = this.#may;
    const entry = this.deps.book.find(id);
    const what = { request, action, target };
    if (!entry) return this.#rechecked(before, await this.#trails.followKept(id, what, permit));
    if (`${entry.plan.api}/${entry.plan.verb}` !== this.owner) throw this.#trails.noTask(id);
    const asked = permit(entry);
    if (asked) await asked;
    const { record } = entry;
    const run = record.pid === undefined ? undefined : this.#runs.get(record.pid);
    if (run?.entry === entry) {
      act(run);
      recheck(run);
      return run.uid;
    }
    if (record.state === "waiting") {
      const [waiting] = [...this.#waiting].find(([, one]) => one === entry) ?? [];
      if (action !== "stop" || !waiting)
        throw new AfbError("bad-state", `task ${id} waits for its turn: it has no events yet`);
      this.#giveUp(waiting, entry, request);
      return uidOf(record);
    }
    return this.#rechecked(before, this.#trails.follow(entry, what));
  }

  /** The grants may have changed while somebody was asked. */
  #rechecked(before: MayFollow | undefined, uid: string): string {
    if (this.#may && this.#may !== before) this.#trails.recheck(this.#may);
    return uid;
  }

  #running(pid: number, wanted?: Run): Run {
    const run = this.#runs.get(pid);
    if (run && (wanted ?? run) === run) return run;
    throw new AfbError("invalid-request", `invalid pid ${pid}: no running task of ${this.owner}`);
  }

  /** What callers may do has changed: who may not follow its tasks any more does not. */
  recheck(may: MayFollow): void {
    this.#may = may;
    for (const run of this.#runs.values()) run.recheck(may);
    this.#trails.recheck(may);
    this.#readers.recheck(may);
  }

  /** For a request that has just been admitted: does again what was missed when the grants change while it waits. */
  #rechecking(): (run: Run) => void {
    const before = this.#may;
    return (run) => {
      if (!this.#may || this.#may === before) return;
      run.recheck(this.#may);
      this.#readers.recheck(this.#may);
    };
  }

  /** ms: the longest that a task which runs may take to end; 0 where none says so. */
  get grace(): number {
    return Math.max(0, ...[...this.#runs.values()].map(({ plan }) => plan.stop?.grace ?? 0));
  }

  /**
   * Ends every task, with the grace that it has, and waits until that is told to whoever can take it. Nothing starts any more.
   * {@link close} is to follow.
   */
  async drain(): Promise<void> {
    await this.#refuse();
    for (const run of this.#runs.values()) run.task.end();
    await Promise.allSettled(this.#ends);
  }

  /** From now on; what is on its way ends. */
  async #refuse(): Promise<void> {
    this.#closing.abort();
    for (const waiting of this.#waiting.keys()) waiting.giveUp(shuttingDown());
    await Promise.allSettled(this.#starting);
  }

  /** Kills every task and waits until their trees are gone. Nothing starts any more. */
  async close(): Promise<void> {
    await this.#refuse();
    const runs = [...this.#runs.values()];
    for (const run of runs) run.task.kill();
    const timer = setTimeout(() => {
      for (const run of runs) run.subscribers.drop();
      this.#readers.drop();
    }, CLOSE_GRACE);
    await Promise.all(runs.map((run) => run.task.ended));
    this.#trails.drop();
    // What the encoder still has waits for them, too.
    await Promise.allSettled(this.#ends);
    clearTimeout(timer);
  }

  /** Who may subscribe may stop, too: so whoever asks for it may hold the task. */
  #actOf(request: Request, action: Query["action"], { signal, lossless, from }: Target) {
    if (action === "stop")
      return (run: Run) => {
        this.deps.book.stopping(run.record, request, signal);
        run.stop(request, signal);
      };
    const client: Client | undefined = request.client;
    // Actions of the config hear all events as it is.
    if (!client && request.session === SERVER_SESSION) return () => {};
    if (!client) throw new AfbError("invalid-request", "events need a WebSocket connection");
    if (action === "subscribe" && from !== undefined)
      return (run: Run) => run.followFrom(client, request, from, lossless);
    if (action === "subscribe") return (run: Run) => run.follow(client, request, lossless);
    return (run: Run) => run.subscribers.remove(client);
  }

  /** Takes a place before it launches, so that requests which arrive together do not exceed `concurrency`. */
  async #launch({ plan, encoded, argv, args }: Start, request: Request): Promise<Run> {
    const { admission, book } = this.deps;
    if (this.#closing.signal.aborted) throw shuttingDown();
    if (request.cancel?.aborted)
      throw new AfbError("bad-state", "it was stopped before its turn came");
    this.#requirePlace(plan.concurrency);
    const waiting = admission.enter(plan, request);
    const entry = book.enter(plan, request, keptOf(plan, args, argv));
    let place: Place | undefined;
    let starting: Promise<Run> | undefined;
    try {
      place = "leave" in waiting ? waiting : await this.#turn(waiting, entry, request);
      if (!("leave" in waiting)) this.#waiting.delete(waiting);
      const launch = () =>
        Run.launch(this.deps, entry, argv, encoded, request, this.#closing.signal);
      const asked = book.mayStart(entry);
      starting = asked ? asked.then(launch) : launch();
      this.#starting.add(starting);
      const run = await starting;
      this.#runs.set(run.pid, run);
      run.feed(request);
      // Before anybody hears of the end: a client may start the next one at once.
      const { leave } = place;
      void run.task.ended.then(leave);
      book.begin(entry, run);
      return run;
    } catch (error) {
      book.drop(entry, error);
      place?.leave();
      throw error;
    } finally {
      place?.launched();
      if (starting) this.#starting.delete(starting);
    }
  }

  /** Not for a client that goes meanwhile, and with which the task would end. */
  async #turn(waiting: Waiting, entry: Entry, request: Request): Promise<Place> {
    const { plan } = entry;
    this.#waiting.set(waiting, entry);
    this.deps.book.wait(entry);
    const gone = new AfbError("disconnected", "its client went before its turn came");
    const leaver = plan.detach === false ? leaverOf(request) : undefined;
    const forget = leaver?.onClose(() => waiting.giveUp(gone));
    const cancelled = (): void => this.#giveUp(waiting, entry, request);
    request.cancel?.addEventListener("abort", cancelled, { once: true });
    if (request.cancel?.aborted) cancelled();
    try {
      return await waiting.place;
    } catch (error) {
      this.#waiting.delete(waiting);
      throw error;
    } finally {
      forget?.();
      request.cancel?.removeEventListener("abort", cancelled);
    }
  }

  /** Starts that wait for their turn never begin. A promise only where somebody has to be asked. */
  #withdraw(request: Request, permit: Permit): Promise<unknown> | undefined {
    const asked = [...this.#waiting].flatMap(([waiting, entry]) => {
      const may = allows(permit, entry);
      const giveUp = (): void => this.#giveUp(waiting, entry, request);
      if (may === true) giveUp();
      if (!(may instanceof Promise)) return [];
      return may.then((allowed) => {
        // Its turn may have come meanwhile: then it is one of those that run.
        if (allowed && this.#waiting.has(waiting)) giveUp();
      });
    });
    return asked.length > 0 ? Promise.all(asked) : undefined;
  }

  #giveUp(waiting: Waiting, { record }: Entry, request: Request): void {
    this.deps.book.stopping(record, request);
    waiting.giveUp(new AfbError("bad-state", "it was stopped before its turn came"));
  }

  #requirePlace(concurrency: number): void {
    const taken = this.#runs.size + this.#starting.size + this.#waiting.size;
    if (concurrency === 0 || taken < concurrency) return;
    const pids = [...this.#runs.keys()];
    const who = pids.length > 0 ? `pid ${pids.join(", ")}` : "being started";
    const most = concurrency === 1 ? "one task" : `${concurrency} tasks`;
    throw new AfbError("bad-state", `${this.owner} is running: ${who}; at most ${most} at a time`);
  }

  /** The end of a task. Its place is free before anybody hears of it: a client may start the next one at once. */
  #ending(run: Run): Promise<Ending> {
    const ending = this.#endOf(run);
    this.#ends.add(ending);
    void ending.then(() => this.#ends.delete(ending));
    return ending;
  }

  async #endOf(run: Run): Promise<Ending> {
    await run.task.ended;
    if (this.#runs.get(run.pid) === run) this.#runs.delete(run.pid);
    const ending = await run.ending();
    this.deps.book.end(run.entry, ending.status);
    return ending;
  }

  /** What the reply would have had, to who follows the task meanwhile. */
  async #tellLater(run: Run, ending: Promise<Ending>): Promise<void> {
    const { status, fields } = await ending;
    if (Object.keys(fields).length > 0) await run.publish(fields);
    await run.finish(status);
    this.#clear(run);
  }

  /** Waits until what the request brings for it to read is with it, or not read any more. Rejects where it broke off. */
  async #requireInput({ poured, entry }: Run): Promise<void> {
    const broken = await poured;
    if (!broken) return;
    this.deps.book.breakOff(entry, broken);
    throw broken;
  }

  async #follow(run: Run): Promise<void> {
    const { status } = await this.#ending(run);
    await run.finish(status);
    this.#clear(run);
  }

  /** Nobody waits for more of it; who still takes what was before takes it to the end. */
  #clear({ plan, subscribers }: Run): void {
    subscribers.clear();
    if (subscribers.replaying) this.#trails.add(subscribers, plan);
  }
}

/** Whether it has come within so many seconds. */
async function isOver(ending: Promise<unknown>, seconds: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds(Math.min(seconds, MOST_SECONDS)));
  });
  const over = await Promise.race([ending.then(() => true), late]);
  clearTimeout(timer);
  return over;
}
