/**
 * The file of an audit, opened. What counts is more than for other files that the server writes: nobody else may be able to take
 * it away, put another in its place, or write into it.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  type Stats,
  writeSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { handleAt, openAt, renameAt } from "../../ffi/at.ts";
import { openDirectory } from "../../ffi/beneath.ts";
import { CError } from "../../ffi/errno.ts";
import { type Trust, Walk } from "../config/walk.ts";

/** For the server alone: who calls what is nobody else's business. */
const MODE = 0o600;
const WRITABLE_BY_OTHERS = 0o022;
const WRITABLE_BY_ALL = 0o002;
const APPENDED =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NONBLOCK |
  constants.O_NOCTTY;

export interface Kept {
  readonly fd: number;
  readonly stat: Stats;
}

interface Directory extends Disposable {
  readonly handle: number;
  readonly name: string;
}

/** @throws Error of open(2), or that says what others can change, and what to do */
function directoryOf(path: string, trust: Trust | undefined): Directory {
  const name = basename(path);
  if (trust === undefined) {
    const handle = openDirectory(dirname(path));
    return { handle, name, [Symbol.dispose]: () => closeSync(handle) };
  }
  const walk = Walk.to(dirname(path), trust);
  try {
    walk.refuse("file or directory");
  } catch (error) {
    walk[Symbol.dispose]();
    throw error;
  }
  return { handle: walk.handle, name, [Symbol.dispose]: () => walk[Symbol.dispose]() };
}

/**
 * Why a file there could be kept from giving way to the next: whoever may make files in its directory makes one, or a directory,
 * of the name that it is to get. Undefined where nobody else may.
 */
export function crowded(path: string, trust: Trust | undefined): string | undefined {
  const directory = dirname(path);
  using found = directoryOf(path, trust);
  const { mode } = fstatSync(found.handle);
  // Of an ordinary user's group others are mostly none. Where there is trust, it belongs to who has it.
  if ((mode & (trust ? WRITABLE_BY_OTHERS : WRITABLE_BY_ALL)) === 0) return undefined;
  return `others can make files in ${directory}, and so keep ${path} from giving way to another file`;
}

/**
 * Opens it, or makes it. Half a line at its end, of a server that was killed, gets its end.
 * @param trust who may be able to change it; undefined: the server's user does as the kernel lets it
 * @throws CError of open(2), or Error that says what others can change, and what to do
 */
export function openKept(path: string, trust: Trust | undefined): Kept {
  using directory = directoryOf(path, trust);
  const fd = openAt(directory.handle, directory.name, APPENDED, MODE, path);
  try {
    const stat = fstatSync(fd);
    if (trust) requireOwn(path, stat, trust);
    if (stat.isFile() && stat.size > 0 && !endsLine(fd, stat.size)) writeSync(fd, "\n");
    return { fd, stat: fstatSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Looks at what is there, without opening it: the reader of a FIFO does not meet a writer that goes again.
 * @returns whether it is a file, or is to be one
 * @throws as {@link openKept}
 */
export function lookAtKept(path: string, trust: Trust | undefined): boolean {
  using directory = directoryOf(path, trust);
  let handle: number;
  try {
    handle = handleAt(directory.handle, directory.name);
  } catch (error) {
    if (!(error instanceof CError && error.errno === "ENOENT")) throw error;
    requireWritable(dirname(path));
    return true;
  }
  try {
    const stat = fstatSync(handle);
    if (stat.isSymbolicLink()) throw new CError("open", path, "ELOOP");
    if (stat.isDirectory()) throw new CError("open", path, "EISDIR");
    if (trust) requireOwn(path, stat, trust);
    requireWritable(path);
    return stat.isFile();
  } finally {
    closeSync(handle);
  }
}

function requireWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "EACCES";
    throw new CError("open", path, code);
  }
}

function requireOwn(path: string, stat: Stats, { owners }: Trust): void {
  // Terminals and such belong to whoever is logged in.
  if (stat.isCharacterDevice()) return;
  if (!owners.includes(stat.uid))
    throw new Error(`${path} belongs to uid ${stat.uid}, who could change it: chown or remove it`);
  if ((stat.mode & WRITABLE_BY_OTHERS) !== 0)
    throw new Error(`${path} can be written by others than its owner: chmod go-w ${path}`);
  if (stat.nlink > 1) throw new Error(`${path} has ${stat.nlink} names: remove it`);
}

const NEWLINE = 0x0a;

/** Of a regular file, which is open already. One that may not be read is taken for one that does not: an empty line does no harm. */
function endsLine(fd: number, size: number): boolean {
  const last = Buffer.alloc(1);
  try {
    const reader = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
    try {
      return readSync(reader, last, 0, 1, size - 1) === 1 && last[0] === NEWLINE;
    } finally {
      closeSync(reader);
    }
  } catch (error) {
    if (error instanceof Error && "code" in error) return false;
    throw error;
  }
}

/**
 * Gives the file the name `PATH.1`, that one `PATH.2`, and so on; the last of `count` goes.
 * @throws CError of rename(2), or as {@link openKept}
 */
export function rotate(path: string, count: number, trust: Trust | undefined): void {
  using directory = directoryOf(path, trust);
  const { handle, name } = directory;
  const nameOf = (number: number): string => (number === 0 ? name : `${name}.${number}`);
  for (let number = count; number > 0; number--) {
    try {
      renameAt(handle, nameOf(number - 1), nameOf(number));
    } catch (error) {
      if (!(error instanceof CError && error.errno === "ENOENT")) throw error;
    }
  }
}
