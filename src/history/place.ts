/** Where the file of a history is: made where it is not there, and readable to nobody but the server's user. */
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  realpathSync,
  statSync,
} from "node:fs";
import { openAt } from "../../ffi/at.ts";
import { errnoBehind } from "../../ffi/errno.ts";
import { trustOf } from "../config/trust.ts";
import { type Trust, Walk } from "../config/walk.ts";
import { type Target, targetOf } from "../config/written.ts";
import { dirname, join } from "node:path";

const MODE = 0o600;
const OTHERS = 0o077;
const WRITABLE_BY_ALL = 0o002;

/**
 * The path without links. Root's history is a file that nobody else can change or put another one in the place of: the links on the
 * way are followed where they are of root or the server's user.
 * @throws Error that says what to do
 */
export function placeOf(path: string, uid: number): string {
  const trust = trustOf(uid, "mine only");
  using found = isThere(path) ? existing(path, trust) : made(path, trust);
  const fd = openAt(
    found.directory,
    found.name,
    constants.O_RDONLY | constants.O_NONBLOCK,
    0,
    path,
  );
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error("is no regular file");
    if ((stat.mode & OTHERS) !== 0) fchmodSync(fd, MODE);
  } finally {
    closeSync(fd);
  }
  return found.path;
}

/** The same before a start, without making anything. @throws Error that says what to do */
export function lookAtPlace(path: string, uid: number): void {
  const trust = trustOf(uid, "mine only");
  if (isThere(path)) {
    using found = existing(path, trust);
    if (!statSync(found.path).isFile()) throw new Error("is no regular file");
    accessSync(found.path, constants.R_OK | constants.W_OK);
    return;
  }
  requireNoLink(path);
  using _ = within(path, trust);
  accessSync(dirname(path), constants.W_OK);
}

const isThere = (path: string): boolean => {
  try {
    realpathSync(path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
};

interface Found extends Disposable {
  readonly path: string;
  readonly directory: number;
  readonly name: string;
}

/** The path of a file that is there, without links. */
function existing(path: string, trust: Trust | undefined): Found {
  const plain = trust ? walked(path, trust) : realpathSync(path);
  return { ...within(plain, trust), path: plain };
}

function walked(path: string, trust: Trust): string {
  using walk = Walk.to(path, trust);
  walk.refuse("file");
  return walk.path;
}

function made(path: string, trust: Trust | undefined): Found {
  requireNoLink(path);
  const found = within(path, trust);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  try {
    closeSync(openAt(found.directory, found.name, flags, MODE, path));
    return { ...found, path: join(realpathSync(dirname(path)), found.name) };
  } catch (error) {
    // It is tried again for as long as the server runs.
    found[Symbol.dispose]();
    throw error;
  }
}

function requireNoLink(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }))
    throw new Error("is a link to a file that is not there: make that, or remove the link");
}

function within(path: string, trust: Trust | undefined): Omit<Found, "path"> {
  const target = targetIn(path, trust);
  // SQLite takes what lies beside it for its own, also of an ordinary user.
  if (!target.isOwn || (fstatSync(target.directory).mode & WRITABLE_BY_ALL) !== 0) {
    target[Symbol.dispose]();
    const own = trust ? "root's" : "its";
    throw new Error(`others can put files into ${dirname(path)}: choose a directory of ${own} own`);
  }
  const { directory, name } = target;
  return { directory, name, [Symbol.dispose]: () => target[Symbol.dispose]() };
}

function targetIn(path: string, trust: Trust | undefined): Target {
  try {
    return targetOf(path, trust);
  } catch (error) {
    if (errnoBehind(error) !== "ENOENT") throw error;
    const directory = dirname(path);
    throw new Error(`there is no directory ${directory}: make it first (ENOENT)`, { cause: error });
  }
}
