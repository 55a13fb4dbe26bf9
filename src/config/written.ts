/**
 * Places that root writes to at a path from a config or a command line. They may be in a directory of anybody, whose user decides
 * about what is there, and nowhere else: a link of theirs would lead root's writing to files that are not theirs.
 */
import { closeSync, constants, fstatSync, lstatSync } from "node:fs";
import { basename, dirname } from "node:path";
import { openAt } from "../../ffi/at.ts";
import { openDirectory } from "../../ffi/beneath.ts";
import type { Trust } from "./walk.ts";
import { Walk } from "./walk.ts";

export interface Target extends Disposable {
  /** A handle of the directory. */
  readonly directory: number;
  /** In it. */
  readonly name: string;
  /** Nobody else can put anything there. */
  readonly isOwn: boolean;
}

/**
 * Where a file is to be written; the name itself is not looked at.
 * @param trust undefined: links of others are followed as the kernel does
 * @throws Error of open(2), or that names the link which is not followed
 */
export function targetOf(path: string, trust: Trust | undefined): Target {
  const name = basename(path);
  if (trust === undefined) {
    const directory = openDirectory(dirname(path));
    return { directory, name, isOwn: true, [Symbol.dispose]: () => closeSync(directory) };
  }
  const walk = Walk.to(dirname(path), trust);
  return {
    directory: walk.handle,
    name,
    isOwn: walk.isOwn,
    [Symbol.dispose]: () => walk[Symbol.dispose](),
  };
}

const APPENDED =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NONBLOCK |
  constants.O_NOCTTY;

/**
 * A file to append to, made when it is not there. A link at its name is not followed, so that a command which can write there
 * does not redirect the server's writes; a FIFO without reader or a terminal must neither hang nor adopt the server.
 * @throws Error of open(2), or naming what is not followed
 */
export function openAppended(path: string, mode: number, trust: Trust | undefined): number {
  using target = targetOf(path, trust);
  const fd = openAt(target.directory, target.name, APPENDED, mode, path);
  if (target.isOwn) return fd;
  const fault = faultOf(fd, target);
  if (fault === undefined) return fd;
  closeSync(fd);
  throw new Error(`${path} ${fault}`);
}

/** So many looks, each of which somebody would have to deceive who takes the name of a file away at once, and gives it again. */
const LOOKS = 8;

/**
 * What is wrong with an open file in a directory of others. Where fs.protected_hardlinks is off, any file of the same file system can
 * be given a name there; and the count of names says nothing where that was taken away meanwhile. So the name is looked up and its
 * file's names are counted in one call.
 */
function faultOf(fd: number, { directory, name }: Target): string | undefined {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const look = (at: string) =>
    lstatSync(`/proc/self/fd/${directory}/${at}`, { bigint: true, throwIfNoEntry: false });
  for (let looks = 0; looks < LOOKS; looks++) {
    // A name that the kernel does not know it looks for when nobody is just changing the directory: unlink(2) counts first.
    look(`.${crypto.randomUUID()}`);
    const found = look(name);
    if (found?.dev !== dev || found.ino !== ino)
      return "was replaced while it was opened: try again";
    if (found.nlink > 1n)
      return `has ${found.nlink} names, and others can give a file one there: remove it`;
  }
  return undefined;
}
