/** A machine of which everything is known, where uid, gid and groups of a user are different numbers. */
import type { Machine } from "../../src/plan/machine.ts";
import type { MountFlags } from "../../src/plan/policy.ts";
import type { HostFiles } from "../../src/plan/view.ts";

type HostFile = NonNullable<ReturnType<HostFiles["lookup"]>>;

const user = (name: string, uid: number, gid: number, home = `/home/${name}`) => ({
  ...{ name, uid, gid, home },
  shell: "/bin/sh",
});
const USERS = [
  user("root", 0, 0, "/root"),
  user("pilot", 1001, 2001),
  user("stray", 1003, 2 ** 32 - 1),
  user("nobody", 65534, 65533, "/nonexistent"),
];
const GROUPS: Readonly<Record<string, number>> = {
  root: 0,
  crew: 3001,
  dialout: 3002,
  nogroup: 65533,
  broken: 2 ** 32 - 1,
};

const plain = { group: 0, mode: 0o755, rootsOnly: false, open: false };
export const dir: HostFile = { ...plain, kind: "dir", executable: true, owner: 0, rootsOnly: true };
export const file: HostFile = { ...plain, kind: "file", executable: true, owner: 0 };
export const link: HostFile = { ...plain, kind: "link", executable: true, owner: 0 };

export const FREE: MountFlags = { readonly: false, nosuid: false, nodev: false, noexec: false };

/** An ELF file without an interpreter: as static programs are. */
const ELF = new Uint8Array(64);
ELF.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
new DataView(ELF.buffer).setUint16(16, 2, true);
new DataView(ELF.buffer).setUint16(18, process.arch === "arm64" ? 183 : 62, true);
new DataView(ELF.buffer).setUint16(54, 56, true);

/** Of links their text. */
export function filesOf(
  files: Readonly<Record<string, HostFile>>,
  links: Readonly<Record<string, string>> = {},
): HostFiles {
  return {
    lookup: (path) => (Object.hasOwn(files, path) ? files[path] : undefined),
    readlink: (path) => links[path] ?? "",
    head: (_, bytes) => ELF.subarray(0, bytes),
    isAllowed: () => true,
    hasOnlyMode: () => false,
    capabilities: () => undefined,
    mountFlags: () => FREE,
    foreignFormats: () => [],
  };
}

export const FILES: Readonly<Record<string, HostFile>> = {
  ...Object.fromEntries(
    ["/", "/bin", "/usr", "/dev", "/srv", "/sys", "/proc"].map((at) => [at, dir]),
  ),
  "/srv/data": dir,
  "/srv/own": { ...dir, owner: 0 },
  "/bin/sh": file,
};

export const board: Partial<Machine> = {
  ...{ uid: 0, gid: 0, groups: [0], privileged: true, held: undefined, inherits: true },
  env: { PATH: "/opt/bin:/bin", HOME: "/root", USER: "root", LOGNAME: "root", LANG: "C" },
  user: (name) => USERS.find((one) => one.name === name || `${one.uid}` === name),
  group: (name) => GROUPS[name],
  groupName: (gid) => Object.keys(GROUPS).find((name) => GROUPS[name] === gid),
  exists: (path) => Object.hasOwn(FILES, path),
  realpath: (path) => path,
  files: filesOf(FILES),
  landlockAbi: () => 6,
  labelModule: () => undefined,
};

/** The same served by an ordinary user. */
export const ordinary: Partial<Machine> = {
  ...board,
  ...{ uid: 1001, gid: 2001, groups: [2001], privileged: false },
  ...{ ambient: new Set<number>(), noNewPrivs: false },
};
