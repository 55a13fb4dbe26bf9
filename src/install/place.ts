/** Puts files in place so that a power cut leaves the old or the new one, and nothing is written that is there already. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Content, InstalledFile } from "./files.ts";
import { inside } from "./inside.ts";

export type Placed = "installed" | "updated" | "unchanged" | "kept";

/** Ends the name of a file that is still being written, after the pid of who writes. */
const FRESH = ".spawnbox-new";
/** Of one that may be put back. */
const FORMER = ".spawnbox-old";

/** The directory is where links lead in there; the file itself may be a link, to be replaced or kept. */
export const placeOf = (file: InstalledFile, root: string): string =>
  join(inside(root, dirname(file.path)), basename(file.path));

/** Also a link to what is not there, such as a config on a file system that is mounted later. */
export const isThere = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Throws an Error that says what to do where the administrator wants none of it. */
export function refuseMasked(files: readonly InstalledFile[], root: string): void {
  for (const path of files.map((file) => placeOf(file, root)))
    if (isMasked(path))
      throw new Error(`${path} is masked: systemctl unmask ${basename(path)} first`);
}

/** @param root the directory that stands for `/`. Throws the error of the system. */
export function place(file: InstalledFile, root: string): Placed {
  const path = placeOf(file, root);
  const there = isThere(path);
  if (there && file.sample) return "kept";
  const content = file.content();
  // What is no file, such as a pipe, is not read.
  if (
    existsSync(path) &&
    statSync(path).isFile() &&
    isSame(path, content) &&
    (statSync(path).mode & 0o7777) === file.mode
  )
    return "unchanged";
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  removeLeftovers(dirname(path));
  const fresh = join(dirname(path), `.${process.pid}${FRESH}`);
  try {
    write(fresh, content, file.mode);
    renameSync(fresh, path);
  } catch (error) {
    // A failed write names no file.
    if (error instanceof Error && !error.message.includes(path)) error.message += ` ${path}`;
    throw error;
  } finally {
    rmSync(fresh, { force: true });
  }
  sync(dirname(path));
  return there ? "updated" : "installed";
}

/**
 * What is at the place of a file now, kept under another name too until the new one has proven itself. It takes no room while that
 * program runs.
 */
export class Former implements Disposable {
  readonly #path: string;
  readonly #kept: string;
  readonly #wasThere: boolean;
  /** Whether what is there now can be there again: nothing can, too. */
  readonly isKept: boolean;

  constructor(file: InstalledFile, root: string) {
    this.#path = placeOf(file, root);
    this.#kept = join(dirname(this.#path), `.${process.pid}.${basename(this.#path)}${FORMER}`);
    this.#wasThere = isThere(this.#path);
    this.isKept = !this.#wasThere || this.#keep();
  }

  #keep(): boolean {
    rmSync(this.#kept, { force: true });
    try {
      linkSync(this.#path, this.#kept);
      return true;
    } catch {
      // A file system without such names, or that cannot be written, which the installation will tell.
      return false;
    }
  }

  /** Only of one that is kept. */
  putBack(): void {
    if (this.#wasThere) renameSync(this.#kept, this.#path);
    else rmSync(this.#path, { force: true });
    if (existsSync(dirname(this.#path))) sync(dirname(this.#path));
  }

  [Symbol.dispose](): void {
    rmSync(this.#kept, { force: true });
  }
}

/**
 * All of it or nothing, and false then: the program and the init of early boot must be of one version.
 * @throws Error of the file system
 */
export function putBack(all: readonly Former[]): boolean {
  if (!all.every(({ isKept }) => isKept)) return false;
  for (const one of all) one.putBack();
  return true;
}

/** Whether it was there. A directory that is empty then goes too. */
export function remove(file: InstalledFile, root: string): boolean {
  const path = placeOf(file, root);
  // A mask is the administrator's.
  const there = isThere(path) && !isMasked(path);
  if (there) rmSync(path);
  const dir = dirname(path);
  removeLeftovers(dir);
  if (dir.endsWith("/spawnbox") && existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir);
  return there;
}

/** How an administrator says that a unit must not run, see systemctl(1). */
const isMasked = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true &&
  readlinkSync(path) === "/dev/null";

/** Of installations that a power cut or SIGKILL has ended: each may be as large as the executable. */
function removeLeftovers(dir: string): void {
  if (!existsSync(dir)) return;
  for (const name of readdirSync(dir)) {
    const [, pid] =
      name.endsWith(FRESH) || name.endsWith(FORMER) ? (/^\.(\d+)\./.exec(name) ?? []) : [];
    const isOver = pid === String(process.pid) ? name.endsWith(FRESH) : !existsSync(`/proc/${pid}`);
    if (pid !== undefined && isOver) rmSync(join(dir, name), { force: true });
  }
}

/** Bytes of a file that are in memory at a time: the executable is large, and a board small. */
const PIECE = 1 << 20;

/** One after the other, each valid until the next. */
function* piecesOf(content: Content): Generator<Uint8Array> {
  if (content instanceof Uint8Array) {
    yield content;
    return;
  }
  const fd = openSync(content.file, "r");
  try {
    const piece = Buffer.allocUnsafe(PIECE);
    for (let length = 1; length > 0;) {
      length = readSync(fd, piece, 0, PIECE, null);
      yield piece.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

/** @param path a file */
function isSame(path: string, content: Content): boolean {
  const size = content instanceof Uint8Array ? content.length : statSync(content.file).size;
  if (statSync(path).size !== size) return false;
  const fd = openSync(path, "r");
  const there = Buffer.allocUnsafe(Math.min(size, PIECE));
  try {
    for (const piece of piecesOf(content))
      for (let at = 0; at < piece.length;) {
        const length = readSync(fd, there, 0, Math.min(there.length, piece.length - at), null);
        if (length === 0) return false;
        if (!there.subarray(0, length).equals(piece.subarray(at, at + length))) return false;
        at += length;
      }
    return true;
  } finally {
    closeSync(fd);
  }
}

function write(path: string, content: Content, mode: number): void {
  const fd = openSync(path, "wx", mode);
  try {
    for (const piece of piecesOf(content))
      for (let offset = 0; offset < piece.length;) offset += writeSync(fd, piece, offset);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  // The umask has taken its part.
  chmodSync(path, mode);
}

function sync(dir: string): void {
  const fd = openSync(dir, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
