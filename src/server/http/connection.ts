/**
 * One connection of HTTP/1.1 (RFC 9112): its requests are read and answered one after the other, so what a client sends ahead, or
 * does not read, waits with it and not here. What it may hold of the server's memory is bounded together with that of all others.
 */
import type { Wire } from "../wire.ts";
import { AfbError, isExhausted } from "../../errors.ts";
import { failure } from "../../api/reply.ts";
import type { Asker } from "../../api/turns.ts";
import type { Debt } from "../../backlog.ts";
import type { Part } from "../../share.ts";
import type { Answered } from "./answer.ts";
import type { Asked } from "./asked.ts";
import { readBody, Truncated } from "./body.ts";
import { HttpFault } from "./fault.ts";
import { Incoming } from "./incoming.ts";
import { sendResponse, toRequest } from "./fetch.ts";
import { parseHead, type RequestHead } from "./head.ts";
import { Input } from "./input.ts";
import { headText, Output } from "./output.ts";
import { errorLine } from "../../unexpected.ts";
import { LONG } from "../../json.ts";
import { heavy } from "../../turnstile.ts";
import { rounds } from "../rounds.ts";

/** Most bytes of a request body, but for one that a command reads as it comes. */
export const BODY_LIMIT = 1 << 20;

/** Milliseconds. Slow clients are cut off so that they cannot use up the connections. */
export interface Limits {
  /** For the headers of a request, from its first byte on; of the first request, from the connection on. */
  readonly head: number;
  /** For a body, from the headers on; for each piece of one that is read as it comes. */
  readonly body: number;
  /** From one response to the first byte of the next request. */
  readonly idle: number;
  /** For the other side to end after our last response, however much of its request is still to come. */
  readonly linger: number;
}

/** Longer than a proxy keeps a connection that it uses again (nginx: 60 s, load balancers: up to 75 s), so that none meets its end. */
export const LIMITS: Limits = { head: 10_000, body: 30_000, idle: 90_000, linger: 5_000 };

export interface Handlers {
  /**
   * Answers a request; its signal tells that the client has gone. Never rejects.
   * @param body of a POST. It is not in the request, which would keep a copy of it, and make others
   */
  readonly respond: (request: Asked, body: Uint8Array | Incoming) => Promise<Answered> | Answered;
  /** Whether the body of a POST with this target is read while it is answered; by default none is. */
  readonly streams?: (target: string) => boolean;
  /** What the server takes a target for; or the answer, where it is none of its. */
  readonly route?: (target: string) => string | Answered;
  /** Where what it does not read of long responses is counted. */
  readonly debt?: () => Debt;
  /** Whose turn it is where requests have to wait for one another. */
  readonly asker?: (head: RequestHead) => Asker;
  /** What else is said to whoever sent a request that is refused here: headers of the response. */
  readonly share?: (head: RequestHead) => Iterable<[string, string]>;
  /** Takes over the connection of a request that asks for a WebSocket, with what came behind it. */
  readonly upgrade: (head: RequestHead, behind: Buffer) => void;
}

const NOTHING = new Uint8Array();

/** `rest`: it has its answer, and goes on sending what nobody wants. */
type Phase = "idle" | "head" | "body" | "answer" | "rest" | "over" | "upgraded";

export class HttpConnection {
  readonly #socket: Wire;
  readonly #input: Input;
  readonly #output: Output;
  readonly #part: Part;
  readonly #handlers: Handlers;
  readonly #limits: Limits;
  #phase: Phase = "idle";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the client was last heard of, ms of performance.now(). */
  #heard = performance.now();
  #leaving = false;
  /** Of the request that is not answered yet. */
  #head: RequestHead | undefined;
  /** It is the server that does not go on with it. */
  #waiting = false;
  #left: AbortController | undefined;

  /** Begins to read. @param part what this connection holds of the memory for all */
  constructor(socket: Wire, part: Part, handlers: Handlers, limits: Limits = LIMITS) {
    this.#socket = socket;
    this.#part = part;
    this.#handlers = handlers;
    this.#limits = limits;
    this.#output = new Output(socket, part, () => handlers.debt?.());
    this.#input = new Input(socket, part, () => this.#seen());
    this.#due(limits.head);
    void this.#serve();
  }

  /** Since when nothing has been asked for, ms of performance.now(); undefined while something is being answered. */
  get idleSince(): number | undefined {
    const busy = this.#waiting || this.#phase === "answer" || this.#phase === "upgraded";
    return busy ? undefined : this.#heard;
  }

  /** What is being answered is the last; an idle connection ends at once. */
  leave(): void {
    this.#leaving = true;
    if (this.#phase === "idle" || this.#phase === "head") this.#socket.destroy();
    else if (this.#phase === "rest") this.#end();
  }

  async #serve(): Promise<void> {
    try {
      for (;;) {
        const text = await this.#input.head();
        if (text === undefined) break;
        this.#phase = "body";
        this.#due(this.#limits.body);
        const head = parseHead(text);
        this.#head = head;
        if (asksForWebSocket(head)) {
          // Nobody would tell the WebSocket that its client has left.
          if (this.#input.ended) break;
          this.#upgrade(head);
          return;
        }
        const streams = head.method === "POST" && this.#handlers.streams?.(head.target) === true;
        const more = await (streams ? this.#stream(head) : this.#exchange(head));
        if (!more) break;
        this.#next();
        // Who sends ahead does not keep others waiting.
        if (this.#input.length > 0) await new Promise((resolve) => setImmediate(resolve));
      }
      this.#end();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Reads the rest of a request and answers it. @returns whether another may follow */
  async #exchange(head: RequestHead): Promise<boolean> {
    const invited = head.headers.has("expect");
    if (head.body.kind === "length" && head.body.length > BODY_LIMIT) throw tooLong();
    const wanted = head.method === "POST";
    if (invited && !isEmpty(head))
      await this.#output.whole("HTTP/1.1 100 Continue\r\n\r\n", undefined);
    const body = await this.#body(head, wanted);
    try {
      // What others hold is more than there is. One that brings nothing only has its own next requests here, and they may wait.
      if (body && body.length > 0) await this.#room();
      if (body && body.length > LONG) await new Promise<void>((go) => heavy.enter(go));
      await this.#turn(head);
      // It took so long that the client has been told so already, see #late: nothing more is done for it.
      if (this.#phase !== "body") throw new HttpFault(503, "the request was refused meanwhile");
      const response = await this.#routed(head, body ?? NOTHING, this.#answering());
      const keepAlive = head.keepAlive && !this.#leaving;
      return await sendResponse(response, { ...head, keepAlive }, this.#output);
    } finally {
      this.#left = undefined;
      this.#part.finished();
      this.#part.add(-(body?.length ?? 0));
    }
  }

  /** The same of one whose body is read while it is answered. */
  async #stream(head: RequestHead): Promise<boolean> {
    const waits = head.headers.has("expect");
    const body = new Incoming(this.#input, head.body, {
      part: this.#part,
      ...(waits && {
        invite: () => this.#output.whole("HTTP/1.1 100 Continue\r\n\r\n", undefined),
      }),
      patience: this.#limits.body,
      spare: BODY_LIMIT,
    });
    try {
      await this.#turn(head);
      const response = await this.#routed(head, body, this.#answering());
      const keepAlive = head.keepAlive && !this.#leaving && body.ends;
      if (!(await sendResponse(response, { ...head, keepAlive }, this.#output))) return false;
      this.#phase = "rest";
      this.#due(this.#limits.body);
      return await body.finish();
    } finally {
      this.#left = undefined;
      body.close();
    }
  }

  async #turn(head: RequestHead): Promise<void> {
    if (!rounds.isFull) return;
    const asker = this.#handlers.asker?.(head) ?? { peer: "", connection: this };
    this.#waiting = true;
    await new Promise<void>((go) => rounds.enter(asker, go));
    this.#waiting = false;
    this.#heard = performance.now();
    if (this.#phase !== "body") throw new HttpFault(503, "the request was refused meanwhile");
  }

  /** @returns what tells that the client has gone meanwhile */
  #answering(): AbortSignal {
    this.#phase = "answer";
    clearTimeout(this.#timer);
    const left = new AbortController();
    this.#left = left;
    if (this.#input.ended && this.#input.length === 0) left.abort();
    return left.signal;
  }

  async #routed(
    head: RequestHead,
    body: Uint8Array | Incoming,
    signal: AbortSignal,
  ): Promise<Answered> {
    // RFC 9110, section 9.3.7: it asks of no path, and whether the server answers is all that comes of it.
    if (head.target === "*" && head.method === "OPTIONS")
      return new Response(null, { status: 204 });
    const target = this.#handlers.route?.(head.target) ?? head.target;
    if (typeof target !== "string") return target;
    const request = toRequest({ ...head, target }, signal);
    if (!request) throw new HttpFault(400, "this request line is not understood");
    return this.#answer(request, body);
  }

  async #answer(request: Asked, body: Uint8Array | Incoming): Promise<Answered> {
    try {
      return await this.#handlers.respond(request, body);
    } catch (error) {
      console.error(`request failed: ${errorLine(error)}`);
      throw isExhausted(error)
        ? new HttpFault(503, "the server is busy: try again later")
        : new HttpFault(500, "internal error");
    }
  }

  /** One that nobody wants is read all the same: what comes behind it is the next request. What is kept counts for the part. */
  async #body(head: RequestHead, wanted: boolean): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (isEmpty(head)) return wanted ? NOTHING : undefined;
    const { body: framing } = head;
    const pieces: Buffer[] = [];
    let length = 0;
    let kept = 0;
    try {
      for await (const piece of readBody(this.#input, framing)) {
        length += piece.length;
        if (length > BODY_LIMIT) throw tooLong();
        if (!wanted) continue;
        pieces.push(piece);
        this.#part.add(piece.length);
        kept += piece.length;
        await this.#room();
      }
    } catch (error) {
      this.#part.add(-kept);
      throw error;
    }
    return wanted ? Buffer.concat(pieces) : undefined;
  }

  /** Waits while this connection holds more than what is left for the others. */
  async #room(): Promise<void> {
    if (!this.#part.full) return;
    this.#input.hold();
    this.#waiting = true;
    // Once it is all there it is for the server to be quick.
    const late = (): void => void (this.#phase === "body" && this.#late());
    await new Promise<void>((resolve) => this.#part.onRoom(resolve, late));
    this.#waiting = false;
    this.#heard = performance.now();
  }

  #upgrade(head: RequestHead): void {
    if (!isEmpty(head)) throw new HttpFault(400, "a request for a WebSocket has no body");
    clearTimeout(this.#timer);
    this.#phase = "upgraded";
    this.#handlers.upgrade(head, this.#input.detach());
  }

  #next(): void {
    this.#head = undefined;
    this.#heard = performance.now();
    const begun = this.#input.length > 0;
    this.#phase = begun ? "head" : "idle";
    this.#due(begun ? this.#limits.head : this.#limits.idle);
    if (this.#leaving) this.#socket.destroy();
  }

  /** Something arrived, or nothing will any more. */
  #seen(): void {
    this.#heard = performance.now();
    if (this.#phase === "rest") this.#due(this.#limits.body);
    if (this.#phase === "idle" && this.#input.length > 0) {
      this.#phase = "head";
      this.#due(this.#limits.head);
    }
    // Who has ended has gone, as far as anybody can tell: only an answer that is on its way is still sent.
    if (this.#input.ended) this.#left?.abort();
  }

  #due(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#late(), milliseconds);
  }

  #late(): void {
    if (this.#phase === "idle" || this.#phase === "rest" || this.#phase === "over")
      this.#socket.destroy();
    else if (this.#part.full || this.#part.favoured)
      void this.#refuse(503, "the server is busy: try again later");
    else void this.#refuse(408, "the request did not come in time");
  }

  #failed(error: unknown): void {
    if (this.#phase === "over") return;
    if (error instanceof HttpFault) return void this.#refuse(error.http, error.message);
    if (!(error instanceof Truncated)) console.error(`request failed: ${errorLine(error)}`);
    this.#socket.destroy();
  }

  /** The last response. What still comes is not read as a request. */
  async #refuse(http: number, info: string): Promise<void> {
    if (this.#phase === "over") return;
    this.#phase = "over";
    const more = this.#head && this.#handlers.share?.(this.#head);
    await this.#output.whole(...refusal(http, info, more));
    this.#end();
  }

  /** What still arrives is read and dropped: closing over unread data would reset the connection, and the answer be lost. */
  #end(): void {
    this.#phase = "over";
    this.#part.finished();
    if (this.#socket.destroyed) return clearTimeout(this.#timer);
    this.#input.detach();
    this.#socket.on("data", () => {});
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.on("close", () => clearTimeout(this.#timer));
    this.#due(this.#limits.linger);
    this.#socket.end(() => this.#input.ended && this.#socket.destroy());
  }
}

/** Head and body of a response that ends its connection. */
export function refusal(
  http: number,
  info: string,
  more: Iterable<[string, string]> = [],
): [head: string, body: Uint8Array] {
  const status =
    http === 500
      ? "internal-error"
      : http === 503
        ? "busy"
        : http === 403
          ? "forbidden"
          : "invalid-request";
  const body = Buffer.from(JSON.stringify(failure(new AfbError(status, info))));
  const headers: [string, string][] = [
    ["content-type", "application/json"],
    ["content-length", String(body.length)],
    ...more,
  ];
  if (http === 503) headers.push(["retry-after", "1"]);
  return [headText({ status: http, headers }, true), body];
}

const tooLong = (): HttpFault => new HttpFault(413, `the body is over ${BODY_LIMIT} bytes`);

const isEmpty = ({ body }: RequestHead): boolean => body.kind === "length" && body.length === 0;

/** Only these: curl offers HTTP/2 by the same header (Upgrade: h2c). */
function asksForWebSocket({ headers }: RequestHead): boolean {
  const upgrade = headers.get("upgrade")?.toLowerCase() ?? "";
  return upgrade.includes("websocket") || upgrade === "x-afb-rpc";
}
