/** The mounts that this process sees, as far as launches depend on them: proc_pid_mountinfo(5). */
import { constants, openSync, readFileSync } from "node:fs";
import { haveMountsChanged } from "../../ffi/libc.ts";
import { errnoOf } from "./cgroup/files.ts";

export interface MountTable {
  /** How often it was found changed. */
  readonly changes: number;
  /** Whatever path is looked at, the kernel answers by itself: no other machine or process is asked, which may never do so. */
  readonly isLocal: boolean;
}

/** Types of file systems on a disk, in memory, or made up by the kernel. overlay is none: its layers may be anything. */
const LOCAL: ReadonlySet<string> = new Set([
  ...["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "bcachefs", "vfat", "exfat", "ntfs3"],
  ...["squashfs", "erofs", "cramfs", "romfs", "ubifs", "jffs2", "iso9660", "udf"],
  ...["tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"],
  ...["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "nsfs", "bpf", "pstore"],
  ...["debugfs", "tracefs", "securityfs", "configfs", "efivarfs", "fusectl", "binfmt_misc"],
  ...["selinuxfs", "smackfs", "resctrl"],
]);

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
        isLocal: isLocal(readFileSync("/proc/self/mountinfo", "latin1")),
      };
  } catch (error) {
    errnoOf(error);
    // What it was is not known, so neither that it is the same later.
    known = known && { changes: known.changes + 1, isLocal: false };
    return undefined;
  }
  return known;
}

/** @param mountinfo the text of such a file */
export const isLocal = (mountinfo: string): boolean =>
  mountinfo
    .split("\n")
    .filter(Boolean)
    // Behind fields of which some are optional: a dash, and the type.
    .every((line) => LOCAL.has(/ - (\S+) /.exec(line)?.[1] ?? ""));
