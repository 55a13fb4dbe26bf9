/** The lines of stdout and stderr, kept for one event or one reply at the end. */
import { ByteBuffer } from "./bytes.ts";
import type { About, Encoding, Fields } from "./encoder.ts";
import type { Hold } from "./hold.ts";
import { inPieces } from "./lines.ts";
import { integer, LINE_COUNT, LINE_LENGTH, type Options } from "./options.ts";
import { decode, wholeLength } from "./utf8.ts";

export const COLLECT_OPTIONS = {
  maxlen: LINE_LENGTH,
  maxline: LINE_COUNT,
} as const satisfies Options;

const LF = 0x0a;
/** What a line costs as a string of its own, and its place in the list, besides its bytes. */
const LINE_OVERHEAD = 48;

/** Keeps the lines of one stream, as bytes: many short ones as strings take ten times as much. */
class Lines {
  readonly #bytes: ByteBuffer;
  readonly #hold: Hold;
  readonly #maxline: number;
  #count = 0;
  /** There were more than `maxline`. */
  #more = false;

  constructor(hold: Hold, maxline: number) {
    this.#bytes = new ByteBuffer(hold);
    this.#hold = hold;
    this.#maxline = maxline;
  }

  get overflow(): boolean {
    return this.#more || this.#bytes.lost > 0;
  }

  push(chunk: Uint8Array): void {
    let end = 0;
    const before = this.#count;
    for (; end < chunk.length && this.#count < this.#maxline; end++)
      if (chunk[end] === LF) this.#count++;
    const lines = this.#count - before;
    this.#bytes.append(chunk.subarray(0, end), lines * LINE_OVERHEAD);
    if (end === chunk.length) return;
    this.#more = true;
    this.#hold.lose(chunk.length - end);
  }

  end(maxlen: number | undefined): string[] {
    const bytes = this.#bytes;
    if (bytes.lost > 0) {
      // Part of a line is none, unless there is nothing else.
      const whole = bytes.view().lastIndexOf(LF) + 1;
      bytes.cut(whole > 0 ? whole : wholeLength(bytes.view()));
    }
    this.#hold.lose(bytes.lost);
    const lines = bytes.length === 0 ? [] : decode(bytes.view(), this.#hold).split("\n");
    if (lines.at(-1) === "") lines.pop();
    const shown =
      maxlen === undefined ? lines : lines.flatMap((line) => [...inPieces(line, maxlen)]);
    if (this.#more) shown.push("...");
    return shown;
  }
}

interface Collection extends Encoding {
  end(): Fields;
}

/** Collects; `end` is what was collected: `stdout`, `stderr` where there was output, then the overflow flags. */
export function collect(opts: Record<string, unknown>, { hold }: About): Collection {
  const maxlen = integer(opts, "maxlen");
  const maxline = integer(opts, "maxline") ?? Infinity;
  const stdout = new Lines(hold, maxline);
  const stderr = new Lines(hold, maxline);
  return {
    stdout: (chunk) => stdout.push(chunk),
    stderr: (chunk) => stderr.push(chunk),
    end() {
      const out = stdout.end(maxlen);
      const err = stderr.end(maxlen);
      const fields: Fields = {};
      if (out.length > 0) fields["stdout"] = out;
      if (err.length > 0) fields["stderr"] = err;
      if (stdout.overflow) fields["stdout-overflow"] = true;
      if (stderr.overflow) fields["stderr-overflow"] = true;
      return fields;
    },
  };
}
