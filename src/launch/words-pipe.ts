/**
 * The pipe on which a warm sandbox waits for its command line. Nothing here waits: a command of the sandbox's user may have opened
 * the pipe too while that sandbox was made, and may have filled or emptied it, or stopped who reads there.
 */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { WORDS_SIZE } from "../../ffi/launcher/layout.ts";
import { setNonBlocking } from "../../ffi/libc.ts";

/** Another open file of the end that the sandbox reads: what does not wait here waits there. */
export const secondReader = (fd: number): number =>
  openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK | 0o2000000);

export class WordsPipe {
  readonly #read: number;
  #write: number | undefined;
  #given = 0;

  /** Owns both. @param read see {@link secondReader}; of a sandbox that dies, it tells whether the words were read */
  constructor(read: number, write: number) {
    setNonBlocking(write);
    this.#read = read;
    this.#write = write;
  }

  get given(): boolean {
    return this.#given > 0;
  }

  /** Once. False: the pipe was not as empty as it was made, and the sandbox never gets all of them. */
  give(words: Uint8Array): boolean {
    const write = this.#write;
    if (write === undefined) return false;
    this.#given = words.length;
    this.#write = undefined;
    const written = atOnce(() => writeSync(write, words));
    closeSync(write);
    return written === words.length;
  }

  /**
   * After the death of all who could read them: not all of the words have been read, without which nothing runs. Who is killed while
   * it waits may still read of them, namely the length, if they come before its death has.
   */
  isUnread(): boolean {
    return (
      this.#write !== undefined || atOnce(() => readSync(this.#read, Buffer.alloc(this.#given))) > 0
    );
  }

  close(): void {
    if (this.#write !== undefined) closeSync(this.#write);
    this.#write = undefined;
    closeSync(this.#read);
  }
}

/** Bytes moved; none where that would wait. */
export function atOnce(move: () => number): number {
  try {
    return move();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return 0;
    throw error;
  }
}

/** A command line as wait.c reads it; undefined when it is longer than a pipe holds. */
export function wordsOf(argv: readonly string[]): Uint8Array | undefined {
  const text = Buffer.from(argv.map((word) => `${word}\0`).join(""));
  if (text.length > WORDS_SIZE) return undefined;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(text.length);
  return Buffer.concat([size, text]);
}
