/** The mounts that this process sees, as far as launches depend on them: proc_pid_mountinfo(5). */
import { constants, openSync, readFileSync } from "node:fs";
import { haveMountsChanged } from "../../ffi/libc.ts";
import { foreignMounts } from "../plan/mount-types.ts";
import { errnoOf } from "./cgroup/files.ts";

export interface MountTable {
  /** How often it was found changed. */
  readonly changes: number;
  /** Whatever path is looked at, the kernel answers by itself: no other machine or process is asked, which may never do so. */
  readonly isLocal: boolean;
}

let open: number | undefined;
let known: MountTable | undefined;

/**
 * Whether it has changed is told by the kernel, not read: another file system in the place of one looks the same in the table.
 * @returns undefined where it cannot be opened, as without a descriptor that is left
 */
export function mountTable(): MountTable | undefined {
  try {
    open ??= openSync("/proc/self/mountinfo", constants.O_RDONLY | 0o2000000);
    if (haveMountsChanged(open) || !known)
      known = {
        changes: (known?.changes ?? 0) + 1,
        isLocal: foreignMounts(readFileSync("/proc/self/mountinfo", "latin1")).length === 0,
      };
  } catch (error) {
    errnoOf(error);
    // What it was is not known, so neither that it is the same later.
    known = known && { changes: known.changes + 1, isLocal: false };
    return undefined;
  }
  return known;
}
