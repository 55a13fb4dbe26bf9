/** One task's encoding by a plugin, as the server sees it: it can neither hang the task nor speak after its end. */
import { parseExact } from "../numbers.ts";
import type { Emit, Encoding, Fields } from "../encoders/encoder.ts";
import type { Threads } from "./threads.ts";
import type { Asked } from "./messages.ts";
import type { Heard, Thread } from "./thread.ts";

export class TaskEncoding implements Encoding {
  readonly #thread: Thread;
  readonly #threads: Threads;
  readonly #emit: Emit;
  /** Batches of events that clients have not taken yet. */
  #untaken = 0;
  #taken: Promise<unknown> = Promise.resolve();

  constructor(threads: Threads, emit: Emit) {
    this.#threads = threads;
    this.#emit = emit;
    this.#thread = threads.fresh();
    this.#thread.hand((heard) => this.#hear(heard));
  }

  /** Rejects with what the plugin throws. */
  async begin(encoder: string, opts: Record<string, unknown>): Promise<void> {
    try {
      await this.#hook({ kind: "begin", encoder, opts });
    } catch (error) {
      this.#thread.end();
      throw error;
    }
  }

  async stdout(chunk: Uint8Array): Promise<void> {
    await this.#hook({ kind: "stdout", chunk: chunk.slice() });
  }

  async stderr(chunk: Uint8Array): Promise<void> {
    await this.#hook({ kind: "stderr", chunk: chunk.slice() });
  }

  async end(): Promise<Fields> {
    try {
      return (await this.#hook({ kind: "end" })) as Fields;
    } finally {
      this.#thread.end();
    }
  }

  async #hook(asked: Asked): Promise<unknown> {
    const { limit } = this.#threads;
    let idle = 0;
    const timer = setInterval(() => {
      // Two halves in a row have to pass without waiting for a client: the time in which this process itself stood still,
      // for another plugin in a reload, is one at most.
      idle = this.#untaken > 0 ? 0 : idle + 1;
      if (idle === 2)
        this.#thread.end(new Error(`${asked.kind}() took more than ${limit / 1000} s`));
    }, limit / 2);
    try {
      const answer = await this.#thread.ask(asked);
      // The command is slowed down also for a plugin that does not wait for its clients.
      await this.#taken;
      return answer;
    } finally {
      clearInterval(timer);
    }
  }

  #hear(heard: Heard): void {
    if (heard.kind === "events") void this.#send(heard.batch, heard.list);
    if (heard.kind === "stray") this.#threads.stray(heard.text);
  }

  async #send(batch: number, list: readonly string[]): Promise<void> {
    const slow = list.flatMap((json) => this.#emit(parseExact(json) as Fields) ?? []);
    if (slow.length > 0) {
      this.#untaken++;
      const taken = Promise.all([this.#taken, ...slow]);
      this.#taken = taken;
      await taken;
      this.#untaken--;
    }
    this.#thread.tell({ kind: "sent", batch });
  }
}
