/** The encoding of one task, in the thread of its plugin: checks what the plugin gives, and sends its events in batches. */
import type { Encoding, Fields } from "../encoders/encoder.ts";
import { failureOf, jsonOf } from "./messages.ts";
import type { PluginEncoder } from "./plugin.ts";
import { isObject } from "../object.ts";

/** Most events that the server has not taken yet: more than a chunk has lines. They wait in memory. */
const MOST = 1 << 18;
const HOOKS = ["stdout", "stderr", "end"] as const;

interface Batch {
  readonly list: string[];
  readonly taken: PromiseWithResolvers<void>;
}

export class Encoded {
  readonly #encoding: Encoding;
  readonly #send: (batch: number, list: readonly string[]) => void;
  readonly #sent = new Map<number, Batch>();
  #next: Batch | undefined;
  #batches = 0;
  #waiting = 0;

  /** @throws Error when `begin` does, or gives something else than an encoding */
  constructor(
    encoder: PluginEncoder,
    opts: Record<string, unknown>,
    send: (batch: number, list: readonly string[]) => void,
  ) {
    this.#send = send;
    let encoding: Encoding | undefined;
    try {
      encoding = encoder.begin(opts, (fields) => this.#emit(fields));
    } catch (error) {
      throw new Error(`begin() failed: ${failureOf(error).message}`, { cause: error });
    }
    for (const hook of HOOKS) {
      if (typeof encoding?.[hook] !== "function")
        throw new Error(`what begin() returns has no ${hook}()`);
    }
    this.#encoding = encoding as Encoding;
  }

  async take(stream: "stdout" | "stderr", chunk: Uint8Array): Promise<void> {
    await this.#encoding[stream](chunk);
  }

  async end(): Promise<Fields> {
    const fields: unknown = await this.#encoding.end();
    if (fields === undefined || fields === null) return {};
    if (!isObject(fields)) throw new Error("end() must return an object of fields");
    return own(fields);
  }

  /** Sends what was emitted since the last time. */
  flush(): void {
    if (!this.#next) return;
    const batch = this.#next;
    this.#next = undefined;
    this.#sent.set(++this.#batches, batch);
    this.#send(this.#batches, batch.list);
  }

  /** The clients can take more than this batch. */
  sent(number: number): void {
    const batch = this.#sent.get(number);
    this.#sent.delete(number);
    this.#waiting -= batch?.list.length ?? 0;
    batch?.taken.resolve();
  }

  #emit(fields: Fields): Promise<void> {
    if (this.#waiting >= MOST) throw new Error(`more than ${MOST} events at once`);
    if (!isObject(fields)) throw new Error("emit() takes an object of fields");
    // Now: the plugin may go on to use its object.
    const json = jsonOf(own(fields));
    // Its own toJSON() may have made something else of it.
    if (!json?.startsWith("{")) throw new Error("emit() takes an object of fields");
    if (!this.#next) {
      this.#next = { list: [], taken: Promise.withResolvers() };
      queueMicrotask(() => this.flush());
    }
    this.#waiting++;
    this.#next.list.push(json);
    return this.#next.taken.promise;
  }
}

/** What the server says of a task. Keys may come from the output, and a command must not say how it ended. */
const RESERVED = ["type", "api", "sandbox", "command", "pid", "status", "plan"] as const;

/** A copy. Throws when it would speak for the server. */
function own(fields: Fields): Fields {
  for (const name of RESERVED) {
    if (Object.hasOwn(fields, name)) throw new Error(`the field ${name} is the server's to tell`);
  }
  return { ...fields };
}
