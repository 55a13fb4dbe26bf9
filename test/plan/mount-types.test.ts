/** Which mounts let a path be looked at without waiting, and what others answer for. */
import { expect, test } from "bun:test";
import { foreignMounts } from "../../src/plan/mount-types.ts";

const root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw";

test.each([
  ["a disk and what the kernel makes up", [root, "23 22 0:5 / /proc rw - proc proc rw"], true],
  [
    "without optional fields, with a name of spaces",
    ["24 22 0:6 / /a\\040b rw - tmpfs t rw"],
    true,
  ],
  ["several optional fields", ["24 22 0:6 / /a rw shared:1 master:2 - xfs /dev/b rw"], true],
  ["a network", [root, "30 22 0:40 / /mnt rw - nfs4 host:/ rw"], false],
  ["a process", [root, "30 22 0:40 / /mnt rw - fuse.sshfs host: rw"], false],
  ["a process, of a block device", [root, "30 22 0:40 / /mnt rw - fuseblk /dev/c rw"], false],
  ["what mounts when it is looked at", [root, "30 22 0:40 / /net rw - autofs auto rw"], false],
  ["layers of which nobody knows", ["30 22 0:40 / / rw - overlay overlay rw"], false],
  ["the host of a virtual machine", [root, "30 22 0:40 / /host rw - 9p tag rw"], false],
  ["a line that is none", [root, "30 22"], false],
])("%s", (_, lines, local) => {
  expect(foreignMounts(`${lines.join("\n")}\n`).length === 0).toBe(local);
});

test.each(
  [
    "ext2 ext3 ext4 xfs btrfs f2fs jfs bcachefs vfat exfat ntfs3 squashfs erofs cramfs romfs ubifs",
    "jffs2 iso9660 udf tmpfs ramfs rootfs devtmpfs hugetlbfs proc sysfs cgroup cgroup2 devpts",
    "mqueue nsfs bpf pstore debugfs tracefs securityfs configfs efivarfs fusectl binfmt_misc",
    "selinuxfs smackfs resctrl",
  ]
    .join(" ")
    .split(" "),
)("%s answers by itself", (type) => {
  expect(foreignMounts(`${root}\n24 22 0:6 / /a rw - ${type} t rw\n`)).toEqual([]);
});

test("of a foreign one its path and type, as the table escapes them", () => {
  const line = "30 22 0:40 / /mnt/a\\040b\\134c\\012d/\u00e9 rw shared:1 - fuse.sshfs host: rw";
  expect(foreignMounts(`${root}\n${line}\n`)).toEqual([
    { path: "/mnt/a b\\c\nd/\u00e9", type: "fuse.sshfs" },
  ]);
});
