/** One run of a plan as its clients see it: the task, its encoding and its subscribers. */
import type { Emit, Encoder, Fields } from "../encoders/encoder.ts";
import { AfbError } from "../errors.ts";
import { type Launch, LaunchError, type Task } from "../launch/task.ts";
import type { Plan } from "../plan/plan.ts";
import { Output } from "./output.ts";
import { type WireStatus, wireStatus } from "./status.ts";
import { Subscribers } from "./subscribers.ts";

/** How an encoder is used for a run. */
export interface Encoded {
  readonly encoder: Encoder;
  readonly opts: Record<string, unknown>;
}

export interface Ending {
  readonly status: WireStatus;
  /** Fields of a synchronous encoder for the reply. */
  readonly fields: Fields;
}

export class Run {
  readonly subscribers = new Subscribers();
  readonly #plan: Plan;
  readonly #task: Task;
  readonly #output: Output;

  private constructor(plan: Plan, task: Task, output: Output) {
    this.#plan = plan;
    this.#task = task;
    this.#output = output;
  }

  /** Launches; the output is held back until {@link open}. Rejects with the AfbError to reply when nothing was started. */
  static async launch(
    launch: Launch,
    plan: Plan,
    argv: readonly string[],
    { encoder, opts }: Encoded,
  ): Promise<Run> {
    let run: Run | undefined;
    const emit: Emit = (fields) => run?.publish("data", fields);
    const output = new Output(encoder.begin(opts, emit));
    try {
      const task = await launch(plan, argv, output);
      run = new Run(plan, task, output);
      return run;
    } catch (error) {
      await output.end();
      throw notStarted(plan, error);
    }
  }

  get pid(): number {
    return this.#task.pid;
  }

  /** `sandbox/command@pid` */
  get uid(): string {
    return `${this.#plan.sandbox}/${this.#plan.command}@${this.pid}`;
  }

  get task(): Task {
    return this.#task;
  }

  /** How replies and the initial event name the task. */
  get identity() {
    const { api, sandbox, command } = this.#plan;
    return { api, sandbox, command, pid: this.pid };
  }

  open(): void {
    this.#output.open();
  }

  /** Sends an event of this task to its subscribers. */
  publish(type: "data" | "final-event", fields: object): void | Promise<void> {
    return this.#send({ type, pid: this.pid, ...fields });
  }

  announce(): void | Promise<void> {
    return this.#send({ type: "initial-event", ...this.identity });
  }

  /** Flushes the encoder at the end of the task, after {@link Task.ended}. Never rejects. */
  async ending(): Promise<Ending> {
    const outcome = await this.#task.ended;
    const fields = await this.#output.end();
    const { failure } = this.#output;
    const status = wireStatus(outcome);
    // The command did run and its status stands, but its output is not all there: say so.
    return { status: failure === undefined ? status : { ...status, encoder: failure }, fields };
  }

  #send(data: object): void | Promise<void> {
    return this.subscribers.publish(`${this.#plan.api}/${this.#plan.verb}`, data);
  }
}

function notStarted(plan: Plan, error: unknown): unknown {
  if (!(error instanceof LaunchError)) return error;
  const { sandbox, command } = plan;
  return new AfbError("internal-error", `${sandbox}/${command} not started: ${error.message}`);
}
