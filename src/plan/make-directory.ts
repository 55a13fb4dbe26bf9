/** A directory that a config has made for its commands: theirs, and no link of anybody leads it elsewhere. See mkdirat(2). */
import { accessSync, closeSync, constants, fchmodSync, fchownSync } from "node:fs";
import { posix } from "node:path";
import { mkdirAt, openAt } from "../../ffi/at.ts";
import { openDirectory } from "../../ffi/beneath.ts";
import { CError } from "../../ffi/errno.ts";
import type { HostFiles } from "./view.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const ON_THE_WAY = 0o755;
/** Of the end: what its commands keep there is nobody else's. */
const OWN = 0o750;

/** Makes `path`, which is absolute, and what is missing above it; only the end is the owner's. What is there stays as it is. */
export function makeDirectory(path: string, owner: Owner | undefined): void {
  const parts = path.split("/").filter((part) => part !== "");
  let at = openDirectory("/");
  try {
    for (const [i, part] of parts.entries()) {
      const last = i === parts.length - 1;
      const made = make(at, part, last ? OWN : ON_THE_WAY);
      const flags = constants.O_RDONLY | constants.O_DIRECTORY;
      const next = openAt(at, part, flags, 0, `/${parts.slice(0, i + 1).join("/")}`);
      closeSync(at);
      at = next;
      if (!made) continue;
      if (last && owner) fchownSync(at, owner.uid, owner.gid);
      // Whatever the umask.
      fchmodSync(at, last ? OWN : ON_THE_WAY);
    }
  } finally {
    closeSync(at);
  }
}

function make(directory: number, name: string, mode: number): boolean {
  try {
    mkdirAt(directory, name, mode);
    return true;
  } catch (error) {
    if (error instanceof CError && error.errno === "EEXIST") return false;
    throw error;
  }
}

/** As mkdir(2) would. */
function requireWritable(directory: string, path: string): void {
  try {
    // The `/` makes it ENOTDIR where it is none.
    accessSync(`${directory}/`, constants.W_OK | constants.X_OK);
  } catch (error) {
    const errno = error instanceof Error && "code" in error ? error.code : String(error);
    throw new Error(`${path} cannot be made: ${directory}: ${errno}`, { cause: error });
  }
}

/** Of a machine what sees and makes directories. */
interface Imagined {
  readonly files: HostFiles;
  mkdir(path: string, owner: Owner | undefined): void;
}

/** For who only looks: nothing is made, and what would have been is seen as if it were there. It has to be possible, though. */
export function imagined(files: HostFiles): Imagined {
  const made = new Map<string, NonNullable<ReturnType<HostFiles["lookup"]>>>();
  const self = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const add = (path: string, { uid, gid }: Owner, mode: number) =>
    made.set(path, {
      ...{ kind: "dir", executable: true, owner: uid, group: gid, mode, open: false },
      rootsOnly: uid === 0,
    });
  return {
    mkdir: (path, owner = self) => {
      const missing = [];
      let above = path;
      for (; !made.has(above) && !files.lookup(above); above = posix.dirname(above))
        missing.push(above);
      if (!made.has(above)) requireWritable(above, path);
      for (const one of missing)
        if (one === path) add(one, owner, OWN);
        else add(one, self, ON_THE_WAY);
    },
    files: { ...files, lookup: (path) => files.lookup(path) ?? made.get(path) },
  };
}
