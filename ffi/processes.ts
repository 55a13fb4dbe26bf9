/** Descriptors of another process, see pidfd_open(2) and pidfd_getfd(2) (Linux 5.6), and putting one in the place of another. */
import { dlopen, read } from "bun:ffi";
import { CError, errnoName } from "./errno.ts";
import { pointer } from "./pointer.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  // The wrappers are younger than the C libraries that boards have.
  syscall: { args: ["i64", "i64", "i64", "i64"], returns: "i64" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
});

/** The same on every architecture. */
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

function checked(result: number, call: string, what: string): number {
  if (result >= 0) return result;
  const place = pointer(libc.__errno_location());
  throw new CError(call, what, place === null ? "" : errnoName(read.i32(place)));
}

/** Copies of descriptors of a process that this one might trace, close-on-exec. All or none. Throws CError. */
export function takeDescriptors(pid: number, fds: readonly number[]): number[] {
  const open = Number(libc.syscall(SYS_PIDFD_OPEN, pid, 0, 0));
  const process = checked(open, "pidfd_open", `${pid}`);
  const taken: number[] = [];
  try {
    for (const fd of fds) {
      const copy = Number(libc.syscall(SYS_PIDFD_GETFD, process, fd, 0));
      taken.push(checked(copy, "pidfd_getfd", `${fd} of ${pid}`));
    }
  } catch (error) {
    for (const fd of taken) libc.close(fd);
    throw error;
  } finally {
    libc.close(process);
  }
  return taken;
}

/** `fd` takes the place of `place` and is closed; what is there is inherited by programs executed later. Throws CError. */
export function putInPlace(fd: number, place: number): void {
  checked(libc.dup2(fd, place), "dup2", `${fd}, ${place}`);
  libc.close(fd);
}
