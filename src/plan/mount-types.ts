/** Which file systems there are, by the table of mounts: proc_pid_mountinfo(5). */

/** Types of file systems on a disk, in memory, or made up by the kernel. overlay is none: its layers may be anything. */
const LOCAL: ReadonlySet<string> = new Set([
  ...["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "bcachefs", "vfat", "exfat", "ntfs3"],
  ...["squashfs", "erofs", "cramfs", "romfs", "ubifs", "jffs2", "iso9660", "udf"],
  ...["tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"],
  ...["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "nsfs", "bpf", "pstore"],
  ...["debugfs", "tracefs", "securityfs", "configfs", "efivarfs", "fusectl", "binfmt_misc"],
  ...["selinuxfs", "smackfs", "resctrl"],
]);

export interface Mounted {
  /** Where, as this process sees it. */
  readonly path: string;
  /** Such as `nfs4` or `fuse.sshfs`; "" in a line that is none. */
  readonly type: string;
}

/** Those that another machine or process answers for, which may never do so. @param mountinfo the text of such a file */
export const foreignMounts = (mountinfo: string): Mounted[] =>
  mountinfo
    .split("\n")
    .filter((line) => line !== "" && !LOCAL.has(typeIn(line)))
    .map((line) => ({ path: unescaped(line.split(" ")[4] ?? ""), type: typeIn(line) }));

/** Whether something is mounted in its very place. @param path without links @param mountinfo the text of such a file */
export const isMountPoint = (path: string, mountinfo: string): boolean =>
  mountinfo.split("\n").some((line) => unescaped(line.split(" ")[4] ?? "") === path);

/** Behind fields of which some are optional: a dash, and the type. */
const typeIn = (line: string): string => / - (\S+) /.exec(line)?.[1] ?? "";

/** Blanks and the like stand there in octal. */
const unescaped = (field: string): string =>
  field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
