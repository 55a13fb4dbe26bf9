/**
 * Output of a task among what the server itself says, for people: each line says whose it is, and nothing in it is obeyed by
 * what shows it. A client chooses part of that output: without this it could speak as the server, to its operator.
 */
import { RECORD, records } from "../kernel-log.ts";
import { visible } from "../visible.ts";
import { LineSplitter } from "./lines.ts";

/** UTF-16 units: with six bytes for each that is escaped, and a name before it, a line is written in one piece (PIPE_BUF). */
const LINE = 512;
const NAME = 256;

/**
 * One stream as lines `NAME STREAM: TEXT`, each of at most PIPE_BUF bytes. A longer line comes in pieces, each but the last
 * ending in `\`. A line waits for its end.
 */
export class Shown {
  readonly #splitter = new LineSplitter(LINE);

  constructor(
    readonly name: () => string,
    readonly stream: "stdout" | "stderr",
    readonly write: (line: Uint8Array) => void | Promise<void>,
    /** Whether it is the kernel log now: there one write is one record. */
    readonly kernelLog: () => boolean,
  ) {}

  async push(chunk: Uint8Array): Promise<void> {
    await this.#tell(this.#splitter.push(chunk));
  }

  async end(): Promise<void> {
    await this.#tell(this.#splitter.end());
  }

  async #tell(lines: Iterable<string>): Promise<void> {
    const head = `${visible(this.name()).slice(0, NAME)} ${this.stream}: `;
    const room = this.kernelLog() ? RECORD - Buffer.byteLength(head) : Infinity;
    for (const line of lines) {
      // A line at a time: between two writes the server may have something to say.
      for (const piece of records(visible(line), room)) {
        const pending = this.write(Buffer.from(`${head}${piece}\n`));
        if (pending) await pending;
      }
    }
  }
}
