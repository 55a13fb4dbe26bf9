/** An encoder of a plugin as the tasks use it: each has a thread, which ends with it. */
import type { Emit, Encoding, TaskEncoder } from "../encoders/encoder.ts";
import { AfbError } from "../errors.ts";
import { TaskEncoding } from "./encoding.ts";
import type { Asked, Contents } from "./messages.ts";
import type { Threads } from "./threads.ts";

export class ThreadedEncoder implements TaskEncoder {
  /** `plugin/encoder` */
  readonly name: string;

  constructor(
    plugin: string,
    readonly about: Contents["encoders"][number],
    readonly threads: Threads,
  ) {
    this.name = `${plugin}/${about.name}`;
  }

  get synchronous(): boolean {
    return this.about.synchronous;
  }

  async check(opts: Record<string, unknown>): Promise<string[]> {
    if (!this.about.checks) return this.#takesNone(opts);
    try {
      return (await this.threads.shared().ask(this.#question(opts))) as string[];
    } catch (error) {
      return [this.#failed(error)];
    }
  }

  /** As {@link check}, but the process stands still meanwhile. */
  checkNow(opts: Record<string, unknown>): string[] {
    if (!this.about.checks) return this.#takesNone(opts);
    try {
      return this.threads.shared().askNow(this.#question(opts)) as string[];
    } catch (error) {
      return [this.#failed(error)];
    }
  }

  async begin(opts: Record<string, unknown>, emit: Emit): Promise<Encoding> {
    try {
      const task = new TaskEncoding(this.threads, emit);
      await task.begin(this.about.name, opts);
      return task;
    } catch (error) {
      throw new AfbError("internal-error", `encoder ${this.#failed(error)}`);
    }
  }

  #question = (opts: Record<string, unknown>): Asked => ({
    kind: "check",
    encoder: this.about.name,
    opts,
  });

  #takesNone(opts: Record<string, unknown>): string[] {
    return Object.keys(opts).map((key) => `${key}: the encoder ${this.name} takes no options`);
  }

  #failed(error: unknown): string {
    return `${this.name}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
