/**
 * Records of Cynagora: fields separated by one space, ended by a line feed. In a field, a backslash stands before space, line feed
 * and backslash; before anything else it is one.
 */

/** Bytes: the service hangs up on longer ones. */
export const MOST_RECORD = 2000;
const MOST_FIELDS = 20;

const SPACE = 0x20;
const END = 0x0a;
const ESCAPE = 0x5c;

export class RecordError extends Error {}

/** Throws RecordError where the service would read something else, or nothing. */
export function encodeRecord(...fields: readonly string[]): Buffer {
  for (const field of fields)
    if (field.includes("\0") || !field.isWellFormed())
      throw new RecordError("a field has characters that cannot be asked about");
  const record = Buffer.from(
    `${fields.map((field) => field.replaceAll(/[ \n\\]/g, "\\$&")).join(" ")}\n`,
  );
  if (record.length <= MOST_RECORD) return record;
  throw new RecordError(`a question has ${record.length} bytes, and ${MOST_RECORD} at most`);
}

/** Takes records out of bytes that are cut anywhere. */
export class RecordReader {
  readonly #chunks: Uint8Array[] = [];
  #at = 0;
  readonly #field = Buffer.alloc(MOST_RECORD);
  #length = 0;
  #fields: string[] = [];
  #escaped = false;
  /** Bytes of the record that is not complete. */
  #size = 0;

  get held(): number {
    return this.#size;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  /** The next whole record that has something in it; undefined when more bytes are needed. Throws RecordError; then stop. */
  next(): string[] | undefined {
    for (let [chunk] = this.#chunks; chunk; [chunk] = this.#chunks) {
      while (this.#at < chunk.length) {
        if (!this.#take(chunk[this.#at++] ?? END)) continue;
        const fields = this.#fields;
        this.#fields = [];
        this.#size = 0;
        if (fields.length > 1 || fields[0] !== "") return fields;
      }
      this.#chunks.shift();
      this.#at = 0;
    }
    return undefined;
  }

  /** Whether the record is complete with this byte. */
  #take(byte: number): boolean {
    if (++this.#size > MOST_RECORD + 1) throw new RecordError("a record is too long");
    const special = byte === SPACE || byte === END || byte === ESCAPE;
    if (this.#escaped) {
      this.#escaped = false;
      if (!special) this.#field[this.#length++] = ESCAPE;
      this.#field[this.#length++] = byte;
      return false;
    }
    if (!special) this.#field[this.#length++] = byte;
    else if (byte === ESCAPE) this.#escaped = true;
    else {
      if (this.#fields.length >= MOST_FIELDS) throw new RecordError("a record has too many fields");
      this.#fields.push(this.#field.toString("utf8", 0, this.#length));
      this.#length = 0;
    }
    return byte === END;
  }
}
