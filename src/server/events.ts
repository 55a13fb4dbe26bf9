/**
 * Server-Sent Events (WHATWG HTML, "Server-sent events"): a call over GET whose events follow in the response.
 *
 * `event: reply` carries the afb-reply; each event after it (before it only the initial-event of a synchronous encoder) is
 * named by its type, `data` or `final-event`, and carries the afb-event. The response ends with the task, or at once when
 * the call started none. A call that fails is answered as over plain REST, with its HTTP status.
 *
 * A connection that breaks is continued: where the stream is of one task, each of its events has an id, and who comes back with
 * the last one as Last-Event-ID, as browsers do by themselves, gets what has come since, and nothing is run again. Where there is
 * nothing to continue, 204 makes them stop.
 */
import { valueOf } from "../api/event-data.ts";
import { Farewells } from "../api/farewells.ts";
import type { Client, Request as Call, Session } from "../api/client.ts";
import { parsePlace } from "../api/place.ts";
import type { Registry } from "../api/registry.ts";
import type { Reply } from "../api/reply.ts";
import { encodeReply } from "./afb.ts";
import { encodeEvent } from "./event-text.ts";
import type { Answered } from "./http/answer.ts";
import type { Asked } from "./http/asked.ts";
import { LIVE, respond } from "./respond.ts";
import { tasksToFollow } from "./follow.ts";

/** What follows the name of a verb in the path of such a call. */
export const EVENTS = "/events";
/** Milliseconds between comments that keep proxies from closing a quiet connection. */
const HEARTBEAT = 15_000;
/** Characters that may wait in the stream before senders are held back. */
const ROOM = 64 * 1024;

export interface EventsOptions {
  readonly registry: Registry;
  readonly call: Omit<Call, "client">;
  /** The response to a call that failed before any event; that of plain REST by default. */
  readonly refuse?: (reply: Reply) => Answered;
  /** Milliseconds. */
  readonly heartbeat?: number;
}

/** `request.signal` tells that the client is gone. */
export async function streamEvents(
  request: Asked,
  { registry, call: given, refuse = respond, heartbeat = HEARTBEAT }: EventsOptions,
): Promise<Answered> {
  const last = request.headers.get("last-event-id");
  const place = last === null ? undefined : parsePlace(last);
  if (last !== null && !place) return new Response(null, { status: 204 });
  const call = place
    ? {
        ...given,
        args: { action: "subscribe", args: { id: place.id, from: place.number + 1 } },
        wait: false,
      }
    : given;
  const stream = new EventStream(call.session, heartbeat);
  request.signal.addEventListener("abort", () => stream.aborted(), { once: true });
  if (request.signal.aborted) stream.aborted();
  // The reply must be written in the turn in which it comes, see Registry.call.
  const answered = registry.call({ ...call, client: stream }).then((reply) => {
    stream.reply(reply, call.args);
    return reply;
  });
  const refused = await Promise.race([answered, stream.started]);
  if (refused && refused.request.status !== "success") {
    stream.gone();
    // It is over, or nobody knows it any more.
    if (place && refused.request.status === "no-item") return new Response(null, { status: 204 });
    return refuse(refused);
  }
  const headers = {
    "content-type": "text/event-stream",
    "cache-control": LIVE,
    "x-content-type-options": "nosniff",
    // nginx would collect events.
    "x-accel-buffering": "no",
  };
  return new Response(stream.body, { headers });
}

/** The end of a stream that is written to. */
type Controller = Pick<ReadableStreamDefaultController<Uint8Array>, "enqueue" | "close"> & {
  readonly desiredSize: number | null;
};

class EventStream implements Client {
  readonly body: ReadableStream<Uint8Array>;
  #controller: Controller | undefined;
  readonly #started = Promise.withResolvers<undefined>();
  #room: PromiseWithResolvers<void> | undefined;
  #open = true;
  #cancelled = false;
  #first = true;
  /** Of the last event; undefined where events are of several tasks, or of none. */
  #place: string | undefined;
  #isOne = true;
  /** Tasks whose end is the end of the stream; undefined before the reply. */
  #tasks: Set<number> | undefined;
  readonly #farewells = new Farewells();
  readonly #heartbeat: ReturnType<typeof setInterval>;
  readonly #encoder = new TextEncoder();
  /** What leaves together: events of one turn of the event loop, as a line may be one. */
  #text = "";

  constructor(
    readonly session: Session,
    heartbeat: number,
  ) {
    const start = (controller: Controller): void => {
      this.#controller = controller;
    };
    const pull = (): void => this.#settle();
    this.body = new ReadableStream<Uint8Array>(
      { start, pull, cancel: () => this.#cancel() },
      { highWaterMark: ROOM, size: (chunk) => chunk?.length ?? 0 },
    );
    this.#heartbeat = setInterval(() => {
      // Only while nothing waits: a client that does not read needs no comments.
      if (!this.#first && !this.#full) this.#write(":\n\n");
    }, heartbeat);
  }

  /** Settles once there is something to send before the reply. */
  get started(): Promise<undefined> {
    return this.#started.promise;
  }

  get connected(): boolean {
    return this.#open;
  }

  get backlog(): number {
    return ROOM - (this.#controller?.desiredSize ?? ROOM) + this.#text.length;
  }

  stands(place: string): void {
    const [task] = place.split(":");
    if (this.#place !== undefined && !this.#place.startsWith(`${task}:`)) this.#isOne = false;
    this.#place = place;
  }

  send(event: string, data: unknown, place?: string): void | Promise<void> {
    if (!this.#open) return;
    const { type, pid } = aboutTask(valueOf(data));
    if (place !== undefined) this.#place = place;
    this.#event(type, encodeEvent(event, data), place);
    this.#started.resolve(undefined);
    const last = type === "final-event" || type === "unsubscribed";
    if (last && pid !== undefined && this.#tasks?.delete(pid)) this.#endIfDone();
    // The other binder has gone, and with it whoever could tell of the end; or all that it tells is not for this caller any more.
    const isOver = type === "disconnected" || type === "unsubscribed";
    if (isOver && pid === undefined && this.#tasks) {
      this.#tasks.clear();
      this.#endIfDone();
    }
    if (this.#full) return (this.#room ??= Promise.withResolvers<void>()).promise;
  }

  onClose(gone: () => void): () => void {
    return this.#farewells.add(gone, !this.#open);
  }

  /** A failure is written only behind events: without any it becomes the response itself. */
  reply(reply: Reply, args: unknown): void {
    if (this.#first && reply.request.status !== "success") return;
    this.#event("reply", encodeReply(reply).json, this.#place);
    this.#tasks = tasksToFollow(reply, args);
    this.#endIfDone();
  }

  /** The client is gone, or everything has been sent: tasks go on without this subscriber. */
  gone(): void {
    if (!this.#open) return;
    // A stream that was cancelled takes nothing more, and cannot be closed.
    if (!this.#cancelled) {
      this.#flush();
      this.#controller?.close();
    }
    this.#open = false;
    clearInterval(this.#heartbeat);
    // What is left takes memory until it is read: that is not taken before.
    if (!this.#full) this.#settle();
    this.#farewells.tell();
  }

  /** The response is over, whatever was read of it. */
  aborted(): void {
    this.gone();
    this.#settle();
  }

  get #full(): boolean {
    return (this.#controller?.desiredSize ?? 1) <= this.#text.length;
  }

  #event(name: string, json: string, place: string | undefined): void {
    // Without any a browser that connects again would run the command again.
    const id = (this.#isOne ? place : undefined) ?? (this.#first ? crypto.randomUUID() : undefined);
    this.#first = false;
    this.#write(`${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${json}\n\n`);
  }

  #write(text: string): void {
    if (!this.#open) return;
    if (this.#text === "") process.nextTick(() => this.#flush());
    this.#text += text;
    if (this.#text.length >= ROOM) this.#flush();
  }

  #flush(): void {
    if (this.#text === "" || !this.#open) return;
    const bytes = this.#encoder.encode(this.#text);
    this.#text = "";
    this.#controller?.enqueue(bytes);
  }

  #endIfDone(): void {
    if (!this.#open || this.#tasks?.size !== 0) return;
    this.gone();
  }

  #cancel(): void {
    this.#cancelled = true;
    this.aborted();
  }

  #settle(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}

/** Type and pid of an event of a task. Names of events are a line: anything else is `data`. */
function aboutTask(data: unknown): { type: string; pid: number | undefined } {
  if (typeof data !== "object" || data === null) return { type: "data", pid: undefined };
  const type = "type" in data ? data.type : undefined;
  const pid = "pid" in data ? data.pid : undefined;
  return {
    type: typeof type === "string" && /^[\w-]+$/.test(type) ? type : "data",
    pid: typeof pid === "number" ? pid : undefined,
  };
}
