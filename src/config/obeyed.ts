/** Files that a server takes as instructions, opened: the one way to configs, plans, access files, filters, and what is to come. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { namesIn } from "../../ffi/at.ts";
import type { Trust } from "./walk.ts";
import { Walk } from "./walk.ts";

type Wanted = "file" | "file or directory";

/** An open file, or a directory of such files. It closes with its block. */
export interface Obeyed extends Disposable {
  readonly isDirectory: boolean;
  /** Permissions, and what kind of file it is. */
  readonly mode: number;
  /** What the file holds. @throws Error when it is larger than `most` bytes */
  read(most: number): Uint8Array;
  /** Of a directory, sorted. */
  names(): string[];
  /** A file of the directory, whatever has its path by now. @throws as {@link openObeyed} */
  open(name: string): Obeyed;
}

/**
 * Opens what `path` names, if only the owners that `trust` names can change it.
 * @param trust undefined: the server may read what it likes
 * @throws Error of open(2), or that says what others can change, and what to do
 */
export function openObeyed(
  path: string,
  trust: Trust | undefined,
  wanted: Wanted = "file",
): Obeyed {
  return trust ? new Walked(Walk.to(path, trust), wanted) : new Named(path, wanted);
}

/** All of a file. @throws as {@link openObeyed} */
export function readObeyed(path: string, trust: Trust | undefined, most: number): Uint8Array {
  using file = openObeyed(path, trust);
  return file.read(most);
}

/** The checks are on what was opened, not on its name. */
class Named implements Obeyed {
  readonly #path: string;
  readonly #fd: number;
  readonly isDirectory: boolean;
  readonly mode: number;

  constructor(path: string, wanted: Wanted) {
    this.#path = path;
    // Non-blocking: opening a FIFO without a writer would hang.
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    const stat = fstatSync(this.#fd);
    this.isDirectory = stat.isDirectory();
    this.mode = stat.mode;
    if (stat.isFile() || (this.isDirectory && wanted === "file or directory")) return;
    closeSync(this.#fd);
    throw new Error(`${path} is not a regular file`);
  }

  read(most: number): Uint8Array {
    return readWhole(this.#fd, this.#path, most);
  }

  names(): string[] {
    return namesIn(this.#fd).sort();
  }

  open(name: string): Obeyed {
    return new Named(join(this.#path, name), "file");
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

class Walked implements Obeyed {
  readonly #walk: Walk;
  readonly #fd: number;
  readonly isDirectory: boolean;
  readonly mode: number;

  constructor(walk: Walk, wanted: Wanted) {
    this.#walk = walk;
    this.isDirectory = walk.isDirectory;
    this.mode = walk.mode;
    try {
      walk.refuse(wanted);
      this.#fd = walk.open();
    } catch (error) {
      walk[Symbol.dispose]();
      throw error;
    }
  }

  read(most: number): Uint8Array {
    return readWhole(this.#fd, this.#walk.path, most);
  }

  names(): string[] {
    return namesIn(this.#fd).sort();
  }

  open(name: string): Obeyed {
    return new Walked(this.#walk.next(name), "file");
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    this.#walk[Symbol.dispose]();
  }
}

function readWhole(fd: number, path: string, most: number): Uint8Array {
  const { size } = fstatSync(fd);
  if (size > most) throw new Error(`${path} is too large: ${size} bytes, at most ${most} are read`);
  return readFileSync(fd);
}
