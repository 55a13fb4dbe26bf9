/** What each profile holds, entry by entry: on a machine that has all of it, and on one that has nothing. */
import { describe, expect, test } from "bun:test";
import type { Machine } from "../../src/plan/machine.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { profile, type ProfileName } from "../../src/plan/profile.ts";
import { board } from "./board.ts";

const having = (exists: (path: string) => boolean): Machine => ({
  ...thisMachine(),
  ...board,
  exists,
  realpath: (path) => (path === "/lib64" ? "/lib64" : path.replace(/^\/(s?bin|lib\w*)/, "/usr/$1")),
});
const all = having(() => true);
const nothing = having(() => false);
/** `mode source → target`, with what else is said. */
const mountsOf = (name: ProfileName, machine: Machine) =>
  (profile(name, machine).namespace?.mounts ?? []).map(
    ({ mode = "-", source, target, size, optional, dev }) =>
      [mode, ...(source ? [source, "→"] : []), target, size, optional && "optional", dev && "dev"]
        .filter(Boolean)
        .join(" "),
  );
const live = (...paths: string[]) => paths.map((path) => `ro ${path} optional`);

const SYSTEM = [
  "ro /usr",
  "symlink usr/bin → /bin",
  "symlink usr/sbin → /sbin",
  "symlink usr/lib → /lib",
  "symlink usr/lib32 → /lib32",
  "ro /lib64",
  "symlink usr/libx32 → /libx32",
];
const FILES = live(
  ...["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime", "/etc/ld.so.cache"],
  ...["/etc/alternatives", "/etc/os-release", "/etc/services", "/etc/protocols", "/etc/mime.types"],
  "/etc/ssl/openssl.cnf",
);
const OWN = [
  "proc /proc",
  "dev /dev",
  "tmpfs /tmp 64M",
  "symlink ../tmp → /var/tmp",
  "hosts /etc/hosts",
];
const NETWORK = live(
  ...["/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/ssl/certs"],
  ...["/etc/ca-certificates", "/etc/pki", "/etc/crypto-policies"],
);

describe("files", () => {
  test("minimal", () => {
    expect(mountsOf("minimal", all)).toEqual([...SYSTEM, ...FILES, ...OWN]);
    const directories = live("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32");
    expect(mountsOf("minimal", nothing)).toEqual(["ro /usr", ...directories, ...FILES, ...OWN]);
  });
  test("network", () => {
    expect(mountsOf("network", all)).toEqual([
      ...SYSTEM,
      ...FILES,
      ...OWN.slice(0, -1),
      ...NETWORK,
    ]);
    expect(mountsOf("network", nothing).slice(-NETWORK.length)).toEqual([
      "hosts /etc/hosts",
      ...NETWORK.filter((mount) => !mount.includes("/etc/hosts")),
    ]);
  });
  test("device", () => {
    const rest = OWN.filter((mount) => mount !== "dev /dev");
    expect(mountsOf("device", all)).toEqual([
      ...SYSTEM,
      ...FILES,
      ...rest,
      "rw /dev dev",
      "ro /dev/null → /dev/vhost-vsock",
      "tmpfs /dev/shm 64M",
      ...live("/sys", "/run/udev"),
    ]);
    expect(mountsOf("device", nothing).slice(-3)).toEqual([
      "rw /dev dev",
      ...live("/sys", "/run/udev"),
    ]);
  });
  test("admin sees the host's", () => {
    expect(profile("admin", all)).not.toHaveProperty("namespace");
  });
});

const DENIED = "SCMP_ACT_ERRNO(EPERM)";
const NAMESPACES = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000];
const ALWAYS = [
  ...NAMESPACES.map((value) => ({
    ...{ syscall: "clone", action: DENIED },
    args: [{ index: 0, op: "masked_eq", value, mask: value }],
  })),
  { syscall: "clone3", action: "SCMP_ACT_ERRNO(ENOSYS)" },
  ...[0x5412, 0x541c].map((value) => ({
    ...{ syscall: "ioctl", action: DENIED },
    args: [{ index: 1, op: "masked_eq", value, mask: 0xffffffff }],
  })),
];
const envs = [
  { name: "*", mode: "unset" },
  { name: "LANG", value: "C.UTF-8" },
];
const LIMITS = { nofile: "1024", nproc: "512", core: "0", memlock: "64K" };

test.each<[ProfileName, object, string[], object]>([
  [
    "minimal",
    { all: "disable" },
    [],
    {
      default: DENIED,
      rules: [{ syscall: "@system-service", action: "SCMP_ACT_ALLOW" }, ...ALWAYS],
    },
  ],
  ["network", { all: "disable", net: "enable" }, ["AF_INET", "AF_INET6"], {}],
  ["device", { all: "disable" }, [], {}],
])("%s: namespaces, calls, limits, users", (name, shares, families, seccomp) => {
  const made = profile(name, all);
  expect(made).toMatchObject({ envs, caps: [], limits: LIMITS, seccomp });
  expect(made.seccomp?.rules?.slice(1)).toEqual(ALWAYS as never);
  expect(made.acls).toEqual({ user: "nobody", umask: "077", chdir: "/tmp" });
  expect(made.namespace?.shares).toEqual(shares as never);
  expect(made.network?.families).toEqual(expect.arrayContaining(["AF_UNIX", ...families]));
  expect(made.network?.families).not.toContain("AF_VSOCK");
  expect(profile(name, { ...all, privileged: false }).acls).not.toHaveProperty("user");
  expect(profile(name, { ...all, user: () => undefined }).acls).not.toHaveProperty("user");
});

test("admin: denies what no administration needs", () => {
  const groups =
    "bpf cpu-emulation debug io-uring keyring module mount namespace obsolete raw-io reboot swap";
  expect(profile("admin", all)).toEqual({
    envs,
    acls: { umask: "022" },
    caps: [],
    limits: { core: "0" },
    seccomp: {
      default: "SCMP_ACT_ALLOW",
      rules: [
        ...groups.split(" ").map((name) => ({ syscall: `@${name}`, action: DENIED })),
        ...ALWAYS,
      ],
    },
  } as never);
});
