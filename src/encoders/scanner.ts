/**
 * Finds JSON values in a stream of bytes, however it is split, in one pass and bounded memory.
 *
 * Values at the top level need no separator but where two words would run together (`1 2`).
 * After a syntax error the rest of its line is skipped, with one exception: where a value breaks off because a line begins with
 * the `{` or `[` of the next one, or at a record separator, scanning goes on there, so an object cut short costs only itself.
 * A value over `maxlen` bytes is one error, and scanning goes on behind it.
 * The record separators of RFC 7464, and byte order marks, which some programs begin their output with, stand between values and
 * are none.
 */
import { ByteBuffer } from "./bytes.ts";
import { DONE, isBlank, isClose, isOpen, JsonGrammar, SEPARATOR } from "./grammar.ts";
import type { Hold } from "./hold.ts";
import { decode } from "./utf8.ts";
import { parseLenient } from "../lenient.ts";
import { isWritten, parseExact } from "../numbers.ts";

export type Scanned =
  | { readonly value: unknown }
  | {
      readonly error: string;
      /** How many were printed, where the error does not show them all. */
      readonly bytes?: number;
    };

const LF = 0x0a;
const NOTHING = new Uint8Array(0);
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** After a line that is no value, so many go by before one is taken for one again. */
const PASSED_OVER = 16;
/** Bytes of the culprit that an error shows. */
const EXCERPT = 80;

export class JsonScanner {
  readonly #hold: Hold;
  readonly #maxlen: number;
  readonly #maxdepth: number;
  readonly #grammar: JsonGrammar;
  /** Bytes of the current value, or of what is skipped, from earlier chunks. */
  readonly #buffer: ByteBuffer;
  /** Why the rest of the line is skipped. */
  #skipping: string | undefined;
  /** Only blanks since the line began. */
  #fresh = true;
  /** Lines to go by. */
  #passing = 0;

  /** @param strict What only json-c would read is an error too: see lenient.ts. */
  constructor(
    hold: Hold,
    maxlen: number,
    maxdepth: number,
    readonly strict: boolean,
  ) {
    this.#hold = hold;
    this.#maxlen = maxlen;
    this.#maxdepth = maxdepth;
    this.#grammar = new JsonGrammar(maxdepth, strict);
    this.#buffer = new ByteBuffer(hold, maxlen);
  }

  /** The values and errors that `chunk` completes. Iterate to the end before the next call. */
  *push(chunk: Uint8Array): Generator<Scanned, void> {
    const grammar = this.#grammar;
    // Where the current value begins in this chunk.
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      const first = this.#fresh;
      this.#fresh = byte === LF || (first && (isBlank(byte) || byte === SEPARATOR));

      if (grammar.inWord && grammar.endsWord(byte)) {
        const scanned = this.#valueEnd(chunk.subarray(from, at));
        if (scanned) yield scanned;
      }
      if (this.#skipping !== undefined) {
        if (byte === LF) yield this.#failed(this.#skipping, chunk.subarray(from, at));
        continue;
      }
      if (isOpen(byte) && grammar.resting) {
        const feed = this.#lineEnd(chunk, at);
        const value = feed < 0 ? undefined : this.#whole(chunk.subarray(at, feed));
        if (value) {
          at = feed;
          this.#fresh = true;
          yield value;
          continue;
        }
      }
      if (grammar.idle) from = at;
      const depth = grammar.depth;
      const result = grammar.step(byte);
      if (result === undefined) {
        // What came before was the beginning of a comment.
        if (grammar.idle && this.#buffer.length > 0) {
          this.#buffer.clear();
        }
        continue;
      }
      if (result === DONE) {
        const scanned = this.#valueEnd(chunk.subarray(from, at + 1));
        if (scanned) yield scanned;
      } else if (depth > 0 && (byte === SEPARATOR || (first && isOpen(byte)))) {
        yield this.#failed(result, chunk.subarray(from, at));
        from = at;
        grammar.step(byte);
      } else if (byte === LF) {
        yield this.#failed(result, chunk.subarray(from, at));
      } else {
        this.#skip(result);
      }
    }
    if (this.#skipping === undefined && grammar.idle) return;
    this.#buffer.append(chunk.subarray(from));
  }

  /** What is left at the end of the stream. */
  *end(): Generator<Scanned, void> {
    if (this.#grammar.inWord) {
      const scanned = this.#valueEnd(NOTHING);
      if (scanned) yield scanned;
    }
    if (this.#skipping !== undefined) yield this.#failed(this.#skipping, NOTHING);
    else if (!this.#grammar.idle)
      yield this.#failed("unfinished at the end of the output", NOTHING);
  }

  /** Where a line ends that looks like one value from here on; negative where it does not. */
  #lineEnd(chunk: Uint8Array, from: number): number {
    if (this.#passing > 0) {
      this.#passing--;
      return -1;
    }
    const feed = chunk.indexOf(LF, from);
    let last = feed - 1;
    while (last > from && isBlank(chunk[last] as number)) last--;
    return isClose(chunk[last] ?? 0) ? feed : -1;
  }

  /**
   * Most commands print a value in each line: the engine's parser then tells what it is, much faster than byte by byte.
   * undefined: it is to be looked at closer.
   */
  #whole(line: Uint8Array): Scanned | undefined {
    if (line.length > this.#maxlen) return undefined;
    try {
      const text = lenientDecoder.decode(line);
      const value = parseExact(text);
      if (text.length > this.#maxdepth && isDeeper(value, this.#maxdepth)) return undefined;
      if (text.includes("\ufffd")) decode(line, this.#hold);
      this.#grammar.reset();
      return { value };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#passing = PASSED_OVER;
      return undefined;
    }
  }

  /** A value is complete; `segment` is the part of it in this chunk. */
  #valueEnd(segment: Uint8Array): Scanned | undefined {
    if (this.#buffer.lost > 0 || this.#buffer.length + segment.length > this.#maxlen) {
      this.#hold.lose(this.#buffer.length + this.#buffer.lost + segment.length);
      return this.#failed(`longer than ${this.#maxlen} bytes`, segment);
    }
    try {
      const bytes = this.#joined(segment);
      const printed = lenientDecoder.decode(bytes);
      const text = printed.replace(/^\ufeff/, "");
      const found = text === "" ? undefined : { value: this.#parse(text) };
      // Only now, as what is no value is counted with the error that it becomes.
      if (printed.includes("\ufffd")) decode(bytes, this.#hold);
      this.#reset();
      return found;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // Told as an error with the rest of its line, once that has come.
      this.#skip("not JSON");
      return undefined;
    }
  }

  /** Most values are JSON, which the engine parses much faster. */
  #parse(text: string): unknown {
    if (!this.#grammar.loose) {
      try {
        return parseExact(text);
      } catch (error) {
        if (this.strict || !(error instanceof SyntaxError)) throw error;
      }
    }
    return parseLenient(text, { depth: this.#maxdepth, number: parseExact });
  }

  #skip(reason: string): void {
    this.#grammar.reset();
    this.#skipping = reason;
  }

  #failed(reason: string, segment: Uint8Array): Scanned {
    const shown = Math.min(EXCERPT, this.#maxlen);
    const bytes = this.#joined(segment.subarray(0, shown));
    const printed = this.#buffer.length + this.#buffer.lost + segment.length;
    // "stream" leaves a character out that the cut has split.
    const stream = printed > shown;
    const cut = new TextDecoder().decode(bytes.subarray(0, shown), { stream });
    // What is not shown is told by its length; in what is, others may stand for bytes.
    if (printed <= shown && cut.includes("\ufffd")) decode(bytes, this.#hold);
    this.#reset();
    if (printed <= shown) return { error: `${reason}: ${cut.trimEnd()}` };
    return { error: `${reason}: ${cut.trimEnd()}…`, bytes: printed };
  }

  #joined(segment: Uint8Array): Uint8Array {
    if (this.#buffer.length === 0) return segment;
    const bytes = new Uint8Array(this.#buffer.length + segment.length);
    bytes.set(this.#buffer.view());
    bytes.set(segment, this.#buffer.length);
    return bytes;
  }

  #reset(): void {
    this.#buffer.clear();
    this.#grammar.reset();
    this.#skipping = undefined;
  }
}

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== "object" || value === null || isWritten(value)) return false;
  if (most === 0) return true;
  for (const inner of Array.isArray(value) ? value : Object.values(value))
    if (isDeeper(inner, most - 1)) return true;
  return false;
}
