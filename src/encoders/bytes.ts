/** Bytes put together from chunks, up to a limit, as part of what their task may hold. */
import type { Hold } from "./hold.ts";

export class ByteBuffer {
  #bytes = new Uint8Array(0);
  #length = 0;
  #lost = 0;

  constructor(
    readonly hold: Hold,
    readonly limit = Infinity,
  ) {}

  get length(): number {
    return this.#length;
  }

  /** How many did not fit: none after the first of these is kept. */
  get lost(): number {
    return this.#lost;
  }

  /** Copies what fits, since the caller may reuse its chunk. false: something did not fit. */
  append(chunk: Uint8Array): boolean {
    const wanted = Math.min(chunk.length, this.limit - this.#length);
    const room = this.#lost > 0 || wanted === 0 ? 0 : this.hold.take(wanted);
    const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
    const needed = this.#length + part.length;
    if (needed > this.#bytes.length) {
      // Doubling: each byte is copied a bounded number of times, however small the chunks.
      const most = Math.min(this.limit, Math.max(needed, this.hold.most));
      const length = Math.min(most, Math.max(256, needed, this.#bytes.length * 2));
      // Moved, not copied: nothing of the smaller ones is left for the garbage collector.
      this.#bytes = new Uint8Array(this.#bytes.buffer.transfer(length));
    }
    this.#bytes.set(part, this.#length);
    this.#length = needed;
    this.#lost += chunk.length - part.length;
    return part.length === chunk.length;
  }

  /** The bytes; good until the next call. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Keeps only so many: the others have not fitted either. */
  cut(length: number): void {
    const less = this.#length - length;
    this.hold.give(less);
    this.#length = length;
    this.#lost += less;
  }

  /** Empties it, and gives memory back where one large value has made it large. */
  clear(): void {
    this.hold.give(this.#length);
    this.#length = 0;
    this.#lost = 0;
    if (this.#bytes.length > 65536) this.#bytes = new Uint8Array(0);
  }
}
