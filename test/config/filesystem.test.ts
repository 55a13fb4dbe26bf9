/** Whose owners count: by the numbers that the kernel's header has, and who has mounted a FUSE file system. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { madeUpIn } from "../../src/config/filesystem.ts";

const HEADER = "/usr/include/linux/magic.h";
const FUSE = 0x65735546;

const why = (type: number, blocks = 0n) => madeUpIn({ type, blocks, dev: () => 0n }, () => "");

describe.if(existsSync(HEADER))("numbers of the kernel's header", () => {
  const header = existsSync(HEADER) ? readFileSync(HEADER, "utf8") : "";
  const numberOf = (name: string): number => {
    const [, number] = new RegExp(`^#define\\s+${name}\\s+(0x\\w+)`, "m").exec(header) ?? [];
    if (number === undefined) throw new Error(`${name} is not in ${HEADER}`);
    return Number(number);
  };

  test.each([
    ["PROC_SUPER_MAGIC", "proc"],
    ["SYSFS_MAGIC", "sysfs"],
    ["CGROUP_SUPER_MAGIC", "cgroup"],
    ["CGROUP2_SUPER_MAGIC", "cgroup2"],
    ["DEBUGFS_MAGIC", "debugfs"],
    ["TRACEFS_MAGIC", "tracefs"],
    ["SECURITYFS_MAGIC", "securityfs"],
    ["SELINUX_MAGIC", "selinuxfs"],
    ["SMACK_MAGIC", "smackfs"],
    ["AAFS_MAGIC", "apparmorfs"],
    ["BPF_FS_MAGIC", "bpf"],
    ["DEVPTS_SUPER_MAGIC", "devpts"],
    ["PSTOREFS_MAGIC", "pstore"],
    ["EFIVARFS_MAGIC", "efivarfs"],
    ["BINFMTFS_MAGIC", "binfmt_misc"],
    ["NSFS_MAGIC", "nsfs"],
    ["PIPEFS_MAGIC", "pipefs"],
    ["SOCKFS_MAGIC", "sockfs"],
    ["ANON_INODE_FS_MAGIC", "anon_inodefs"],
    ["BINDERFS_SUPER_MAGIC", "binder"],
  ])("%s is made up, whatever its size", (name, said) => {
    expect(why(numberOf(name))).toStartWith(`is in a ${said} file system, where anybody may`);
    expect(why(numberOf(name), 5n)).toBe(why(numberOf(name)));
  });

  test.each([
    "TMPFS_MAGIC",
    "RAMFS_MAGIC",
    "OVERLAYFS_SUPER_MAGIC",
    "V9FS_MAGIC",
    "NFS_SUPER_MAGIC",
    "SMB2_SUPER_MAGIC",
    "CIFS_SUPER_MAGIC",
    "ECRYPTFS_SUPER_MAGIC",
    "AUTOFS_SUPER_MAGIC",
  ])("%s is real, also without a size", (name) => {
    expect([why(numberOf(name)), why(numberOf(name), 1n)]).toEqual([undefined, undefined]);
  });

  test.each(["EXT4_SUPER_MAGIC", "F2FS_SUPER_MAGIC", "SQUASHFS_MAGIC", "BTRFS_SUPER_MAGIC"])(
    "%s is real where it has a size",
    (name) => {
      expect(why(numberOf(name), 1n)).toBeUndefined();
      expect(why(numberOf(name))).toStartWith("is in a made-up file system");
    },
  );
});

test.each([
  [0x62656570, "configfs"],
  [0x19800202, "mqueue"],
  [0x50494446, "pidfs"],
  [0x67596969, "rpc_pipefs"],
  [0x6e667364, "nfsd"],
  [0x65735543, "fusectl"],
  [0x0a647361, "functionfs"],
  [0xaee71ee7, "gadgetfs"],
  [0x07655821, "resctrl"],
])("%d, which only the kernel's sources name: %s", (type, said) => {
  expect(why(type, 1n)).toStartWith(`is in a ${said} file system`);
});

test("aufs, which no kernel of today has, is real", () => {
  expect(why(0x61756673)).toBeUndefined();
});

describe("FUSE counts as its owners say where root has mounted it", () => {
  // Device 9:0x12345, of more bits than the old numbers had.
  const dev = (0x123n << 20n) | (9n << 8n) | 0x45n;
  const line = (number: string, rest: string) => `36 35 ${number} / /mnt rw shared:1 - ${rest}`;
  const own = `9:${0x12345}`;
  const other = line(`9:${0x12346}`, "fuse.x x rw,user_id=0,group_id=0");

  test.each([
    ["by user_id=0", line(own, "fuse.sshfs x rw,user_id=0,group_id=0"), undefined],
    ["as virtiofs", line(own, "virtiofs share rw"), undefined],
    [
      "not by another user",
      line(own, "fuse x rw,user_id=1000,group_id=0"),
      "not root's (user_id=1000)",
    ],
    ["not where it is not told", line(own, "fuse x rw"), "not root's (whose is not told)"],
    ["not where it is mounted nowhere here", "", "mounted nowhere here"],
  ])("%s", (_, mine, expected) => {
    const said = madeUpIn({ type: FUSE, blocks: 1n, dev: () => dev }, () => `${other}\n${mine}\n`);
    if (expected === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(expected);
  });

  test("by all of its device's number", () => {
    // Major 0x12345 and minor 0x678: both halves have bits above.
    const large = (0x12n << 44n) | (0x345n << 8n) | 0x78n | (0x6n << 20n);
    const mounts = line(`${0x12345}:${0x678}`, "fuse x rw,user_id=0");
    expect(madeUpIn({ type: FUSE, blocks: 1n, dev: () => large }, () => mounts)).toBeUndefined();
  });
});
