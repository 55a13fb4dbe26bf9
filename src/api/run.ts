/** One run of a plan as its clients see it: the task, its encoding and its subscribers. */
import type { Emit, Fields, TaskEncoder } from "../encoders/encoder.ts";
import { Hold, type Loss } from "../encoders/hold.ts";
import { AfbError, isExhaustion, shuttingDown } from "../errors.ts";
import { type Launch, LaunchError, type Task } from "../launch/task.ts";
import type { Logger } from "../log.ts";
import type { Plan } from "../plan/plan.ts";
import { askerOf, type Client, type Leaver, type Request } from "./client.ts";
import type { Entry } from "./book.ts";
import { EventData } from "./event-data.ts";
import { unless } from "./gate.ts";
import { Feeding, type Piece } from "./feeding.ts";
import type { Hub } from "./hub.ts";
import { Output } from "./output.ts";
import type { TaskRecord } from "./record.ts";
import type { BrokenInput } from "./source.ts";
import { Ring, RING, type Rings } from "./ring.ts";
import type { Stoppable, Stops } from "./stops.ts";
import { type WireStatus, wireStatus } from "./status.ts";
import { type Gap, Subscribers } from "./subscribers.ts";

/** How an encoder is used for a run. */
export interface Encoded {
  readonly encoder: TaskEncoder;
  readonly opts: Record<string, unknown>;
}

/** What of a plan tells who may follow its tasks. */
export type Followable = Pick<Plan, "privileges">;

/** Whether who made a request may still follow a task of this plan. */
export type MayFollow = (plan: Followable, request: Request) => boolean | Promise<boolean>;

export interface Ending {
  readonly status: WireStatus;
  /** Fields of a synchronous encoder for the reply. */
  readonly fields: Fields;
}

export interface RunDeps {
  readonly launch: Launch;
  readonly hub: Hub;
  readonly log: Logger;
  readonly rings: Rings;
  readonly stops: Stops;
}

/** ms for which it is not told that a task runs. */
const SOON = 2;

export class Run implements Stoppable {
  readonly subscribers: Subscribers;
  readonly plan: Plan;
  readonly #task: Task;
  readonly #output: Output;
  readonly #deps: RunDeps;
  readonly #event: string;
  readonly #ring: Ring;
  /** Of one that reads what it is given. */
  #feeding: Feeding | undefined;
  /** Who has started it: it waits for that client. */
  #starter: Client | undefined;
  /** The client with which the task ends, the request by which it may follow, and a function that ends that. */
  #owner: { readonly client: Leaver; request: Request; readonly untie: () => void } | undefined;

  /** Signals of stops whose turn has not come; undefined is the usual stop. */
  readonly #ordered = new Set<number | undefined>();
  #over = false;
  readonly #atEnd = new Set<() => void>();
  /** Does now what {@link announce} has put off. */
  #announced = (): void => {};

  private constructor(
    deps: RunDeps,
    readonly entry: Entry,
    task: Task,
    output: Output,
  ) {
    const { plan } = entry;
    this.#deps = deps;
    this.plan = plan;
    this.#task = task;
    this.#output = output;
    this.#event = `${plan.api}/${plan.verb}`;
    const { pid } = task;
    const overflow = (gap: Gap) => ({ type: "overflow", pid, ...gap });
    const { id } = entry.record;
    this.#ring = new Ring(plan.ring ?? RING, deps.rings);
    const past = { id, pid, event: this.#event, ring: this.#ring };
    this.subscribers = new Subscribers(past, overflow);
    entry.events = this.subscribers;
    void task.ended.then(() => {
      this.#over = true;
      for (const tell of this.#atEnd) tell();
    });
  }

  /**
   * Launches; the output is held back until {@link open}. Rejects with the AfbError to reply when nothing was started.
   * @param abort the server ends
   */
  static async launch(
    deps: RunDeps,
    entry: Entry,
    argv: readonly string[],
    { encoder, opts }: Encoded,
    { from, session }: Pick<Request, "from" | "session">,
    abort?: AbortSignal,
  ): Promise<Run> {
    let run: Run | undefined;
    const emit: Emit = (fields) => run?.publish(fields);
    const { plan, record } = entry;
    const { api, sandbox, command } = plan;
    const hold = new Hold(plan.buffer, from?.peer);
    const about = {
      hold,
      get name() {
        return `${api}: ${run?.uid ?? `${sandbox}/${command}`}`;
      },
      tell: (text: string) => deps.log("error", `${run?.uid ?? `${sandbox}/${command}`}: ${text}`),
    };
    const begun = encoder.begin(opts, emit, about);
    const encoding = begun instanceof Promise ? await begun : begun;
    const asker = encoder.synchronous ? askerOf({ from, session }) : undefined;
    const output = new Output(encoding, hold, record.printed, asker);
    try {
      const task = await deps.launch(plan, argv, output, abort);
      run = new Run(deps, entry, task, output);
      deps.log("info", `${run.uid} started`);
      return run;
    } catch (error) {
      await output.end();
      // What kills a launch on its way then is no fault of it.
      const told = abort?.aborted ? shuttingDown() : notStarted(plan, error);
      deps.log("warning", told instanceof Error ? told.message : String(told));
      throw told;
    }
  }

  get pid(): number {
    return this.#task.pid;
  }

  /** `sandbox/command@pid` */
  get uid(): string {
    return `${this.plan.sandbox}/${this.plan.command}@${this.pid}`;
  }

  get record(): TaskRecord {
    return this.entry.record;
  }

  get task(): Task {
    return this.#task;
  }

  /** How replies and the initial event name the task. */
  get identity() {
    const { api, sandbox, command } = this.plan;
    return { api, sandbox, command, pid: this.pid };
  }

  open(): void {
    this.#output.open();
  }

  /** Sends an event of this task to its subscribers. */
  publish(fields: object): void | Promise<void> {
    this.#announced();
    this.entry.record.printed.events++;
    return this.#send({ type: "data", pid: this.pid, ...fields });
  }

  /** Tells its followers that it runs: of what is over at once they have that with its end, in one write. */
  announce(): void {
    const timer = setTimeout(() => this.#announced(), SOON);
    this.#announced = () => {
      clearTimeout(timer);
      this.#announced = () => {};
      void this.#send({ type: "initial-event", ...this.identity });
    };
    void this.#task.ended.then(() => this.#announced());
  }

  /** What names the task to its followers goes before all else that they are told, such as a reply that does not wait for its end. */
  tellItRuns(): void {
    this.#announced();
  }

  /** Sends the last event. */
  finish(status: WireStatus): void | Promise<void> {
    const data = { type: "final-event", pid: this.pid, status };
    const event = EventData.of(data);
    this.#ring.end(event);
    this.#deps.hub.emit(this.#event, data);
    return this.subscribers.finish(event);
  }

  /** Sends its events to who has started it. */
  own(client: Client, request: Request): void {
    this.#starter = client;
    this.follow(client, request);
  }

  /** Sends its events to `client`, too. @param lossless It waits for the client; by default for who has started it only. */
  follow(client: Client, request: Request, lossless = client === this.#starter): void {
    this.#announced();
    this.subscribers.add(client, request, lossless);
    if (this.#owner?.client === client) this.#owner.request = request;
  }

  /** The same, beginning with the event of that number. */
  followFrom(
    client: Client,
    request: Request,
    from: number,
    lossless = client === this.#starter,
  ): void {
    this.#announced();
    this.subscribers.replay(client, request, lossless, from);
    if (this.#owner?.client === client) this.#owner.request = request;
  }

  /** Tells it to end, or sends that signal: soon, where many are told so. The same once more is one while that waits. */
  stop({ from, session }: Pick<Request, "from" | "session">, signal?: number): void {
    if (this.over || this.#ordered.has(signal)) return;
    this.#ordered.add(signal);
    this.#order({ from, session }, () => {
      this.#ordered.delete(signal);
      this.#task.stop(signal);
    });
  }

  #order({ from, session }: Pick<Request, "from" | "session">, give: () => void): void {
    const asker = askerOf({ from, session });
    this.#deps.stops.enter(asker, this, () => void (this.over || give()));
  }

  /** What it reads comes from the start, or from then on from its clients: see {@link Feeding.begin}. */
  feed(request: Request): void {
    const { input: most } = this.plan;
    const { input, ended } = this.#task;
    if (most === undefined || !input) return;
    this.#feeding = new Feeding(this.uid, { input, ended }, most);
    this.#feeding.begin(request, ({ message }) => {
      this.#deps.log("warning", `${this.uid} is stopped: ${message}`);
      // A signal that a script takes and goes on after would let it go on with what it has.
      this.#order(request, () => this.#task.end());
    });
  }

  /** See {@link Feeding.poured}. */
  get poured(): Promise<BrokenInput | undefined> | undefined {
    return this.#feeding?.poured;
  }

  /** Resolves once its stdin has taken it. Rejects with an AfbError. */
  async give(piece: Piece): Promise<void> {
    if (!this.#feeding)
      throw new AfbError(
        "invalid-request",
        `${this.uid} reads no input: its config has no "stdin"`,
      );
    await this.#feeding.give(piece);
  }

  get over(): boolean {
    return this.#over;
  }

  onEnd(ended: () => void): () => void {
    this.#atEnd.add(ended);
    return () => this.#atEnd.delete(ended);
  }

  /** The end of `client` is from now on the end of the task. */
  tie(client: Leaver, request: Request): void {
    const stop = (): void => this.stop(request);
    if (!client.connected) return stop();
    const untie = client.onClose(stop);
    this.#owner = { client, request, untie };
    void this.#task.ended.then(untie);
  }

  /**
   * Takes its events from those who may not have them any more, with a last one that says so. The task goes on: who may not
   * stop it any more does not stop it by going away either. What has to be asked for ends once it is refused.
   */
  recheck(may: MayFollow): void {
    const { plan } = this;
    // First: a last event may end the connection.
    const owner = this.#owner;
    if (owner) {
      const { request } = owner;
      unless(may(plan, request), () => owner.request === request && owner.untie());
    }
    this.subscribers.recheck((request) => may(plan, request));
  }

  /** Flushes the encoder at the end of the task, after {@link Task.ended}. Never rejects. */
  async ending(): Promise<Ending> {
    const outcome = await this.#task.ended;
    const fields = await this.#output.end();
    const { failure, told, loss } = this.#output;
    const status = { ...wireStatus(outcome), ...lossOf(loss) };
    const { usage: _, ...how } = status;
    this.#deps.log("info", `${this.uid} ended: ${JSON.stringify(how)}`);
    if (failure !== undefined && !told)
      this.#deps.log("error", `${this.uid}: output is lost: ${failure}`);
    // The command did run and its status stands, but its output is not all there: say so.
    return { status: failure === undefined ? status : { ...status, encoder: failure }, fields };
  }

  /** What only who comes later is told as an event: others have it by the reply. */
  keep(fields: object, status: WireStatus): void {
    if (Object.keys(fields).length > 0) {
      const { bytes } = this.record.printed;
      const data = EventData.of({ type: "data", pid: this.pid, ...fields });
      if (bytes > this.#ring.most) this.#ring.skip(bytes);
      else this.#ring.push(data);
      this.subscribers.tellLate(data);
    }
    const last = EventData.of({ type: "final-event", pid: this.pid, status });
    this.#ring.end(last);
    this.subscribers.tellLate(last);
  }

  #send(data: object): void | Promise<void> {
    const event = EventData.of(data);
    this.#ring.push(event);
    this.#deps.hub.emit(this.#event, data);
    return this.subscribers.publish(event);
  }
}

/** As clients see it: `{"overflow":{"bytes":N}}`, `{"replaced":{"bytes":N}}`. */
function lossOf({ overflow, replaced }: Loss): Pick<WireStatus, "overflow" | "replaced"> {
  return {
    ...(overflow > 0 && { overflow: { bytes: overflow } }),
    ...(replaced > 0 && { replaced: { bytes: replaced } }),
  };
}

function notStarted(plan: Plan, error: unknown): unknown {
  if (!(error instanceof LaunchError)) return error;
  const { sandbox, command } = plan;
  const status = isExhaustion(error.errno) ? "busy" : "internal-error";
  return new AfbError(status, `${sandbox}/${command} not started: ${error.message}`);
}
