/**
 * The C library, as far as the server needs it: one typed function per C function, errno turned into a {@link CError}.
 *
 * Nothing here forks: after a fork in this process only async-signal-safe code may run (see ffi/launcher).
 */
import { closeSync } from "node:fs";
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";
import { uint64 } from "./integer.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  memfd_create: { args: ["cstring", "u32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  // Variadic; what these say is all in the first two: prctl(2).
  prctl: { args: ["i32", "u64"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
  statvfs: { args: ["cstring", "ptr"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  prlimit: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
  isatty: { args: ["i32"], returns: "i32" },
  madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
});

const errno = (): string => errnoAt(libc.__errno_location());

function checked(result: number, call: string, what: string): number {
  if (result < 0) throw new CError(call, what, errno());
  return result;
}

const O_CLOEXEC = 0o2000000;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_EXEC = 0x10;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, SHRINK, GROW, WRITE: fcntl(2) */
const ALL_SEALS = 0xf;

/** A close-on-exec memfd, see memfd_create(2). `executable` asks for the exec bit on kernels that know the flag (6.3). */
export function memfdCreate(name: string, executable: boolean): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (executable) {
    const fd = libc.memfd_create(name, flags | MFD_EXEC);
    if (fd >= 0 || errno() !== "EINVAL") return checked(fd, "memfd_create", name);
  }
  return checked(libc.memfd_create(name, flags), "memfd_create", name);
}

/** No more writing, growing, shrinking or unsealing. */
export function sealMemfd(fd: number): void {
  checked(libc.fcntl(fd, F_ADD_SEALS, ALL_SEALS), "fcntl", "F_ADD_SEALS");
}

/** struct statvfs: eleven words and a reserve; f_flag is the tenth. */
const mounted = new BigUint64Array(16);
const FLAGS = 9;
const ST = { readonly: 1n, nosuid: 2n, nodev: 4n, noexec: 8n } as const;

/** What the mount that a path lies on does not let anybody do: statvfs(3). All false where it cannot be told. */
export function mountFlags(path: string): Record<keyof typeof ST, boolean> {
  const flags = libc.statvfs(path, mounted) === 0 ? (mounted[FLAGS] ?? 0n) : 0n;
  const has = (bit: bigint) => (flags & bit) !== 0n;
  return {
    ...{ readonly: has(ST.readonly), nosuid: has(ST.nosuid) },
    ...{ nodev: has(ST.nodev), noexec: has(ST.noexec) },
  };
}

const ends = new Int32Array(2);

/** A close-on-exec pipe as [read end, write end], see pipe2(2). */
export function pipe(): [number, number] {
  checked(libc.pipe2(ends, O_CLOEXEC), "pipe2", "");
  return [ends[0] ?? -1, ends[1] ?? -1];
}

const POLLIN = 1;
const POLLPRI = 2;
const POLLOUT = 4;
/** struct pollfd { int fd; short events, revents } */
const polled = new Int32Array(2);

/** @param wait ms, for which nothing else of this process goes on */
function happened(fd: number, events: number, wait = 0): boolean {
  const end = performance.now() + wait;
  for (let left = wait; ; left = Math.max(0, Math.ceil(end - performance.now()))) {
    polled.set([fd, events]);
    const count = libc.poll(polled, 1n, left);
    // A signal, such as that of a profiler: poll(2) is not started over, also where it would not have waited.
    if (count >= 0 || errno() !== "EINTR") return checked(count, "poll", `fd ${fd}`) > 0;
  }
}

/** Whether a read would not wait: something is there, or the end. See poll(2). */
export const isReadable = (fd: number): boolean => happened(fd, POLLIN);

/** Whether a write of up to PIPE_BUF (4096) bytes would not wait, or fail at once. See poll(2) and pipe(7). */
export const isWritable = (fd: number): boolean => happened(fd, POLLOUT);

/** Whether the other end of a socket or pipe is gone, or it has failed: POLLHUP and POLLERR of poll(2), which are always told. */
export const isHungUp = (fd: number): boolean => happened(fd, 0);

/** Whether the other end of a pipe is gone before this many ms are over; all of this process waits for it. */
export const closesWithin = (fd: number, ms: number): boolean => happened(fd, 0, ms);

/** Whether the mount table has changed since the last look, or since its file was opened: mountinfo of proc_pid_mountinfo(5). */
export const haveMountsChanged = (mountinfo: number): boolean => happened(mountinfo, POLLPRI);

/** isatty(3); that of `node:tty` takes a third of a start to be there. */
export const isTerminal = (fd: number): boolean => libc.isatty(fd) === 1;

const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** From here on a write that would wait fails with EAGAIN. Everyone who shares this open file is concerned: F_SETFL of fcntl(2). */
export function setNonBlocking(fd: number): void {
  checked(libc.fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl", "F_SETFL");
}

const F_DUPFD_CLOEXEC = 1030;

/** The same open file by another number, close-on-exec. @throws CError */
export const copyFd = (fd: number): number =>
  checked(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl", "F_DUPFD_CLOEXEC");

/** The stdio of a child takes lower numbers before it executes. */
const LOW_FDS = 16;

/** The same open file at the lowest free number beyond those; the old number is closed. See fcntl(2). @throws CError */
export function moveFd(fd: number): number {
  const moved = checked(libc.fcntl(fd, F_DUPFD_CLOEXEC, LOW_FDS), "fcntl", "F_DUPFD_CLOEXEC");
  closeSync(fd);
  return moved;
}

const PR_SET_DUMPABLE = 4;

/** Nobody of the same user can trace this process any more, or read its memory: PR_SET_DUMPABLE of prctl(2), ptrace(2). */
export function setUndumpable(): void {
  checked(libc.prctl(PR_SET_DUMPABLE, 0n), "prctl", "PR_SET_DUMPABLE");
}

const RLIMIT_NPROC = 6;
/** struct rlimit: the soft limit and the hard one; all bits: none. */
const limits = new BigUint64Array(2);

/** How many processes and threads the user of this process may have, soft and hard; 2^64 - 1: any. See getrlimit(2). @throws CError */
export function processLimits(): [soft: bigint, hard: bigint] {
  checked(libc.prlimit(0, RLIMIT_NPROC, null, limits), "prlimit", "RLIMIT_NPROC");
  const [soft = 0n, hard = 0n] = limits;
  return [soft, hard];
}

/** The soft one; the hard one stays. @throws CError */
export function setProcessLimit(soft: bigint): void {
  const [, hard] = processLimits();
  limits.set([uint64(soft), hard]);
  checked(libc.prlimit(0, RLIMIT_NPROC, limits, null), "prlimit", "RLIMIT_NPROC");
}

const MADV_DONTNEED = 4;

/**
 * Pages of a file, which come back from there when they are touched; what was written to them is lost: MADV_DONTNEED of
 * madvise(2). @throws CError
 */
export function unmapPages(address: bigint, bytes: bigint): void {
  checked(libc.madvise(address, bytes, MADV_DONTNEED), "madvise", "MADV_DONTNEED");
}
