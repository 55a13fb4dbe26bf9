/** The file of a unix socket: who may connect, and what a dead server left behind. */
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  renameSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { handleAt } from "../../ffi/at.ts";
import { openDirectory } from "../../ffi/beneath.ts";
import { net } from "../late.ts";
import type { Listens } from "./listen.ts";

export const DEFAULT_MODE = 0o660;
/** sun_path without its NUL, see unix(7). */
const PATH_BYTES = 107;

const NO_SOCKETS = "its file system takes no sockets, as vfat does not: use a path in /run";
/** What to do where it is not for want of a directory, see bind(2). */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ...["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENXIO"].map((code) => [code, NO_SOCKETS] as const),
  ["EROFS", "its file system is read-only: use a path in /run"],
  ["ENOSPC", "its file system is full, or has no more inodes: make room, or use a path in /run"],
  ["EDQUOT", "the disk quota of this user is used up: make room, or use a path in /run"],
]);

/**
 * Listens on `path`, which is there when `server.listen` returns. Throws an Error that says what to do. The file goes when the server
 * closes: by {@link closeUnix}.
 */
export async function listenUnix(
  server: Listens<{ path: string }>,
  path: string,
  mode = DEFAULT_MODE,
): Promise<void> {
  if (Buffer.byteLength(path) > PATH_BYTES) {
    throw new Error(`cannot listen on ${path}: a socket path has at most ${PATH_BYTES} bytes`);
  }
  await removeStale(path);
  // Connecting takes write permission: nobody must have it between bind and chmod who does not get it.
  const before = process.umask(0o777 & ~mode);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path }, () => {
        server.off("error", reject);
        resolve();
      });
      process.umask(before);
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const advice = ADVICE.get(code) ?? "its directory must exist and be writable for this user";
    const told = code === "" ? "" : ` (${code})`;
    throw new Error(`cannot listen on ${path}: ${advice}${told}`, { cause: error });
  } finally {
    process.umask(before);
  }
  files.set(server, { path, stat: setMode(path, mode) });
}

/** What each server listens by. */
const files = new WeakMap<object, { readonly path: string; readonly stat: BigIntStats }>();

/**
 * Closes a server, on a path or anywhere. The runtime removes the file by its name, which may be another server's by now, whose
 * clients would find nothing any more: it is out of the way meanwhile.
 */
export function closeUnix(server: object, close: () => void): void {
  const own = files.get(server);
  const there = own && lstatSync(own.path, { bigint: true, throwIfNoEntry: false });
  if (!there || (there.ino === own.stat.ino && there.dev === own.stat.dev)) return close();
  const aside = `${own.path}.${crypto.randomUUID()}`;
  try {
    renameSync(own.path, aside);
  } catch (error) {
    // Then the runtime may not remove it either.
    if (!(error instanceof Error && "code" in error)) throw error;
    return close();
  }
  try {
    close();
  } finally {
    renameSync(aside, own.path);
  }
}

/** Default ACLs of a directory, acl(5), count instead of the umask. By what is there, not by its name: another may have it by now. */
function setMode(path: string, mode: number): BigIntStats {
  const directory = openDirectory(dirname(path));
  try {
    const handle = handleAt(directory, basename(path));
    try {
      const stat = fstatSync(handle, { bigint: true });
      if (!stat.isSocket() || Number(stat.uid) !== process.geteuid?.())
        throw new Error(`cannot listen on ${path}: somebody has put another file there`);
      if ((Number(stat.mode) & 0o7777) !== mode) chmodSync(`/proc/self/fd/${handle}`, mode);
      return stat;
    } finally {
      closeSync(handle);
    }
  } finally {
    closeSync(directory);
  }
}

/** Removes the socket of a server that is no more; a live one, or a file that is no socket, is refused. */
async function removeStale(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there) return;
  if (!there.isSocket()) {
    throw new Error(`cannot listen on ${path}: a file that is no socket is there; remove it`);
  }
  const code = await tryConnect(path);
  if (code === "connected") {
    throw new Error(`cannot listen on ${path}: another server does; stop it, or use another path`);
  }
  if (code !== "ECONNREFUSED") {
    throw new Error(`cannot listen on ${path}: a socket is there that cannot be probed (${code})`);
  }
  unlinkSync(path);
}

function tryConnect(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = net().connect({ path }, () => {
      socket.destroy();
      resolve("connected");
    });
    socket.on("error", (error) => resolve("code" in error ? String(error.code) : error.message));
  });
}
