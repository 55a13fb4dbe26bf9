/** Lines on standard output that are waited for while other things go on: see printed.ts for who need not care. */
import { write } from "node:fs";
import { visibleLines } from "../visible.ts";
import { unwritable } from "./print.ts";

const STDOUT = 1;
/** Characters that may wait before who prints has to. */
const ROOM = 64 << 10;
/** Milliseconds between two tries where somebody has made the output non-blocking. */
const LOOK = 5;

export class Lines {
  #waiting: string[] = [];
  #size = 0;
  #isClosed = false;
  #work: Promise<void> | undefined;
  readonly #closing = Promise.withResolvers<void>();

  /** Nobody reads any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Settles once nobody reads any more. */
  get closed(): Promise<void> {
    return this.#closing.promise;
  }

  /** What JSON leaves as it is and a terminal obeys is escaped. A promise settles once there is room for more. */
  print(line: string): void | Promise<void> {
    if (this.#isClosed) return;
    const text = `${visibleLines(line)}\n`;
    this.#waiting.push(text);
    this.#size += text.length;
    this.#work ??= this.#writeAll().finally(() => {
      this.#work = undefined;
    });
    if (this.#size > ROOM) return this.#work;
  }

  /** Until all is written. */
  async flush(): Promise<void> {
    while (this.#work) await this.#work;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const bytes = Buffer.from(this.#waiting.splice(0).join(""));
      this.#size = 0;
      for (let done = 0; done < bytes.length && !this.#isClosed;)
        done += await this.#write(bytes.subarray(done));
    }
  }

  #write(bytes: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      write(STDOUT, bytes, 0, bytes.length, null, (error, written) => {
        if (!error) return resolve(written);
        if (error.code === "EAGAIN") return void setTimeout(() => resolve(0), LOOK);
        if (error.code !== "EPIPE") return reject(unwritable(error));
        this.#isClosed = true;
        this.#closing.resolve();
        resolve(0);
      });
    });
  }
}
