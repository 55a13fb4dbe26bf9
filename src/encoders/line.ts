/** One data event per line. */
import type { About, Emit, Encoder, Fields } from "./encoder.ts";
import { deliver, inPieces } from "./lines.ts";
import { checkOptions, flag, integer, withoutIgnored } from "./options.ts";
import { type Line, WholeLines } from "./whole-lines.ts";

/** Milliseconds after which a line that has not ended is shown, or a `\r` was its end. */
const WHILE = 200;
/** Characters of a second that are spent on showing parts of a line again: a dot now and then would send all of them each time. */
const AGAIN = 16 << 10;
/** Milliseconds after which one is shown again however long it is: what the program asks at its end, and then waits, may stand there. */
const LATEST = 10_000;

interface LineOptions {
  readonly maxlen?: number | undefined;
  readonly cr: boolean;
  readonly partial: boolean;
}

/** One stream as line events under `key`. */
export class LineEvents {
  readonly #lines: WholeLines;
  /** What is left to show after a while. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The line of which a part was shown, and until when it is not shown again, by performance.now(). */
  #part = { line: 0, until: 0 };
  /** The receivers have yet to take what was shown then. */
  #shown: Promise<void> | undefined;

  constructor(
    readonly key: "stdout" | "stderr",
    readonly options: LineOptions,
    emit: Emit,
    { hold }: About,
  ) {
    this.#lines = new WholeLines(hold, options.cr);
    const { maxlen } = options;
    const send: (line: Line) => void | Promise<void> =
      maxlen === undefined
        ? (line) =>
            emit(typeof line === "string" ? { [key]: line } : { [key]: line.text, ...line.marks })
        : (line) => deliver(this.#pieces(line, maxlen), emit);
    this.#send = (line) => {
      if (typeof line === "string" || !line.marks.partial) this.lines++;
      return send(line);
    };
  }

  /** Those that have ended. */
  lines = 0;

  push = (chunk: Uint8Array): void | Promise<void> => this.#tell(() => this.#lines.push(chunk));

  end = (): void | Promise<void> => this.#tell(() => this.#lines.end(), true);

  #tell(lines: () => Iterator<Line>, last = false): void | Promise<void> {
    clearTimeout(this.#timer);
    const shown = this.#shown;
    this.#shown = undefined;
    const sent = shown
      ? shown.then(() => deliver(lines(), this.#send))
      : deliver(lines(), this.#send);
    if (last) return sent;
    if (sent) return sent.then(() => this.#wait());
    this.#wait();
  }

  #wait(): void {
    const { returned, unfinished } = this.#lines;
    if (returned || (this.options.partial && unfinished)) {
      const { line, until } = this.#part;
      const rest = returned || line !== this.lines ? 0 : until - performance.now();
      // A turn more: where the process stood still, what follows may lie in the pipe.
      this.#timer = setTimeout(
        () => {
          this.#timer = setTimeout(() => this.#show(), 0);
        },
        Math.max(WHILE, rest),
      );
    }
  }

  #show(): void {
    const sent = this.#send(this.#lines.returned ? this.#lines.settle() : this.#partShown());
    if (sent) this.#shown = sent;
  }

  #partShown(): Line {
    const part = this.#lines.peek();
    const until = performance.now() + Math.min((part.text.length / AGAIN) * 1000, LATEST);
    this.#part = { line: this.lines, until };
    return part;
  }

  readonly #send: (line: Line) => void | Promise<void>;

  /** What there is to say of a line stands in its last piece. */
  *#pieces(line: Line, maxlen: number): Generator<Fields, void> {
    const { text, marks } = typeof line === "string" ? { text: line, marks: {} } : line;
    let piece: string | undefined;
    for (const next of inPieces(text, maxlen)) {
      if (piece !== undefined) yield { [this.key]: piece };
      piece = next;
    }
    yield { [this.key]: piece, ...marks };
  }
}

export const line: Encoder = {
  name: "line",
  synchronous: false,
  check: (opts) => checkOptions("line", opts),
  adapt: (opts) => withoutIgnored("line", opts),
  begin(opts, emit, about) {
    const options = {
      maxlen: integer(opts, "maxlen"),
      cr: flag(opts, "cr") ?? true,
      partial: flag(opts, "partial") ?? false,
    };
    const stdout = new LineEvents("stdout", options, emit, about);
    const stderr = new LineEvents("stderr", options, emit, about);
    return {
      stdout: stdout.push,
      stderr: stderr.push,
      get lines() {
        return stdout.lines + stderr.lines;
      },
      end() {
        const first = stdout.end();
        if (first) return first.then(() => stderr.end()).then(() => ({}));
        const second = stderr.end();
        return second ? second.then(() => ({})) : {};
      },
    };
  },
};
