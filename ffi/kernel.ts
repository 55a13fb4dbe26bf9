/** Whether this kernel has a system call, found out by calling it with arguments that it must refuse. See syscall(2). */
import { dlopen } from "bun:ffi";
import { errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
});

/** Numbers since Linux 5.0 are the same on all architectures. Each refuses -1 as a descriptor, or a range from -1 to 0. */
const CALLS = {
  pidfd_open: 434,
  clone3: 435,
  close_range: 436,
  openat2: 437,
  pidfd_getfd: 438,
  mount_setattr: 442,
} as const;
export type KernelCall = keyof typeof CALLS;

/** undefined when the kernel has it; else the errno name that says it has not, or that a filter denies it. */
export function missingCall(name: KernelCall): string | undefined {
  if (Number(libc.syscall(CALLS[name], -1, 0, 0, 0, 0)) >= 0) return undefined;
  const errno = errnoAt(libc.__errno_location());
  return errno === "ENOSYS" || errno === "EPERM" ? errno : undefined;
}
