/** An audit among what the server itself says, each line as it is: a line of JSON begins as nothing else there does. */
import { writeSync } from "node:fs";
import { isWritable } from "../../ffi/libc.ts";
import { isKernelLog } from "../kernel-log.ts";
import { type Line, reasonOf, type Sink, type Taken } from "./sink.ts";

const STDERR = 2;
/** PIPE_BUF: so much is written at once, or not at all. */
const PIECE = 4096;

export class StderrSink implements Sink {
  readonly name = "standard error";
  /** Bytes of the first line to come that are written already. */
  #begun = 0;

  // oxlint-disable-next-line require-await -- as the others
  async take(lines: readonly Line[]): Promise<Taken> {
    let done = 0;
    try {
      // Asked each time: it is another when the service takes over from the server of early boot.
      const kernelLog = isKernelLog(STDERR);
      for (const { text } of lines) {
        // The console cuts it into what the kernel takes.
        if (kernelLog) console.error(text);
        else if (!this.#put(Buffer.from(`${text}\n`))) return { lines: done, why: "EAGAIN" };
        done++;
      }
    } catch (error) {
      return { lines: done, why: reasonOf(error) };
    }
    return { lines: done };
  }

  reopen(): void {}

  async close(): Promise<void> {}

  /** The descriptor is shared, so it cannot be one that does not wait: it is asked before each piece. */
  #put(bytes: Buffer): boolean {
    while (this.#begun < bytes.length) {
      if (!isWritable(STDERR)) return false;
      this.#begun += writeSync(STDERR, bytes.subarray(this.#begun, this.#begun + PIECE));
    }
    this.#begun = 0;
    return true;
  }
}
