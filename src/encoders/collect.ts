/** The lines of stdout and stderr, kept for one event or one reply at the end. */
import { ByteBuffer } from "./bytes.ts";
import type { About, Encoding, Fields } from "./encoder.ts";
import type { Hold } from "./hold.ts";
import { inPieces } from "./lines.ts";
import { integer } from "./options.ts";
import { decode, wholeLength } from "./utf8.ts";

const LF = 0x0a;
/** Bytes that become lines in one turn of the event loop. */
const AT_ONCE = 64 << 10;

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
    if (this.#maxline === Infinity) end = chunk.length;
    for (; end < chunk.length && this.#count < this.#maxline; end++)
      if (chunk[end] === LF) this.#count++;
    this.#bytes.append(chunk.subarray(0, end));
    if (end === chunk.length) return;
    this.#more = true;
    this.#hold.lose(chunk.length - end);
  }

  end(maxlen: number | undefined): string[] | Promise<string[]> {
    const bytes = this.#bytes;
    if (bytes.lost > 0) {
      // Part of a line is none, unless there is nothing else.
      const whole = bytes.view().lastIndexOf(LF) + 1;
      bytes.cut(whole > 0 ? whole : wholeLength(bytes.view()));
    }
    this.#hold.lose(bytes.lost);
    const shown: string[] = [];
    if (bytes.length <= AT_ONCE) {
      this.#split(bytes.view(), maxlen, shown);
      return this.#ended(shown);
    }
    return this.#inTurns(maxlen, shown);
  }

  /** Millions of short lines take most of a second, in which others are to be heard. */
  async #inTurns(maxlen: number | undefined, shown: string[]): Promise<string[]> {
    const bytes = this.#bytes.view();
    for (let at = 0; at < bytes.length;) {
      const feed = bytes.indexOf(LF, Math.min(at + AT_ONCE, bytes.length));
      const end = feed < 0 ? bytes.length : feed + 1;
      this.#split(bytes.subarray(at, end), maxlen, shown);
      at = end;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.#ended(shown);
  }

  #split(bytes: Uint8Array, maxlen: number | undefined, shown: string[]): void {
    const lines = decode(bytes, this.#hold).split("\n");
    if (lines.at(-1) === "") lines.pop();
    for (const line of lines) {
      if (maxlen === undefined) shown.push(line);
      else for (const piece of inPieces(line, maxlen)) shown.push(piece);
    }
  }

  #ended(shown: string[]): string[] {
    if (this.#more) shown.push("...");
    return shown;
  }
}

/** Collects; `end` is what was collected: `stdout`, `stderr` where there was output, then the overflow flags. */
export function collect(opts: Record<string, unknown>, { hold }: About): Encoding {
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
      const fields = (outLines: string[], errLines: string[]): Fields => ({
        ...(outLines.length > 0 && { stdout: outLines }),
        ...(errLines.length > 0 && { stderr: errLines }),
        ...(stdout.overflow && { "stdout-overflow": true }),
        ...(stderr.overflow && { "stderr-overflow": true }),
      });
      if (Array.isArray(out) && Array.isArray(err)) return fields(out, err);
      return Promise.all([out, err]).then((both) => fields(...both));
    },
  };
}
