/** Bytes put together from chunks, up to a limit. */
export class ByteBuffer {
  #bytes = new Uint8Array(0);
  #length = 0;

  constructor(readonly limit: number) {}

  get length(): number {
    return this.#length;
  }

  /** Copies what fits under the limit, since the caller may reuse its chunk. false: something did not fit. */
  append(chunk: Uint8Array): boolean {
    const room = this.limit - this.#length;
    const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
    const needed = this.#length + part.length;
    if (needed > this.#bytes.length) {
      // Doubling: each byte is copied a bounded number of times, however small the chunks.
      const grown = new Uint8Array(
        Math.min(this.limit, Math.max(256, needed, this.#bytes.length * 2)),
      );
      grown.set(this.view());
      this.#bytes = grown;
    }
    this.#bytes.set(part, this.#length);
    this.#length = needed;
    return part.length === chunk.length;
  }

  /** The bytes; good until the next call. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Empties it, and gives memory back where one large value has made it large. */
  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > 65536) this.#bytes = new Uint8Array(0);
  }
}
