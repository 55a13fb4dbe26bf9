/** One call from the command line: prints the reply, and the events of the task it started until its end. */
import type { Reply } from "../api/reply.ts";
import { type ClientEvents, ConnectionError } from "../client.ts";
import { isObject } from "../object.ts";
import type { Options } from "../manual/options.ts";
import { indented } from "../visible.ts";
import { printJson } from "./print.ts";

export const RAW = {
  raw: { text: "one line of JSON per reply or event; the default when output is not a terminal" },
} as const satisfies Options;

/** Milliseconds to wait for the reply to the stop of Ctrl-C. */
const STOP_TIMEOUT = 2000;

/** What a call needs of a connection, be it to a server or to verbs of this process. */
export interface Caller {
  call(method: string, args: unknown): Promise<Reply>;
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void;
}

export interface Invocation {
  /** `api/verb` */
  method: string;
  args: unknown;
  /** One line per value. */
  raw: boolean;
}

/** One call and the task it started. */
export class CallSession {
  #pid: number | undefined;
  /** It is another's: Ctrl-C does not stop it. */
  #foreign = false;
  readonly #known = Promise.withResolvers<void>();
  /** Events before the reply told which task is ours. */
  #early: unknown[] = [];
  readonly #final = Promise.withResolvers<number>();
  /** Of what it was to read, something is missing. */
  #isCut = false;

  /**
   * @param feed gives the task that was started what it is to read; resolves to why something of that is missing
   * @param print false when nobody reads any more
   */
  constructor(
    readonly client: Caller,
    readonly invocation: Invocation,
    readonly feed?: (method: string, pid: number) => Promise<string | undefined>,
    readonly print: (json: string) => boolean = printJson,
  ) {}

  async run(): Promise<number> {
    const { client } = this;
    const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<void>();
    process.on("SIGINT", interrupt);
    const lost = new Promise<never>((_, reject) => {
      client.on("close", (reason) =>
        reject(new ConnectionError(`the connection was lost: ${reason}`)),
      );
    });
    try {
      const ended = this.#toTheEnd().then((code) => (this.#isCut ? 1 : code));
      return await Promise.race([ended, lost, interrupted.then(() => this.#stop())]);
    } finally {
      process.off("SIGINT", interrupt);
      // Closing the connection on purpose is no loss.
      lost.catch(() => undefined);
    }
  }

  async #toTheEnd(): Promise<number> {
    const { client, invocation } = this;
    // By whatever name: those of a verb that starts another, or of another binder, have the name that they have there.
    client.on("event", (_, data) => this.#event(data));
    const reply = await client.call(invocation.method, invocation.args);
    this.#print(reply);
    if (reply.request.status !== "success") return 1;
    const task = startedTask(reply) ?? this.#followedTask(reply);
    if (!task) return 0;
    if (task.status !== undefined) return exitCode(task.status);
    this.#own(task.pid);
    for (const data of this.#early.splice(0)) this.#event(data);
    return this.#final.promise;
  }

  #event(data: unknown): void {
    if (!isObject(data)) return;
    if (data.type === "disconnected" && data.pid === undefined) return this.#lost(data);
    // A synchronous encoder names the task before the reply.
    if (this.#pid === undefined && data.type === "initial-event" && typeof data.pid === "number") {
      this.#own(data.pid);
    }
    if (this.#pid === undefined) {
      this.#early.push(data);
      return;
    }
    // Of all that another binder tells.
    const isOfAll = data.type === "unsubscribed" && data.pid === undefined;
    if (data.pid !== this.#pid && !isOfAll) return;
    this.#print(data);
    if (data.type === "overflow") tellMissed(data.events, data.bytes);
    if (data.type === "gone")
      console.error(`${Number(data.events)} events are gone here: the server keeps the last ones`);
    if (data.type === "final-event") this.#final.resolve(exitCode(data.status));
    if (data.type === "unsubscribed") this.#final.resolve(1);
  }

  /** Of a verb of another binder, which is gone: nobody here will hear how the task ended. */
  #lost(data: Readonly<Record<string, unknown>>): void {
    this.#print(data);
    // Before the reply that is told by it.
    if (this.#pid === undefined) return;
    const why = typeof data.info === "string" ? data.info : "the other binder has gone";
    this.#final.reject(new ConnectionError(`the connection was lost: ${why}`));
    // Where its reply is still to come, that says so.
    this.#final.promise.catch(() => undefined);
  }

  /** From now on it is clear which task is ours. */
  #own(pid: number): void {
    const isNew = this.#pid === undefined;
    this.#pid = pid;
    this.#known.resolve();
    if (!isNew || this.#foreign || !this.feed) return;
    this.feed(this.invocation.method, pid).then(
      (missing) => missing !== undefined && this.#cut(missing),
      (error: unknown) => this.#cut(error instanceof Error ? error.message : String(error)),
    );
  }

  #cut(why: string): void {
    this.#isCut = true;
    console.error(`not all of the standard input was taken: ${indented(why)}`);
  }

  /** Also when interrupted before the reply: the task is stopped as soon as its pid is known. */
  async #stop(): Promise<number> {
    const stopped = this.#known.promise.then(() =>
      this.#foreign
        ? undefined
        : this.client.call(this.invocation.method, { action: "stop", args: { pid: this.#pid } }),
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, STOP_TIMEOUT);
    });
    await Promise.race([stopped, late]);
    clearTimeout(timer);
    return 130;
  }

  /** The one task of a subscription: the reply is `sandbox/command@pid`. */
  #followedTask({ response }: Reply): { pid: number; status: unknown } | undefined {
    const { args } = this.invocation;
    if (!isObject(args) || String(args.action).toLowerCase() !== "subscribe") return undefined;
    const pid = typeof response === "string" ? /@(\d+)$/.exec(response)?.[1] : undefined;
    if (pid === undefined) return undefined;
    this.#foreign = true;
    return { pid: Number(pid), status: undefined };
  }

  #print(value: unknown): void {
    const read = this.print(JSON.stringify(value, null, this.invocation.raw ? 0 : 2));
    if (!read) this.#final.resolve(1);
  }
}

/** The task a reply is about: an object with a pid and the command it runs. With a status it has ended already. */
function startedTask({ response }: Reply): { pid: number; status: unknown } | undefined {
  if (!isObject(response) || typeof response.pid !== "number" || !("command" in response)) {
    return undefined;
  }
  return { pid: response.pid, status: response.status };
}

function tellMissed(events: unknown, bytes: unknown): void {
  const how = 'the task does not wait for who follows it, but with "lossless": true';
  console.error(`${Number(events)} events (${Number(bytes)} bytes) are missing here: ${how}`);
}

function exitCode(status: unknown): number {
  return isObject(status) && status.exit === 0 ? 0 : 1;
}
