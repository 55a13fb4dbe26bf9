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

/** Capabilities of a file, as capabilities(7) has them: bit N is capability N. */
export interface FileCapabilities {
  readonly permitted: bigint;
  /** The kernel executes it only where all that is permitted can be given: the program itself asks for none. */
  readonly effective: boolean;
}

const EFFECTIVE = 1;
/** VFS_CAP_REVISION_3: for the root of a user namespace that is not this one's, as the kernel tells others as of revision 2. */
const OF_ANOTHER_ROOT = 3;

/**
 * Those of a file; undefined when it has none here, or they may not be read. It is vfs_cap_data of linux/capability.h,
 * little-endian.
 */
export function fileCapabilities(path: string): FileCapabilities | undefined {
  const value = new Uint8Array(64);
  const length = Number(libc.getxattr(path, "security.capability", value, BigInt(value.length)));
  // Magic and flags, then permitted and inheritable of 32 capabilities; from revision 2 on of 32 more.
  if (length < 12) return undefined;
  const view = new DataView(value.buffer);
  if (view.getUint8(3) === OF_ANOTHER_ROOT) return undefined;
  const high = length < 20 ? 0 : view.getUint32(12, true);
  return {
    permitted: (BigInt(high) << 32n) | BigInt(view.getUint32(4, true)),
    effective: (view.getUint32(0, true) & EFFECTIVE) !== 0,
  };
}

/**
 * Whether a file has no access control list, on a file system that has such lists: acl(5), getxattr(2). false where that is not
 * known, as on one of a network, or of a process, which decides by itself.
 */
export function hasOnlyMode(path: string): boolean {
  const length = libc.getxattr(path, "system.posix_acl_access", null, 0n);
  return length < 0n && errnoAt(libc.__errno_location()) === "ENODATA";
}
