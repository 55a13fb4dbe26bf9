/** The read end of a pipe in the event loop. Owns the fd: closes it once, when reading is over. */
import { closeSync } from "node:fs";
import type { ReadableStreamDefaultReader } from "node:stream/web";

export class Channel {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  /** A read is waiting for the other side (and not the consumer for itself). */
  #waiting = false;
  #cancelled = false;

  constructor(readonly fd: number) {
    this.#reader = Bun.file(fd).stream().getReader();
  }

  get waiting(): boolean {
    return this.#waiting;
  }

  /** Hands every chunk to `take`, waiting for it, until the other side closes or `cancel` is called. */
  async drain(take: (chunk: Uint8Array) => void | Promise<void>): Promise<void> {
    try {
      for (;;) {
        this.#waiting = true;
        const { done, value } = await this.#reader.read();
        this.#waiting = false;
        if (done) return;
        const taken = take(value);
        if (taken) await taken;
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
