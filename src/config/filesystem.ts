/** File systems whose owners mean nothing: what the kernel makes up as it is asked, and what a process of another user makes up. */
import { fstatSync, readFileSync } from "node:fs";
import { fileSystemOf } from "../../ffi/at.ts";

/** By number, see statfs(2): for the message. */
const MADE_UP: Readonly<Record<number, string>> = {
  0x9fa0: "proc",
  0x62656572: "sysfs",
  0x27e0eb: "cgroup",
  0x63677270: "cgroup2",
  0x64626720: "debugfs",
  0x74726163: "tracefs",
  0x73636673: "securityfs",
  0xf97cff8c: "selinuxfs",
  0x43415d53: "smackfs",
  0x5a3c69f0: "apparmorfs",
  0x62656570: "configfs",
  0xcafe4a11: "bpf",
  0x1cd1: "devpts",
  0x19800202: "mqueue",
  0x6165676c: "pstore",
  0xde5e81e4: "efivarfs",
  0x42494e4d: "binfmt_misc",
  0x6e736673: "nsfs",
  0x50494446: "pidfs",
  0x50495045: "pipefs",
  0x534f434b: "sockfs",
  0x09041934: "anon_inodefs",
  0x67596969: "rpc_pipefs",
  0x6e667364: "nfsd",
  0x65735543: "fusectl",
  0x0a647361: "functionfs",
  0xaee71ee7: "gadgetfs",
  0x6c6f6f70: "binder",
  0x07655821: "resctrl",
};

/** Real ones that may have no size, as tmpfs without a limit; whatever else has none is made up, though we do not know its name. */
const SIZELESS: readonly number[] = [
  0x01021994, // tmpfs
  0x858458f6, // ramfs
  0x794c7630, // overlay
  0x01021997, // 9p
  0x6969, // nfs
  0xfe534d42, // smb3
  0xff534d42, // cifs
  0x61756673, // aufs
  0xf15f, // ecryptfs
  0x0187, // autofs: what is mounted there is another
];

const FUSE = 0x65735546;

/** Why nothing there is to be obeyed, by an open file or directory, or a handle of it; undefined when its owners count. */
export const madeUp = (fd: number): string | undefined =>
  madeUpIn({ ...fileSystemOf(fd), dev: () => fstatSync(fd, { bigint: true }).dev }, () =>
    readFileSync("/proc/self/mountinfo", "utf8"),
  );

interface FileSystem {
  readonly type: number;
  readonly blocks: bigint;
  /** As stat(2) has it. */
  dev(): bigint;
}

/** As {@link madeUp}. @param mountinfo the content of proc_pid_mountinfo(5) */
export function madeUpIn(
  { type, blocks, dev }: FileSystem,
  mountinfo: () => string,
): string | undefined {
  if (type === FUSE) return fuseOfAnother(dev(), mountinfo());
  const name = MADE_UP[type];
  const kind = name ?? (blocks === 0n && !SIZELESS.includes(type) ? "made-up" : undefined);
  if (kind === undefined) return undefined;
  return `is in a ${kind} file system, where anybody may have put the text: give the path of a file on disk`;
}

/** Who has mounted it decides what its files say, and whose they seem. Also the file system of virtiofs, which only root mounts. */
function fuseOfAnother(dev: bigint, mountinfo: string): string | undefined {
  const number = `${major(dev)}:${minor(dev)}`;
  for (const line of mountinfo.split("\n")) {
    const [mount = "", superblock = ""] = line.split(" - ");
    if (mount.split(" ")[2] !== number) continue;
    const words = superblock.split(" ");
    if (words[0] === "virtiofs") return undefined;
    const user = words
      .at(-1)
      ?.split(",")
      .find((option) => option.startsWith("user_id="));
    if (user === "user_id=0") return undefined;
    return `is in a FUSE file system that is not root's (${user ?? "whose is not told"}): give the path of a file on disk`;
  }
  return "is in a FUSE file system that is mounted nowhere here: give the path of a file on disk";
}

/** As the kernel writes a device number for programs, see makedev(3). */
const major = (dev: bigint): bigint => ((dev >> 32n) & 0xfffff000n) | ((dev >> 8n) & 0xfffn);
const minor = (dev: bigint): bigint => ((dev >> 12n) & 0xffffff00n) | (dev & 0xffn);
