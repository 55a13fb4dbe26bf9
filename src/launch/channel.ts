/** The read end of a pipe in the event loop. Owns the fd: closes it once, when reading is over. */
import { closeSync } from "node:fs";
import type { ReadableStreamDefaultReader } from "node:stream/web";
import { isReadable } from "../../ffi/libc.ts";
import { heavy } from "../turnstile.ts";

/** Bytes handed on at once: an encoder may take milliseconds for so many. */
const SLICE = 8 * 1024;
/** Milliseconds of work between turns of the event loop. */
const TURN = 4;

export class Channel {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  /** A read is waiting for the other side (and not the consumer for itself). */
  #waiting = false;
  #cancelled = false;

  constructor(readonly fd: number) {
    this.#reader = Bun.file(fd).stream().getReader();
  }

  /** There is nothing to read. Where the event loop was held up, a read may wait for its turn with bytes in the pipe: those count. */
  get waiting(): boolean {
    return this.#waiting && !isReadable(this.fd);
  }

  /**
   * Hands everything to `take`, waiting for it, until the other side closes or `cancel` is called. Where the pipe never runs dry,
   * reading it would keep to microtasks, and timers and sockets of the server would starve: so after a few milliseconds of work
   * the event loop gets a turn; and who makes work for so long has one after the other, however many they are.
   */
  async drain(take: (chunk: Uint8Array) => void | Promise<void>): Promise<void> {
    let turn = performance.now();
    let worked = 0;
    try {
      for (;;) {
        this.#waiting = true;
        const { done, value } = await this.#reader.read();
        this.#waiting = false;
        if (done) return;
        for (let at = 0; at < value.length; at += SLICE) {
          const begin = performance.now();
          const taken = take(value.subarray(at, at + SLICE));
          worked += performance.now() - begin;
          if (taken) await taken;
          if (performance.now() - turn < TURN) continue;
          if (worked < TURN) await new Promise((resolve) => setImmediate(resolve));
          else await new Promise<void>((resolve) => heavy.enter(resolve));
          worked = 0;
          turn = performance.now();
        }
      }
    } finally {
      this.#waiting = false;
      if (!this.#cancelled) await this.#reader.cancel();
      closeSync(this.fd);
    }
  }

  /** Ends `drain` without waiting for the other side to close. */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    void this.#reader.cancel();
  }
}
