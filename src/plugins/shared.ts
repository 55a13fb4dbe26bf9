/**
 * The thread of a plugin for what belongs to no task: its functions, and checks of options. What the modules remember they keep
 * from one call to the next; when the thread has to be ended, the calls under way fail, and the next has a new one.
 */
import { type Asked, failureOf, jsonOf, valueOf } from "./messages.ts";
import type { FunctionContext } from "./plugin.ts";
import type { Heard, Thread } from "./thread.ts";
import { toDoubles } from "../numbers.ts";

const ignore = (): void => {};

export class SharedThread {
  readonly #uid: string;
  readonly #make: () => Thread;
  readonly #stray: (text: string) => void;
  readonly #beat: number;
  readonly #grace: number;
  #thread: Thread | undefined;
  /** Why the thread was lost to a question for which the process stood still; in this turn of the event loop. */
  #lost: unknown;
  /** What functions may do, by number, until they have dropped it. */
  readonly #contexts = new Map<number, FunctionContext>();
  #numbers = 0;
  #calls = 0;
  #watch: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  /**
   * @param make Throws when there can be no thread
   * @param times beat: ms; a thread that has not paused for so long, while a function is under way, is ended.
   *   grace: ms after {@link close} in which somebody may still wait for a function
   */
  constructor(
    uid: string,
    make: () => Thread,
    stray: (text: string) => void,
    { beat, grace }: { readonly beat: number; readonly grace: number },
  ) {
    this.#uid = uid;
    this.#make = make;
    this.#stray = stray;
    this.#beat = beat;
    this.#grace = grace;
  }

  /** Rejects also when its thread had to be ended. */
  async ask(asked: Asked): Promise<unknown> {
    return this.#watched(this.#live(), asked);
  }

  askNow(asked: Asked): unknown {
    // A config asks for each of its commands: the process must not stand still for each.
    if (this.#lost !== undefined) throw this.#lost;
    const thread = this.#live();
    try {
      return thread.askNow(asked);
    } catch (error) {
      if (thread.over) {
        this.#lost = error;
        setImmediate(() => (this.#lost = undefined));
      }
      throw error;
    }
  }

  /** Rejects with what the function throws, or when its thread had to be ended. */
  async call(name: string, exact: unknown, context: FunctionContext): Promise<unknown> {
    const thread = this.#live();
    // A number as it is written cannot be sent to a thread: code has doubles.
    const args = toDoubles(exact);
    const number = ++this.#numbers;
    this.#contexts.set(number, context);
    return this.#watched(thread, { kind: "call", name, args, api: context.api, context: number });
  }

  /** Ends it, after the calls that are under way; not all may ever settle. */
  close(): void {
    if (!this.#closed) setTimeout(() => this.#thread?.end(), this.#grace).unref();
    this.#closed = true;
    if (this.#calls > 0) return;
    this.#thread?.end();
    // Else its process would go on until the next look.
    clearInterval(this.#watch);
  }

  async #watched(thread: Thread, asked: Asked): Promise<unknown> {
    this.#calls++;
    this.#watch ??= this.#watching();
    try {
      return await thread.ask(asked);
    } finally {
      this.#calls--;
      if (this.#closed) this.close();
    }
  }

  #live(): Thread {
    if (this.#closed) throw new Error(`the plugin ${this.#uid} was taken away`);
    if (!this.#thread || this.#thread.over) {
      this.#contexts.clear();
      const thread = this.#make();
      thread.hand((heard) => this.#hear(thread, heard));
      this.#thread = thread;
    }
    return this.#thread;
  }

  #watching(): ReturnType<typeof setInterval> {
    let silent: Thread | undefined;
    return setInterval(() => {
      const thread = this.#thread;
      if (this.#calls === 0 || !thread || thread.over) {
        clearInterval(this.#watch);
        this.#watch = undefined;
      } else if (silent === thread) {
        thread.end(
          new Error(
            `the plugin ${this.#uid} took more than ${this.#beat / 1000} s without a pause`,
          ),
        );
      } else {
        silent = thread;
        thread.ask({ kind: "ping" }).then(() => (silent = undefined), ignore);
      }
    }, this.#beat);
  }

  #hear(thread: Thread, heard: Heard): void {
    switch (heard.kind) {
      case "stray":
        return this.#stray(heard.text);
      case "released":
        return void this.#contexts.delete(heard.context);
      case "log":
        return this.#contexts.get(heard.context)?.log(heard.level, heard.text);
      case "invoke":
        return void this.#invoke(thread, heard);
    }
  }

  async #invoke(thread: Thread, heard: Extract<Heard, { kind: "invoke" }>): Promise<void> {
    const { invoke, context, api, verb, json } = heard;
    try {
      const value = await this.#contexts.get(context)?.call(api, verb, valueOf(json));
      thread.tell({ kind: "answer", invoke, json: jsonOf(value) });
    } catch (error) {
      thread.tell({ kind: "refused", invoke, failure: failureOf(error) });
    }
  }
}
