/** What a function may do, in the thread of its plugin: everything goes through the server. */
import { errorOf, type Failure, type FromThread, jsonOf, valueOf } from "./messages.ts";
import type { FunctionContext } from "./plugin.ts";

/** Most calls of verbs that are not answered yet. They wait in the memory of the server. */
const MOST = 1 << 14;

export class Answers {
  readonly #say: (message: FromThread) => void;
  readonly #awaited = new Map<number, PromiseWithResolvers<unknown>>();
  #invokes = 0;
  /** A function may use its context long after it has returned, and the server keeps the caller's name as long. */
  readonly #dropped: FinalizationRegistry<number>;

  constructor(say: (message: FromThread) => void) {
    this.#say = say;
    this.#dropped = new FinalizationRegistry((context) => say({ kind: "released", context }));
  }

  context(number: number, api: string): FunctionContext {
    // Alive as long as one of the two functions is.
    const held = { number };
    this.#dropped.register(held, number);
    return {
      api,
      call: (name, verb, args) => {
        // Thrown, not rejected: it has to end a loop that waits for none of them.
        if (this.#awaited.size >= MOST) throw new Error(`more than ${MOST} calls at once`);
        return this.#call(held.number, name, verb, args);
      },
      log: (level, text) =>
        this.#say({ kind: "log", context: held.number, level, text: String(text) }),
    };
  }

  settle(invoke: number, json: string | undefined): void {
    this.#take(invoke)?.resolve(valueOf(json));
  }

  refuse(invoke: number, failure: Failure): void {
    this.#take(invoke)?.reject(errorOf(failure));
  }

  #take(invoke: number) {
    const awaited = this.#awaited.get(invoke);
    this.#awaited.delete(invoke);
    return awaited;
  }

  async #call(context: number, api: string, verb: string, args: unknown): Promise<unknown> {
    const invoke = ++this.#invokes;
    const json = jsonOf(args);
    const answer = Promise.withResolvers<unknown>();
    this.#awaited.set(invoke, answer);
    this.#say({ kind: "invoke", invoke, context, api: String(api), verb: String(verb), json });
    return answer.promise;
  }
}
