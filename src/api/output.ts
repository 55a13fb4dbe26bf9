/** The way of a task's bytes into its encoding: held back until the client knows of the task, and safe against plugins. */
import { type Encoding, type Fields, OutputLost } from "../encoders/encoder.ts";
import { endsIn } from "../encoders/ends.ts";
import type { Hold, Loss } from "../encoders/hold.ts";
import type { OutputSink } from "../launch/task.ts";
import { rendering } from "./rendering.ts";
import type { Asker } from "./turns.ts";

type Encode = (encoding: Encoding) => void | Promise<void>;

/**
 * The sink of one task. Until `open` it takes nothing: a task may print before its start has been replied, and the client
 * must not see data of a task that it does not know yet. The reader waits, so nothing piles up.
 */
export class Output implements OutputSink {
  /** Until the end: a task is remembered for long, and what it has printed is not. */
  #encoding: Encoding | undefined;
  readonly #gate = Promise.withResolvers<void>();
  #opened = false;
  #failure: string | undefined;
  #told = false;

  /**
   * @param printed what has come is counted there
   * @param asker who gets it in a reply; absent where it is sent as events, which may have to wait for who reads them
   */
  constructor(
    encoding: Encoding,
    readonly hold: Hold,
    readonly printed: { bytes: number; lines: number },
    readonly asker?: Asker,
  ) {
    this.#encoding = encoding;
  }

  /** What of it nobody gets, or not as it was printed. */
  get loss(): Loss {
    return this.hold.loss;
  }

  /** What went wrong in the encoder. Its task goes on, and its output is read and dropped. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The operator has heard of it already. */
  get told(): boolean {
    return this.#told;
  }

  open(): void {
    this.#opened = true;
    this.#gate.resolve();
  }

  stdout(chunk: Uint8Array): void | Promise<void> {
    return this.#come(chunk, (encoding) => encoding.stdout(chunk));
  }

  stderr(chunk: Uint8Array): void | Promise<void> {
    return this.#come(chunk, (encoding) => encoding.stderr(chunk));
  }

  /** Flushes and closes the encoding, also when the task never started. Never rejects. */
  async end(): Promise<Fields> {
    const encoding = this.#encoding;
    if (!encoding) return {};
    const turn = this.asker && rendering.enter(this.asker, this.hold.held);
    const made = turn && (await turn);
    try {
      const fields = await encoding.end();
      this.printed.lines = encoding.lines ?? this.printed.lines;
      return fields;
    } catch (error) {
      this.#fail(error);
      return {};
    } finally {
      this.#encoding = undefined;
      this.hold.close();
      // The reply is written in this turn of the event loop.
      if (made) setImmediate(made);
    }
  }

  #come(chunk: Uint8Array, encode: Encode): void | Promise<void> {
    this.printed.bytes += chunk.length;
    if (this.#opened) return this.#take(chunk, encode);
    return this.#gate.promise.then(() => this.#take(chunk, encode));
  }

  /** Lines that the encoding counts are known once it has taken them. */
  #take(chunk: Uint8Array, encode: Encode): void | Promise<void> {
    const encoding = this.#encoding;
    if (!encoding) return;
    const taken = this.#guard(encoding, encode);
    const { lines } = encoding;
    this.printed.lines = lines ?? this.printed.lines + endsIn(chunk);
    if (!taken || lines === undefined) return taken;
    return taken.then(() => {
      this.printed.lines = encoding.lines ?? this.printed.lines;
    });
  }

  #guard(encoding: Encoding, encode: Encode): void | Promise<void> {
    if (this.#failure !== undefined) return;
    try {
      return encode(encoding)?.catch((error: unknown) => this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error instanceof Error ? error.message : String(error);
    this.#told = error instanceof OutputLost;
  }
}
