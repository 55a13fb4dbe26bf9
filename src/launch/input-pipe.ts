/**
 * The pipe that a command reads as its stdin. What it does not take yet waits here: how much that is, is for who gives it. Nobody
 * else has the end that is written to, so the command sees the end of its input once that is closed.
 */
import { closeSync, writeSync } from "node:fs";
import { setNonBlocking } from "../../ffi/libc.ts";
import type { TaskInput } from "./task.ts";
import { atOnce } from "./words-pipe.ts";

/** ms between two looks at a full pipe: twice as many each time that nobody has read, up to the second. */
const SOON = 1;
const LATE = 64;

export class InputPipe implements TaskInput {
  /** Undefined once closed. */
  #fd: number | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Ends a pause. */
  #wake: (() => void) | undefined;

  /** Owns it. */
  constructor(fd: number) {
    setNonBlocking(fd);
    this.#fd = fd;
  }

  give(data: Uint8Array): Promise<boolean> {
    const given = this.#last.then(() => this.#write(data));
    this.#last = given;
    return given;
  }

  end(): void {
    void this.#last.then(() => this.close());
  }

  /** At once. What waits is dropped. */
  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    this.#wake?.();
  }

  /** Nobody waits for that long once it is closed: a reply may wait for it. */
  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  async #write(data: Uint8Array): Promise<boolean> {
    let pause = SOON;
    let at = 0;
    while (at < data.length) {
      if (this.#fd === undefined) return false;
      const written = writeTo(this.#fd, data.subarray(at));
      if (written === undefined) {
        this.close();
        return false;
      }
      at += written;
      pause = written > 0 ? SOON : Math.min(LATE, pause * 2);
      if (at < data.length) await this.#pause(pause);
    }
    return true;
  }
}

/** Undefined where nobody reads any more. */
function writeTo(fd: number, data: Uint8Array): number | undefined {
  try {
    return atOnce(() => writeSync(fd, data));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPIPE") return undefined;
    throw error;
  }
}
