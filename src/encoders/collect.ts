/** The first lines of stdout and stderr, kept for one event or one reply at the end. */
import type { Encoding, Fields } from "./encoder.ts";
import { LineSplitter } from "./lines.ts";
import { integer, LINE_COUNT, LINE_LENGTH, type Options } from "./options.ts";

export const COLLECT_OPTIONS = {
  maxlen: LINE_LENGTH,
  maxline: LINE_COUNT,
} as const satisfies Options;

/** Keeps at most `maxline` lines of one stream; what comes after is not even split, only noticed. */
class Head {
  readonly #splitter: LineSplitter;
  readonly #maxline: number;
  readonly lines: string[] = [];
  overflow = false;

  constructor(maxlen: number, maxline: number) {
    this.#splitter = new LineSplitter(maxlen);
    this.#maxline = maxline;
  }

  push(chunk: Uint8Array): void {
    if (!this.overflow) this.#keep(this.#splitter.push(chunk));
  }

  end(): void {
    if (!this.overflow) this.#keep(this.#splitter.end());
  }

  #keep(lines: Iterable<string>): void {
    for (const line of lines) {
      if (this.lines.length === this.#maxline) {
        this.lines.push("...");
        this.overflow = true;
        return;
      }
      this.lines.push(line);
    }
  }
}

interface Collection extends Encoding {
  end(): Fields;
}

/** Collects; `end` is what was collected: `stdout`, `stderr` where there was output, then the overflow flags. */
export function collect(opts: Record<string, unknown>): Collection {
  const maxlen = integer(opts, "maxlen", COLLECT_OPTIONS.maxlen);
  const maxline = integer(opts, "maxline", COLLECT_OPTIONS.maxline);
  const stdout = new Head(maxlen, maxline);
  const stderr = new Head(maxlen, maxline);
  return {
    stdout: (chunk) => stdout.push(chunk),
    stderr: (chunk) => stderr.push(chunk),
    end() {
      stdout.end();
      stderr.end();
      const fields: Fields = {};
      if (stdout.lines.length > 0) fields["stdout"] = stdout.lines;
      if (stderr.lines.length > 0) fields["stderr"] = stderr.lines;
      if (stdout.overflow) fields["stdout-overflow"] = true;
      if (stderr.overflow) fields["stderr-overflow"] = true;
      return fields;
    },
  };
}
