/**
 * What is written to a descriptor that may not take it: a full disk (ENOSPC, EDQUOT, EFBIG), a broken one (EIO), a reader that
 * is gone (EPIPE) or slow (EAGAIN). What it does not take is counted; each time the rest is tried anew, since a disk may have
 * room again. See write(2).
 */
import { closeSync, writeSync } from "node:fs";
import { isWritable } from "../../ffi/libc.ts";
import { isKernelLog } from "../kernel-log.ts";
import { unwaiting } from "../terminal-output.ts";

/** Milliseconds between two looks at a reader that is slow, and how long one that may not hold the task is waited for. */
const LOOK = 5;
const PATIENCE = 1000;

/** Asked each time: the server's output changes when it takes over from that of early boot. The kernel log has no poll(2). */
const mayBlock = (fd: number): boolean => !isKernelLog(fd);

let isEnding = false;

/** From now on no reader is waited for as long as it takes: the server ends, and would do so only once somebody reads. */
export function endPatience(): void {
  isEnding = true;
}

export class Written {
  #lost = 0;
  #why: string | undefined;
  /** Its reader has let one write wait in vain: until it reads again, none waits. */
  #slow = false;
  #fd: number;
  /**
   * @param patient Waits for a slow reader as long as it takes, with whoever prints.
   * @param failed Called with the error at the first loss.
   * @param patience Milliseconds that a reader which may not hold the task is waited for, each time.
   */
  constructor(
    fd: number,
    readonly patient: boolean,
    readonly failed: (why: string) => void,
    readonly patience = PATIENCE,
  ) {
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  /** From now on. The one of before is closed. */
  moveTo(fd: number): void {
    closeSync(this.#fd);
    this.#fd = fd;
  }

  /** Bytes that are nowhere. */
  get lost(): number {
    return this.#lost;
  }

  /** Why, the first time: the name of an errno. */
  get why(): string | undefined {
    return this.#why;
  }

  write(bytes: Uint8Array): void | Promise<void> {
    const done = this.#put(bytes, 0);
    if (done < bytes.length) return this.#wait(bytes, done);
  }

  /** How far it got before it would have to wait; all of it when the rest is lost. */
  #put(bytes: Uint8Array, done: number): number {
    // A descriptor that others use too may not be set to O_NONBLOCK: so one write of PIPE_BUF, where there is room.
    const shared = this.patient && mayBlock(this.fd);
    const own = shared ? unwaiting(this.fd) : this.fd;
    const most = own === undefined ? 4096 : bytes.length;
    try {
      while (done < bytes.length) {
        if (own === undefined && !isWritable(this.fd)) {
          if (!this.#slow) return done;
          this.#lose(bytes.length - done, "EAGAIN");
          return bytes.length;
        }
        done += writeSync(own ?? this.fd, bytes, done, Math.min(most, bytes.length - done));
        this.#slow = false;
      }
    } catch (error) {
      const errno = error instanceof Error && "code" in error ? String(error.code) : String(error);
      if (errno === "EAGAIN" && !this.#slow) return done;
      this.#lose(bytes.length - done, errno);
    }
    return bytes.length;
  }

  async #wait(bytes: Uint8Array, at: number): Promise<void> {
    // The caller may use its chunk for the next.
    const rest = bytes.slice(at);
    let done = 0;
    for (let waited = 0; done < rest.length; waited += LOOK) {
      if (waited >= this.patience && (isEnding || !this.patient)) {
        this.#slow = true;
        return this.#lose(rest.length - done, "EAGAIN");
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK));
      const before = done;
      done = this.#put(rest, done);
      if (done > before) waited = 0;
    }
  }

  #lose(bytes: number, errno: string): void {
    this.#lost += bytes;
    if (this.#why !== undefined) return;
    this.#why = errno;
    this.failed(errno);
  }
}
