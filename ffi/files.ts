/** What node:fs lacks and the groups of cgroup v2 need: a lock that dies with its holder, and extended attributes. */
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  getxattr: { args: ["cstring", "cstring", "ptr", "u64"], returns: "i64" },
});

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes the exclusive lock of an open file or directory, see flock(2); false when another open description holds it. Throws CError. */
export function tryLock(fd: number): boolean {
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = errnoAt(libc.__errno_location());
  // EWOULDBLOCK by its usual name.
  if (errno === "EAGAIN") return false;
  throw new CError("flock", "", errno);
}

/** Text of an extended attribute, see getxattr(2); undefined when there is none, or it may not be read. */
export function xattr(path: string, name: string): string | undefined {
  const value = new Uint8Array(256);
  const length = Number(libc.getxattr(path, name, value, BigInt(value.length)));
  return length < 0 ? undefined : new TextDecoder().decode(value.subarray(0, length));
}

/**
 * Whether a file has no access control list, on a file system that has such lists: acl(5), getxattr(2). false where that is not
 * known, as on one of a network, or of a process, which decides by itself.
 */
export function hasOnlyMode(path: string): boolean {
  const length = libc.getxattr(path, "system.posix_acl_access", null, 0n);
  return length < 0n && errnoAt(libc.__errno_location()) === "ENODATA";
}
