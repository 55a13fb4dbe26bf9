/** Bytes put together from chunks, up to a limit, as part of what their task may hold. */
import type { Hold } from "./hold.ts";

/** Bytes of a piece, at most, unless a chunk has more. */
const PIECE = 256 << 10;

/** So many bytes that nobody has set to zero, which is a pass over memory of its own: each is written before it is looked at. */
const unset = (length: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);

/**
 * As long as nobody looks at the bytes they stay in pieces, which are touched once. From the first look on they are in one, which
 * doubles when it is full: so each byte is copied a bounded number of times, however small the chunks and however often one looks.
 */
export class ByteBuffer {
  /** Full, and before the bytes of {@link #last}. */
  #pieces: Uint8Array[] = [];
  #last = new Uint8Array(0);
  /** Bytes in {@link #last}, and in all. */
  #filled = 0;
  #length = 0;
  #lost = 0;
  #looked = false;

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
    const fits = Math.min(part.length, this.#last.length - this.#filled);
    if (fits === part.length) this.#put(part);
    else {
      this.#put(part.subarray(0, fits));
      this.#grow(part.length - fits);
      this.#put(part.subarray(fits));
    }
    this.#lost += chunk.length - part.length;
    return part.length === chunk.length;
  }

  #put(bytes: Uint8Array): void {
    this.#last.set(bytes, this.#filled);
    this.#filled += bytes.length;
    this.#length += bytes.length;
  }

  /** Makes room for so many more, behind a piece that is full. */
  #grow(more: number): void {
    if (this.#looked) {
      const needed = this.#length + more;
      const most = Math.min(this.limit, Math.max(needed, this.hold.most));
      const length = Math.min(most, Math.max(256, needed, this.#length * 2));
      // Moved, not copied: nothing of the smaller ones is left for the garbage collector.
      this.#last = new Uint8Array(this.#last.buffer.transfer(length));
      return;
    }
    if (this.#filled > 0) this.#pieces.push(this.#last);
    const length = Math.max(256, more, Math.min(this.#length, PIECE));
    this.#last = unset(Math.min(length, this.limit - this.#length));
    this.#filled = 0;
  }

  /** The bytes; good until the next call. */
  view(): Uint8Array {
    this.#looked = true;
    if (this.#pieces.length > 0) {
      const whole = unset(this.#length);
      let at = 0;
      for (const piece of this.#pieces.splice(0)) {
        whole.set(piece, at);
        at += piece.length;
      }
      whole.set(this.#last.subarray(0, this.#filled), at);
      this.#last = whole;
      this.#filled = this.#length;
    }
    return this.#last.subarray(0, this.#length);
  }

  /** Keeps only so many: the others have not fitted either. */
  cut(length: number): void {
    this.view();
    const less = this.#length - length;
    this.hold.give(less);
    this.#filled = this.#length = length;
    this.#lost += less;
  }

  /** Empties it, and gives memory back where one large value has made it large. */
  clear(): void {
    this.hold.give(this.#length);
    this.#pieces = [];
    this.#filled = this.#length = 0;
    this.#lost = 0;
    if (this.#last.length > 65536) this.#last = new Uint8Array(0);
  }
}
