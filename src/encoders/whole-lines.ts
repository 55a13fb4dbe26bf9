/** Bytes to whole lines of text, as they come. What is held is the line that has not ended, and it counts for its task. */
import { ByteBuffer } from "./bytes.ts";
import type { Hold } from "./hold.ts";
import { decode, wholeLength } from "./utf8.ts";

/** A line of which there is something to say. */
export interface Marked {
  readonly text: string;
  readonly marks: {
    /** It ended with a carriage return, and the next one stands in its place. */
    readonly cr?: true;
    /** It has not ended: it comes again, whole. */
    readonly partial?: true;
    /** So much of its end is lost. */
    readonly overflow?: { readonly bytes: number };
  };
}

export type Line = string | Marked;

const LF = 0x0a;
const CR = 0x0d;
const CR_MARK = { cr: true } as const;

/**
 * Splits one stream at `\n`; a `\r` before it stays in its line. The last line needs no end. With `cr` a `\r` that no `\n` follows
 * ends a line too, as progress has it, so nothing is known of one that comes last: see {@link settle}.
 */
export class WholeLines {
  /** The line that has not ended. */
  readonly #rest: ByteBuffer;
  /** The last byte was `\r`, which is part of the rest. */
  #returned = false;
  /** It was taken for the end of a line: a `\n` that comes all the same belongs to it. */
  #settled = false;

  constructor(
    readonly hold: Hold,
    readonly cr: boolean,
  ) {
    this.#rest = new ByteBuffer(hold);
  }

  /** There is a line that has not ended. */
  get unfinished(): boolean {
    return this.#rest.length + this.#rest.lost > 0;
  }

  /** It may have ended: what comes next tells. */
  get returned(): boolean {
    return this.#returned;
  }

  /** The lines that `chunk` completes. Iterate to the end before the next call. */
  *push(chunk: Uint8Array): Generator<Line, void> {
    let start = 0;
    if (this.#settled && chunk.length > 0) {
      this.#settled = false;
      if (chunk[0] === LF) start = 1;
    }
    if (start >= chunk.length) return;
    if (this.#returned && chunk[start] !== LF) yield this.#returnedLine();
    const last = this.#lastEnd(chunk);
    if (last >= start) {
      if (this.unfinished) {
        const first = this.#firstEnd(chunk, start);
        this.#rest.append(chunk.subarray(start, first));
        yield this.#finished(chunk[first] === CR);
        start = first + 1;
      }
      if (start <= last) {
        const text = decode(chunk.subarray(start, last + 1), this.hold);
        if (this.cr && text.includes("\r")) yield* split(text);
        // A generator within a generator would cost as much as the line.
        else
          for (let at = 0, end; (end = text.indexOf("\n", at)) >= 0; at = end + 1)
            yield text.slice(at, end);
      }
      start = last + 1;
    }
    this.#returned = this.cr && start < chunk.length && chunk[chunk.length - 1] === CR;
    if (start < chunk.length) this.#rest.append(chunk.subarray(start));
  }

  /** Nothing has followed a `\r` for a while: it was the end of a line. */
  settle(): Line {
    const line = this.#returnedLine();
    this.#settled = true;
    return line;
  }

  /** The line so far, which will come again. */
  peek(): Marked {
    const bytes = this.#rest.view();
    const text = partial.decode(bytes.subarray(0, wholeLength(bytes)));
    return { text, marks: { partial: true } };
  }

  /** The last line, where it has not ended. */
  *end(): Generator<Line, void> {
    if (this.#returned) yield this.#returnedLine();
    else if (this.unfinished) yield this.#finished(false);
  }

  /** Where the last line of the chunk ends; -1 when none does. */
  #lastEnd(chunk: Uint8Array): number {
    const feed = chunk.lastIndexOf(LF);
    // The last byte of all may be half of an end.
    return this.cr ? Math.max(feed, chunk.lastIndexOf(CR, -2)) : feed;
  }

  /** Where the first line ends, of a chunk in which one does. */
  #firstEnd(chunk: Uint8Array, start: number): number {
    const feed = chunk.indexOf(LF, start);
    if (!this.cr) return feed;
    const back = chunk.indexOf(CR, start);
    // One that is the last byte of all comes behind the line feed that ends a line here: see lastEnd.
    return back >= 0 && (feed < 0 || back + 1 < feed) ? back : feed;
  }

  /** The rest without the `\r` at its end. */
  #returnedLine(): Line {
    this.#returned = false;
    const { length, lost } = this.#rest;
    if (lost === 0) {
      const text = decode(this.#rest.view().subarray(0, length - 1), this.hold);
      this.#rest.clear();
      return { text, marks: CR_MARK };
    }
    return this.#finished(true, 1);
  }

  /** @param ends bytes of what is lost that are no part of the line */
  #finished(cr: boolean, ends = 0): Line {
    const rest = this.#rest;
    if (rest.lost > 0) rest.cut(wholeLength(rest.view()));
    const text = decode(rest.view(), this.hold);
    const bytes = rest.lost - ends;
    this.hold.lose(bytes);
    rest.clear();
    if (bytes === 0) return cr ? { text, marks: CR_MARK } : text;
    return { text, marks: { ...(cr && CR_MARK), overflow: { bytes } } };
  }
}

const partial = new TextDecoder("utf-8", { ignoreBOM: true });

/** Lines, each with its end. */
function* split(text: string): Generator<Line, void> {
  let start = 0;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
    start = yield* returned(text, start, end - 1);
    yield text.slice(start, end);
    start = end + 1;
  }
  yield* returned(text, start, text.length);
}

/** Lines that end with a `\r` before `end`; returns where the next one begins. */
function* returned(text: string, from: number, end: number): Generator<Line, number> {
  let start = from;
  for (let at = text.indexOf("\r", start); at >= 0 && at < end; at = text.indexOf("\r", start)) {
    yield { text: text.slice(start, at), marks: CR_MARK };
    start = at + 1;
  }
  return start;
}
