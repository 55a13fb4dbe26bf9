/**
 * A thread with a plugin in it. The plugin's code runs there and nowhere else, so that the server can end it whatever it does: a
 * loop without end, also behind an `await` or in a timer, costs a core until then, and nobody waits for it.
 */
import type { MessagePort, Worker } from "node:worker_threads";
import { threads } from "../late.ts";
import { type Asked, errorOf, type FromThread, valueOf } from "./messages.ts";
import type { ThreadData, ToThread } from "./messages.ts";

/** What a thread tells unasked. */
export type Heard = Exclude<FromThread, { kind: "done" | "failed" | "exits" }>;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Thread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #told = new Int32Array(new SharedArrayBuffer(4));
  readonly #waiting = new Map<number, Waiting>();
  #hears: (heard: Heard) => void;
  #asked = 0;
  #over: Error | undefined;

  /**
   * @param limit ms that {@link askNow} waits
   * @param hears Gets what it tells, until {@link end}.
   */
  constructor(
    readonly files: readonly string[],
    readonly limit: number,
    hears: (heard: Heard) => void,
  ) {
    this.#hears = hears;
    const { port1, port2: port } = new (threads().MessageChannel)();
    const workerData: ThreadData = { port, told: this.#told, files };
    this.#port = port1;
    this.#worker = new (threads().Worker)(new URL("./worker.ts", import.meta.url), {
      workerData,
      transferList: [port],
    });
    this.#worker.on("error", (error: Error) => this.end(error));
    this.#worker.on("exit", () => this.#receive({ kind: "exits" }));
    port1.on("message", (message: FromThread) => this.#receive(message));
    // Whoever waits for an answer has a time-out, which keeps the process going; a server has its sockets.
    this.#worker.unref();
    port1.unref();
  }

  /** Why it is of no use any more. */
  get over(): Error | undefined {
    return this.#over;
  }

  /** From now on somebody else gets what it tells. */
  hand(hears: (heard: Heard) => void): void {
    this.#hears = hears;
  }

  /** Rejects with the error of the plugin, or with why the thread is over. */
  ask(asked: Asked): Promise<unknown> {
    return new Promise((resolve, reject) => this.#ask(asked, { resolve, reject }));
  }

  /** As {@link ask}, but the process stands still meanwhile: for its start, and for a reload. A thread that is late is ended. */
  askNow(asked: Asked): unknown {
    let answer: (() => unknown) | undefined;
    this.#ask(asked, {
      resolve: (value) => (answer = () => value),
      reject: (error) => {
        answer = () => {
          throw error;
        };
      },
    });
    const end = performance.now() + this.limit;
    const others: FromThread[] = [];
    while (!answer) {
      const told = Atomics.load(this.#told, 0);
      const received = threads().receiveMessageOnPort(this.#port) as
        { message: FromThread } | undefined;
      if (received) {
        const { message } = received;
        if ("id" in message || message.kind === "exits") this.#receive(message);
        else others.push(message);
      } else {
        const why = Atomics.wait(this.#told, 0, told, end - performance.now());
        // It waits by the time of day: where that is set meanwhile, it may be over at once.
        if (why === "timed-out" && performance.now() >= end)
          this.end(this.#error(`took more than ${this.limit / 1000} s`));
      }
    }
    queueMicrotask(() => {
      for (const other of others) this.#receive(other);
    });
    return answer();
  }

  tell(message: ToThread): void {
    if (!this.#over) this.#port.postMessage(message);
  }

  /** Ends it where it stands; what is asked of it is rejected. */
  end(why: Error = new Error("it has ended")): void {
    if (this.#over) return;
    this.#over = why;
    this.#hears = () => {};
    for (const { reject } of this.#waiting.values()) reject(why);
    this.#waiting.clear();
    // With its end of the port this one is closed, too.
    void this.#worker.terminate();
  }

  #error(text: string): Error {
    return new Error(`${this.files.join(", ")} ${text}`);
  }

  #ask(asked: Asked, waiting: Waiting): void {
    if (this.#over) return waiting.reject(this.#over);
    const id = ++this.#asked;
    this.#waiting.set(id, waiting);
    this.tell({ ...asked, id });
  }

  #receive(message: FromThread): void {
    if (message.kind === "exits") return this.end(this.#error("has ended its own thread"));
    if (!("id" in message)) return this.#hears(message);
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "failed") return waiting?.reject(errorOf(message.failure));
    waiting?.resolve(valueOf(message.json));
  }
}
