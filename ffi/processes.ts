/** Another process, held by a pidfd: pidfd_open(2). Its descriptors: pidfd_getfd(2) (Linux 5.6), and putting one in the place of another. */
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";
import { int32, pidOf } from "./integer.ts";
import { isReadable } from "./libc.ts";

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
  throw new CError(call, what, errnoAt(libc.__errno_location()));
}

/** A process; the pidfd says whether the pid is still its own, see {@link hasEnded}. */
export interface Process {
  readonly pid: number;
  readonly pidfd: number;
}

/** A pidfd, close-on-exec; undefined when nothing has this pid. Throws CError. */
export function openProcess(pid: number): number | undefined {
  try {
    return checked(Number(libc.syscall(SYS_PIDFD_OPEN, pidOf(pid), 0, 0)), "pidfd_open", `${pid}`);
  } catch (error) {
    if (error instanceof CError && error.errno === "ESRCH") return undefined;
    throw error;
  }
}

/** A pidfd is readable once its process has ended; until then its pid is no other's. Throws CError. */
export function hasEnded(pidfd: number): boolean {
  return isReadable(pidfd);
}

/** Copies of descriptors of a process that this one might trace, close-on-exec. All or none. Throws CError. */
export function takeDescriptors(pidfd: number, fds: readonly number[]): number[] {
  const taken: number[] = [];
  try {
    for (const fd of fds) {
      const copy = Number(
        libc.syscall(SYS_PIDFD_GETFD, int32(pidfd, "pidfd"), int32(fd, "descriptor"), 0),
      );
      taken.push(checked(copy, "pidfd_getfd", `descriptor ${fd}`));
    }
  } catch (error) {
    for (const fd of taken) libc.close(fd);
    throw error;
  }
  return taken;
}

/** `fd` takes the place of `place` and is closed; what is there is inherited by programs executed later. Throws CError. */
export function putInPlace(fd: number, place: number): void {
  checked(libc.dup2(fd, place), "dup2", `${fd}, ${place}`);
  libc.close(fd);
}
