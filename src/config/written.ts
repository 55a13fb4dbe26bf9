/**
 * Places that root writes to at a path from a config or a command line. They may be in a directory of anybody, whose user decides
 * about what is there, and nowhere else: a link of theirs would lead root's writing to files that are not theirs.
 */
import { closeSync, constants, fstatSync } from "node:fs";
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
  const { nlink } = fstatSync(fd);
  if (target.isOwn || nlink <= 1) return fd;
  closeSync(fd);
  // Where fs.protected_hardlinks is off, any file of the same file system can be given a name there.
  throw new Error(`${path} has ${nlink} names, and others can give a file one there: remove it`);
}
