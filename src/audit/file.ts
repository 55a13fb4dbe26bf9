/**
 * An audit in a file, or a FIFO. It is written by another thread, since a disk may take its time; whole lines at a time, as many as
 * there are. What was written is asked onto the disk once a second at most.
 */
import { closeSync, fdatasync, fstatSync, write } from "node:fs";
import type { Trust } from "../config/walk.ts";
import { type Kept, openKept, rotate } from "./kept.ts";
import { type Line, reasonOf, type Sink, type Taken } from "./sink.ts";

export interface FileOptions {
  readonly path: string;
  /** Bytes of one file; 0: without a bound. */
  readonly most: number;
  /** Files of before that are kept. */
  readonly count: number;
  readonly trust: Trust | undefined;
}

/** Bytes of one write, or a line that is longer. */
const BATCH = 256 << 10;
/** ms. */
const SYNC = 1000;

export class FileSink implements Sink {
  readonly #options: FileOptions;
  #kept: Kept | undefined;
  #size = 0;
  /** Bytes of the first line to come that are there already: of a write that was cut off. */
  #begun = 0;
  #reopen = false;
  #syncing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Opens nothing yet. */
  constructor(options: FileOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.path;
  }

  /** Now, and not with the first line. @throws as openKept */
  open(): void {
    this.#open();
  }

  #open(): Kept {
    const kept = openKept(this.#options.path, this.#options.trust);
    this.#kept = kept;
    this.#size = kept.stat.size;
    return kept;
  }

  /** Not a FIFO or a terminal. */
  get isFile(): boolean {
    return this.#kept?.stat.isFile() === true;
  }

  async take(lines: readonly Line[]): Promise<Taken> {
    let done = 0;
    try {
      for (let line = lines[0]; line; line = lines[done]) {
        const { fd, most } = this.#ready(line);
        const bytes = this.#batch(lines, done, most);
        const written = await writeTo(fd, bytes, this.#begun);
        done += this.#count(lines, done, written);
      }
    } catch (error) {
      const why = reasonOf(error);
      // The reader of a FIFO is gone: the next gets whole lines, and nothing of what that one has left.
      if (why === "EPIPE" || why === "EIO") this.#leave();
      return { lines: done, why };
    } finally {
      if (this.isFile) this.#sync();
    }
    return { lines: done };
  }

  reopen(): void {
    this.#reopen = true;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#kept && this.isFile) await synced(this.#kept.fd);
    this.#leave();
  }

  /** Where the next line goes, and how many bytes there is room for. */
  #ready(next: Line): { fd: number; most: number } {
    this.#look();
    // Not amid a line, whose reader would get half of it.
    if (this.#reopen && this.#begun === 0) {
      this.#leave();
      this.#reopen = false;
    }
    let kept = this.#kept ?? this.#open();
    const { most, count, path, trust } = this.#options;
    const bounded = most > 0 && this.isFile;
    if (bounded && this.#size > 0 && this.#begun === 0 && this.#size + sizeOf(next) > most) {
      // Before it is left: where that cannot be, nothing goes beyond the bound.
      rotate(path, count, trust);
      this.#leave();
      kept = this.#open();
    }
    // Behind a line that has begun, the next is not for it.
    if (this.#reopen) return { fd: kept.fd, most: 0 };
    return { fd: kept.fd, most: bounded ? Math.min(BATCH, most - this.#size) : BATCH };
  }

  /** Somebody may have removed it, or cut it: what is written into a file that nobody can find is written for nobody. */
  #look(): void {
    if (!this.#kept || !this.isFile) return;
    const { nlink, size } = fstatSync(this.#kept.fd);
    if (nlink === 0) this.#reopen = true;
    if (nlink === 0 || size < this.#size) this.#begun = 0;
    this.#size = size;
  }

  /** At least one line, and as many as there is room for. */
  #batch(lines: readonly Line[], from: number, most: number): Buffer {
    let text = "";
    let left = most;
    for (const line of lines.slice(from)) {
      left -= sizeOf(line);
      if (text !== "" && left < 0) break;
      text += `${line.text}\n`;
    }
    return Buffer.from(text);
  }

  /** How many lines have come to their end with so many bytes more. */
  #count(lines: readonly Line[], from: number, written: number): number {
    this.#size += written;
    let left = this.#begun + written;
    let count = 0;
    for (let line = lines[from]; line && left >= sizeOf(line); line = lines[from + count]) {
      left -= sizeOf(line);
      count++;
    }
    this.#begun = left;
    return count;
  }

  #leave(): void {
    const fd = this.#kept?.fd;
    this.#kept = undefined;
    this.#begun = 0;
    if (fd === undefined) return;
    if (this.#syncing) void this.#syncing.then(() => closeSync(fd));
    else closeSync(fd);
  }

  #sync(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.#kept || this.#syncing) return;
      this.#syncing = synced(this.#kept.fd).then(() => {
        this.#syncing = undefined;
      });
    }, SYNC);
  }
}

const sizeOf = ({ text }: Line): number => Buffer.byteLength(text) + 1;

function writeTo(fd: number, bytes: Uint8Array, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, from, bytes.length - from, null, (error, written) =>
      error ? reject(error) : resolve(written),
    );
  });
}

/** What cannot be synced was written all the same: the next write tells whether the disk is broken. */
const synced = (fd: number): Promise<void> =>
  new Promise((resolve) => fdatasync(fd, () => resolve()));
