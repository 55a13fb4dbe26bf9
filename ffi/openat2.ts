/** A handle on what a path names, with a say in which ways lead there: openat2(2). */
import { dlopen } from "bun:ffi";
import { errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  // syscall(2) is variadic; integers go the same way on x86_64 and aarch64. The C library has no openat2 before 2.42.
  syscall: { args: ["i64", "i32", "cstring", "ptr", "u64"], returns: "i64" },
});

/** Linux 5.6, the same number on every architecture. */
const SYS_OPENAT2 = 437n;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** For a path from the root, or from where the process is. */
export const AT_FDCWD = -100;

export const RESOLVE = {
  /** Not by what /proc has of a process, such as its root: it may have other mounts. */
  NO_MAGICLINKS: 0x02n,
  BENEATH: 0x08n,
} as const;

/** Filters of units and containers may not know openat2, or deny it as they cannot look into its arguments. */
export const NOT_KNOWN: readonly string[] = ["ENOSYS", "EPERM"];

/** struct open_how: flags, mode, resolve */
const how = BigUint64Array.of(BigInt(O_PATH | O_CLOEXEC), 0n, 0n);

/**
 * A handle (O_PATH): nothing is opened yet, so a FIFO or a device is not touched. Links are followed.
 * @param resolve of {@link RESOLVE}
 * @returns the descriptor, or the name of the errno
 */
export function handleOn(directory: number, path: string, resolve: bigint): number | string {
  how[2] = resolve;
  const fd = Number(libc.syscall(SYS_OPENAT2, directory, path, how, BigInt(how.byteLength)));
  return fd >= 0 ? fd : errnoAt(libc.__errno_location());
}
