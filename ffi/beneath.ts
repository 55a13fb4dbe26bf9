/** Opening what lies below a directory and nothing else, whatever is renamed or linked meanwhile: openat2(2), or step by step. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { openAt, readLink } from "./at.ts";
import { CError } from "./errno.ts";
import { handleOn, NOT_KNOWN, RESOLVE } from "./openat2.ts";

const O_PATH = 0o10000000;

/** The name leads nowhere, or to a place that is not below: for who asks there is no difference. */
const NOT_THERE = ["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "EXDEV", "ENAMETOOLONG", "EAGAIN"];
/** EAGAIN: a rename was under way, so that the kernel could not tell whether `..` stays below. */
const TRIES = 4;
/** As the kernel's, path_resolution(7). */
const MOST_LINKS = 40;

/** A handle (O_PATH) on a directory, which stays the same when its name is given to another. Throws what open(2) says. */
export function openDirectory(path: string): number {
  return openSync(path, O_PATH | constants.O_DIRECTORY);
}

/**
 * A handle (O_PATH) on what `path` names: nothing is opened yet, so a FIFO or a device is not touched. Links are followed
 * as long as they stay below. undefined when nothing is there. Throws CError.
 */
export function openBeneath(directory: number, path: string): number | undefined {
  let name = "";
  for (let i = 0; i < TRIES && (name === "" || name === "EAGAIN"); i++) {
    const handle = handleOn(directory, path, RESOLVE.NO_MAGICLINKS | RESOLVE.BENEATH);
    if (typeof handle === "number") return handle;
    name = handle;
  }
  if (NOT_KNOWN.includes(name)) return walkBeneath(directory, path);
  if (NOT_THERE.includes(name)) return undefined;
  throw new CError("openat2", path, name);
}

/**
 * The same with a handle for each step, taken on that of the last. `..` goes back to the handle that the walk came from, so it leads
 * nowhere else when a directory is moved meanwhile, and not above the first.
 */
export function walkBeneath(directory: number, path: string): number | undefined {
  const way: number[] = [];
  const here = () => way.at(-1) ?? directory;
  const ahead = path.split("/");
  let links = 0;
  try {
    if (path.startsWith("/")) return undefined;
    for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      if (name === ".." && (way.length === 0 || !fstatSync(here()).isDirectory())) return undefined;
      if (name === "..") closeSync(way.pop() ?? -1);
      if (name === "" || name === "." || name === "..") continue;
      const handle = openAt(here(), name, O_PATH, 0, path);
      way.push(handle);
      if (!fstatSync(handle).isSymbolicLink()) continue;
      const target = readLink(handle);
      closeSync(way.pop() ?? -1);
      links++;
      if (target === undefined || target.startsWith("/") || links > MOST_LINKS) return undefined;
      ahead.unshift(...target.split("/"));
    }
    return way.pop() ?? openAt(directory, ".", O_PATH | constants.O_DIRECTORY, 0, path);
  } catch (error) {
    if (error instanceof CError && NOT_THERE.includes(error.errno)) return undefined;
    throw error;
  } finally {
    for (const handle of way) closeSync(handle);
  }
}

/** The file of a handle, opened for reading. */
export function openHandle(handle: number): number {
  return openSync(`/proc/self/fd/${handle}`, "r");
}
