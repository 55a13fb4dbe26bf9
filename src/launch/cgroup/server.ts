/**
 * The group of one server below `spawnbox`, and those that crashed servers left behind.
 *
 * A living server holds the lock (flock(2)) of its group's directory: unlike a pid, that cannot be mistaken across reboots, reused
 * numbers or pid namespaces, and the kernel drops it with the server, however it dies.
 */
import { closeSync, type Dirent, fstatSync, openSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CError } from "../../../ffi/errno.ts";
import { tryLock } from "../../../ffi/files.ts";
import { errnoOf, makeGroups } from "./files.ts";
import { notMade } from "./made.ts";
import { CgroupUnavailable, LEAF } from "./place.ts";
import { endTree, killTree, tryRemove } from "./tree.ts";

/** How long the dead of a crashed server are waited for, ms. */
const PATIENCE = 5_000;
/** Groups of crashed servers that are held at a time: a server that ends again and again may have left more than there are descriptors. */
const AT_ONCE = 100;

export interface ServerGroup {
  readonly path: string;
  /** The lock. */
  readonly fd: number;
}

/** Makes and locks the group of this server. @throws CgroupUnavailable */
export function makeServerGroup(parent: string): ServerGroup {
  const name = `${process.pid}-${Buffer.from(crypto.getRandomValues(new Uint8Array(4))).toString("hex")}`;
  return lockedAt(join(parent, name));
}

/** The one that is there, or the same anew where others have removed it: they may while nothing is in it. @throws CgroupUnavailable */
export function keptServerGroup(group: ServerGroup): ServerGroup {
  if (isStill(group.path, group.fd)) return group;
  const made = lockedAt(group.path);
  closeSync(group.fd);
  return made;
}

function lockedAt(path: string): ServerGroup {
  for (;;) {
    try {
      // With its parent, which a server that ends at this moment removes.
      makeGroups(path);
    } catch (error) {
      throw notMade(path, errnoOf(error));
    }
    const fd = opened(path);
    if (fd === undefined) continue;
    try {
      // Before the lock is taken, a server that starts at this moment may take the group for a leftover and remove it.
      if (tryLock(fd) && isStill(path, fd)) return { path, fd };
    } catch (error) {
      closeSync(fd);
      tryRemove(path);
      if (!(error instanceof CError)) throw error;
      throw new CgroupUnavailable(
        `cannot lock ${path}: ${error.errno}: a seccomp filter around the server denies flock(2)`,
      );
    }
    closeSync(fd);
  }
}

/** undefined when it is gone. */
function opened(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return undefined;
  }
}

function isStill(path: string, fd: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}

/** Kills what crashed servers left running, and removes their groups. @returns those that could not be removed, with the reason */
export async function removeLeftovers(parent: string): Promise<string[]> {
  const remaining: string[] = [];
  const all = entriesOf(parent)
    .filter((entry) => entry.isDirectory() && entry.name !== LEAF)
    .map(({ name }) => join(parent, name));
  while (all.length > 0) remaining.push(...(await removeSome(all.splice(-AT_ONCE))));
  return remaining;
}

async function removeSome(paths: readonly string[]): Promise<string[]> {
  const dead: { path: string; fd: number }[] = [];
  const remaining: string[] = [];
  for (const path of paths) {
    try {
      const fd = openSync(path, "r");
      if (!locked(fd)) continue;
      dead.push({ path, fd });
      killTree(path);
    } catch (error) {
      const errno = error instanceof CError ? error.errno : errnoOf(error);
      if (errno !== "ENOENT") remaining.push(`${path}: ${errno}`);
    }
  }
  await Promise.all(
    dead.map(async ({ path, fd }) => {
      try {
        if (!(await endTree(path, PATIENCE))) remaining.push(`${path}: its processes do not die`);
      } catch (error) {
        remaining.push(`${path}: ${errnoOf(error)}`);
      } finally {
        closeSync(fd);
      }
    }),
  );
  return remaining;
}

/** None where a server that has just ended has removed it, or one of somebody else has made it: there is nothing of ours then. */
function entriesOf(parent: string): Dirent[] {
  try {
    return readdirSync(parent, { withFileTypes: true });
  } catch (error) {
    if (!["ENOENT", "EACCES"].includes(errnoOf(error))) throw error;
    return [];
  }
}

/** Whether nobody living holds it; closed otherwise. */
function locked(fd: number): boolean {
  let free = false;
  try {
    free = tryLock(fd);
  } finally {
    if (!free) closeSync(fd);
  }
  return free;
}
