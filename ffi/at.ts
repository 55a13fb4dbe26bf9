/** Looking at a path one step at a time: openat(2), readlinkat(2), fstatfs(2), getdents64(2). Nothing here follows a link. */
import { constants } from "node:fs";
import { dlopen, ptr } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  // Variadic; integers go the same way on x86_64 and aarch64.
  openat: { args: ["i32", "cstring", "i32", "u32"], returns: "i32" },
  syscall: { args: ["i64", "i32", "ptr", "u64"], returns: "i64" },
  readlinkat: { args: ["i32", "cstring", "ptr", "u64"], returns: "i64" },
  fstatfs: { args: ["i32", "ptr"], returns: "i32" },
  renameat: { args: ["i32", "cstring", "i32", "cstring"], returns: "i32" },
  mkdirat: { args: ["i32", "cstring", "u32"], returns: "i32" },
  unlinkat: { args: ["i32", "cstring", "i32"], returns: "i32" },
});

const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const { O_DIRECTORY, O_NOFOLLOW } = constants;

function checked(result: number | bigint, call: string, name: string): number {
  if (result >= 0) return Number(result);
  throw new CError(call, name, errnoAt(libc.__errno_location()));
}

/** A descriptor of `name` in a directory, close-on-exec; of a link: ELOOP. Throws CError about `path`. */
export function openAt(
  directory: number,
  name: string,
  flags: number,
  mode = 0,
  path = name,
): number {
  const all = flags | O_NOFOLLOW | O_CLOEXEC;
  return checked(libc.openat(directory, name, all, mode), "open", path);
}

/**
 * A handle (O_PATH) on `name` in a directory, also where it is a link: nothing is opened, so a FIFO or a device is not touched.
 * What is mounted on demand is. Throws CError.
 */
export function handleAt(directory: number, name: string): number {
  try {
    // A directory that is asked for as one is mounted by autofs(5) first.
    return openAt(directory, name, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (!(error instanceof CError && error.errno === "ENOTDIR")) throw error;
    return openAt(directory, name, O_PATH);
  }
}

/** PATH_MAX of the kernel, with its NUL. */
const LONGEST = 4096;

/** Where the link of a handle leads; undefined when that is no text. Throws CError. */
export function readLink(handle: number): string | undefined {
  const target = new Uint8Array(LONGEST);
  const length = checked(
    libc.readlinkat(handle, "", target, BigInt(target.length)),
    "readlink",
    "",
  );
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      target.subarray(0, length),
    );
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

export interface FileSystem {
  /** Its number, as in statfs(2). */
  readonly type: number;
  /** Its size in blocks: 0 for those that have none. */
  readonly blocks: bigint;
}

/** What holds the file of a descriptor or handle. Throws CError. */
export function fileSystemOf(fd: number): FileSystem {
  // struct statfs: f_type, f_bsize, f_blocks, …: 120 bytes where a word has 64 bits.
  const found = new BigUint64Array(15);
  checked(libc.fstatfs(fd, found), "fstatfs", "");
  return { type: Number(BigInt.asUintN(32, found[0] ?? 0n)), blocks: found[2] ?? 0n };
}

const SYS_GETDENTS64 = process.arch === "arm64" ? 61n : 217n;
/** Of struct linux_dirent64: ino (8), off (8), reclen (2), type (1), name. */
const RECLEN = 16;
const NAME = 19;

/** The names in an open directory, in the order of the file system, without `.` and `..`. Throws CError. */
export function namesIn(directory: number): string[] {
  const names: string[] = [];
  const buffer = new Uint8Array(32 * 1024);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const size = BigInt(buffer.length);
    const length = checked(
      libc.syscall(SYS_GETDENTS64, directory, ptr(buffer), size),
      "getdents64",
      "",
    );
    if (length === 0) return names.filter((name) => name !== "." && name !== "..");
    for (let at = 0; at < length; at += view.getUint16(at + RECLEN, true)) {
      const end = buffer.indexOf(0, at + NAME);
      names.push(new TextDecoder().decode(buffer.subarray(at + NAME, end)));
    }
  }
}

/** Gives a file of a directory another name there, which replaces what has it. See rename(2); throws CError. */
export function renameAt(directory: number, from: string, to: string): void {
  checked(libc.renameat(directory, from, directory, to), "rename", to);
}

/** Makes a directory, of a mode less the umask. See mkdir(2); throws CError. */
export function mkdirAt(directory: number, name: string, mode: number): void {
  checked(libc.mkdirat(directory, name, mode), "mkdir", name);
}

/** Removes a name that is no directory's. See unlink(2); throws CError. */
export function unlinkAt(directory: number, name: string): void {
  checked(libc.unlinkat(directory, name, 0), "unlink", name);
}
