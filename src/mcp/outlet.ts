/**
 * Streams of answers on their way to one client. The transport writes them without looking whether they are read: here that is
 * counted, and who reads too little for too long is cut off.
 */
import { totalmem } from "node:os";
import { type Part, Share } from "../share.ts";

/** Bytes that wait for one client: more are a reason to spare it what it can do without. */
const SLOW = 64 << 10;
/** Bytes that are handed on at a time. */
const PIECE = 64 << 10;
/** Of all clients together; so many each may have whatever others do: an answer that is all text. */
const everybody = new Share(Math.min(64 << 20, totalmem() / 32), 512 << 10);

export class Outlets {
  readonly #part: Part = everybody.part();
  #waiting = 0;
  readonly #drops = new Set<() => void>();

  /**
   * @param tooSlow the client holds more memory than its part
   * @param idle none is open any more
   */
  constructor(
    readonly tooSlow: () => void,
    readonly idle: () => void,
  ) {}

  get isSlow(): boolean {
    return this.#waiting > SLOW;
  }

  get open(): number {
    return this.#drops.size;
  }

  /** The same response, whose body is counted. */
  through(response: Response): Response {
    const { body, status } = response;
    if (!body) return response;
    const headers = new Headers(response.headers);
    // Whether the connection goes on is not the transport's to say.
    headers.delete("connection");
    return new Response(this.#counted(body), { status, headers });
  }

  /** What is not sent yet is not sent any more. */
  close(): void {
    for (const drop of [...this.#drops]) drop();
    this.#part.close();
  }

  #counted(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    const ready: Uint8Array[] = [];
    let own = 0;
    let isOver = false;
    let more: (() => void) | undefined;
    const over = (): void => {
      isOver = true;
      more?.();
    };
    const done = once(() => {
      this.#count(-own);
      own = 0;
      ready.length = 0;
      this.#drops.delete(drop);
      if (this.#drops.size === 0) this.idle();
    });
    const drop = (): void => {
      over();
      done();
    };
    this.#drops.add(drop);
    void (async () => {
      for (;;) {
        const { done: ended, value } = await reader.read();
        if (ended || isOver) break;
        ready.push(value);
        own += value.length;
        this.#count(value.length);
        more?.();
      }
      over();
      // A stream that was cancelled, or broke.
    })().catch(over);
    /** Bytes of the first chunk that are on their way: all of it is held until the last are. */
    let taken = 0;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          while (ready.length === 0 && !isOver)
            await new Promise<void>((resolve) => (more = resolve));
          const [chunk] = ready;
          if (!chunk) {
            done();
            // Who misses an answer asks for the rest of the stream, and hears whether there is any.
            controller.close();
            return;
          }
          const piece = chunk.subarray(taken, taken + PIECE);
          taken += piece.length;
          if (taken === chunk.length) {
            taken = 0;
            ready.shift();
            own -= chunk.length;
            this.#count(-chunk.length);
          }
          controller.enqueue(piece);
        },
        cancel: async () => {
          over();
          done();
          await reader.cancel();
        },
      },
      { highWaterMark: 0 },
    );
  }

  #count(bytes: number): void {
    this.#waiting += bytes;
    this.#part.set(this.#waiting);
    if (bytes > 0 && this.#part.full) this.tooSlow();
  }
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
