/**
 * The output of a command as the answer to a request: its bytes as they come, with how it ended behind them (`Spawnbox-Exit`). The
 * head goes with the first byte; until then it can still become a reply that tells what went wrong.
 *
 * What a command prints may be anybody's. It must not become a page that acts in the server's name: nothing is what it is not said
 * to be, nothing runs, and what is no picture and no text is saved, not shown.
 */
import { failure, type Reply } from "../api/reply.ts";
import type { WireStatus } from "../api/status.ts";
import type { Bytes, File } from "../encoders/encoder.ts";
import { AfbError } from "../errors.ts";
import { disposition } from "./disposition.ts";
import type { Answered } from "./http/answer.ts";
import type { Asked } from "./http/asked.ts";
import { Truncated } from "./http/body.ts";
import { withTrailers } from "./http/trailers.ts";
import { HttpError, LIVE } from "./respond.ts";

/** Bytes that wait here before the command is held back. */
const ROOM = 64 * 1024;
const EXIT = "spawnbox-exit";
const DROPPED =
  "its output is not for this caller any more: a privilege was withdrawn, or the server ends";
/** A command has no earlier output to compare with: it would run for nothing. */
const CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

type Controller = ReadableStreamDefaultController<Uint8Array>;

export class Transfer implements Bytes {
  readonly #request: Pick<Asked, "headers">;
  readonly #file: File;
  readonly #begun: () => void;
  readonly #body: ReadableStream<Uint8Array>;
  #controller: Controller | undefined;
  #room: PromiseWithResolvers<void> | undefined;
  #open = true;
  #dropped = false;
  #status: WireStatus | undefined;
  #refusal: HttpError | undefined;

  /** @param begun told of the first byte */
  constructor(request: Pick<Asked, "headers">, file: File, begun: () => void) {
    this.#request = request;
    this.#file = file;
    this.#begun = begun;
    this.#body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => this.#settle(),
        cancel: () => this.#close(),
      },
      { highWaterMark: ROOM, size: (chunk) => chunk?.length ?? 0 },
    );
  }

  /** @throws HttpError where the request asks for what cannot be had */
  require(): void {
    const condition = CONDITIONS.find((name) => this.#request.headers.has(name));
    if (condition === undefined) return;
    const why = `what a command prints has no version: ask without ${condition}`;
    throw (this.#refusal = new HttpError(412, why));
  }

  /** Its task has ended. */
  ended(status: WireStatus): void {
    this.#status = status;
  }

  /** The answer with the bytes, once there are some; `replied` tells their end. */
  begin(replied: Promise<Reply>): Response {
    void replied.then(({ request }) => (request.status === "success" ? this.#end() : this.drop()));
    const fields = () => [[EXIT, this.#exit] as const];
    return withTrailers(this.#made(this.#body), { names: [EXIT], fields });
  }

  /** Where nothing was printed: mostly what `answer` makes of the reply. */
  without(reply: Reply, answer: (reply: Reply, http?: number) => Answered): Answered {
    this.#close();
    if (!this.#status) return answer(reply, this.#refusal?.http);
    const { exit, cause } = this.#status;
    if (this.#dropped) return answer(failure(new AfbError("disconnected", DROPPED)));
    if (exit === 0) {
      const response = this.#made(null, answer(reply).status);
      response.headers.set(EXIT, this.#exit);
      return response;
    }
    const what = cause === "timeout" ? "timeout" : "internal-error";
    const error = new AfbError(what, `nothing was printed, and it ended with ${this.#exit}`);
    return answer({ ...failure(error), response: reply.response });
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (!this.#open || chunk.length === 0) return;
    this.#controller?.enqueue(chunk);
    this.#begun();
    if (this.#isFull) return (this.#room ??= Promise.withResolvers<void>()).promise;
  }

  /** Nothing more of it is for this caller. The answer breaks off, so that nobody takes it for the whole. */
  drop(): void {
    this.#dropped = true;
    if (this.#open) this.#controller?.error(new Truncated("the command's output is not all there"));
    this.#close();
  }

  get #isFull(): boolean {
    return (this.#controller?.desiredSize ?? 1) <= 0;
  }

  /** Such as `0`, `Killed; timeout`. */
  get #exit(): string {
    const { exit, signal, cause } = this.#status ?? {};
    return [exit ?? signal ?? "unknown", ...(cause === undefined ? [] : [cause])].join("; ");
  }

  #made(body: ReadableStream<Uint8Array> | null, status = 200): Response {
    const { type, name } = this.#file;
    return new Response(body, {
      status,
      headers: {
        "content-type": type,
        "content-disposition": disposition(type, name),
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "cache-control": LIVE,
        "x-content-type-options": "nosniff",
        "accept-ranges": "none",
        // nginx would collect it.
        "x-accel-buffering": "no",
      },
    });
  }

  #end(): void {
    if (this.#open) this.#controller?.close();
    this.#close();
  }

  #close(): void {
    this.#open = false;
    this.#settle();
  }

  #settle(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}
