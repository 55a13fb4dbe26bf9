/**
 * Profiles: complete sandboxes in one word, in the terms of a config, which the config's own keys then refine.
 *
 * minimal: all namespaces private, the system read-only, allow-listed system calls. network: with the host's network.
 * device: with the host's devices. admin: the host as it is, less what no administration needs.
 */
import type { Env, Mount, SeccompRule } from "../config/sandbox-schema.ts";
import type { Sandbox } from "../config/schema.ts";
import { HELD_FAMILIES, INTERNET_FAMILIES } from "./families.ts";
import type { Machine } from "./machine.ts";
import { mergeSandbox, type ProfileBase } from "./profile-merge.ts";

export type ProfileName = NonNullable<Sandbox["profile"]>;

/** Files that programs look for: users, time zone, shared libraries, chosen alternatives, names of ports and of file types. */
const SYSTEM_FILES = [
  "/etc/passwd",
  "/etc/group",
  "/etc/nsswitch.conf",
  "/etc/localtime",
  "/etc/ld.so.cache",
  "/etc/alternatives",
  "/etc/os-release",
  "/etc/services",
  "/etc/protocols",
  "/etc/mime.types",
  "/etc/ssl/openssl.cnf",
];
/** The host's is for its network; a private one has a file of its own. */
const HOSTS = "/etc/hosts";
/** What resolvers and TLS libraries look for, on the distributions in use. */
const NETWORK_FILES = [
  "/etc/resolv.conf",
  HOSTS,
  "/etc/host.conf",
  "/etc/gai.conf",
  "/etc/ssl/certs",
  "/etc/ca-certificates",
  "/etc/pki",
  "/etc/crypto-policies",
];
const DENIED = "SCMP_ACT_ERRNO(EPERM)";
/** CLONE_NEW… of clone(2): mount, cgroup, uts, ipc, user, pid, net. In clone, that of time is part of the exit signal. */
const CLONE_NEW = [
  0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
];
/** TIOCSTI, TIOCLINUX: ioctl_tty(2). The kernel looks at 32 bits of the request, so the rule does too. */
const TYPING_IOCTLS = [0x5412, 0x541c];

/** Threads are made with clone; namespaces are not. clone3 hides its flags, and the C library falls back on ENOSYS. */
const NO_NAMESPACES: SeccompRule[] = [
  ...CLONE_NEW.map((flag): SeccompRule => ({
    syscall: "clone",
    action: DENIED,
    args: [{ index: 0, op: "masked_eq", value: flag, mask: flag }],
  })),
  { syscall: "clone3", action: "SCMP_ACT_ERRNO(ENOSYS)" },
];
const NO_TYPING = TYPING_IOCTLS.map((value): SeccompRule => ({
  syscall: "ioctl",
  action: DENIED,
  args: [{ index: 1, op: "masked_eq", value, mask: 0xffffffff }],
}));

const CLEAN: Env[] = [
  { name: "*", mode: "unset" },
  { name: "LANG", value: "C.UTF-8" },
];

const VHOST_VSOCK = "/dev/vhost-vsock";
const SHM: Mount = { target: "/dev/shm", mode: "tmpfs", size: "64M" };

/** The sandbox as it stands with its profile; itself without one. */
export function applyProfile(sandbox: Sandbox, machine: Machine): Sandbox {
  if (sandbox.profile === undefined) return sandbox;
  return mergeSandbox(profile(sandbox.profile, machine), sandbox);
}

export function profile(name: ProfileName, machine: Machine): ProfileBase {
  if (name === "admin") return admin();
  const base = minimal(machine);
  const mounts = base.namespace?.mounts ?? [];
  switch (name) {
    case "minimal":
      return base;
    case "network":
      return {
        ...base,
        network: { families: [...INTERNET_FAMILIES] },
        namespace: {
          shares: { all: "disable", net: "enable" },
          // A file that is made cannot be mounted on, should the host get its own later.
          mounts: machine.exists(HOSTS)
            ? [...mounts.filter(({ target }) => target !== HOSTS), ...live(NETWORK_FILES)]
            : [...mounts, ...live(NETWORK_FILES.filter((path) => path !== HOSTS))],
        },
      };
    case "device":
      return {
        ...base,
        namespace: {
          shares: { all: "disable" },
          mounts: [
            ...mounts.filter(({ target }) => target !== "/dev"),
            { target: "/dev", mode: "rw", dev: true },
            // Who opens it is a guest of this machine, on vsock ports that no network namespace holds.
            ...(machine.exists(VHOST_VSOCK)
              ? [{ target: VHOST_VSOCK, source: "/dev/null", mode: "ro" } as const]
              : []),
            // Shared memory is no device: the host's stays out of reach.
            ...(machine.exists("/dev/shm") ? [SHM] : []),
            ...live(["/sys", "/run/udev"]),
          ],
        },
      };
  }
}

function minimal(machine: Machine): ProfileBase {
  // An ordinary server's commands run as its own user, and are told so only where the config names another.
  const user = machine.privileged && machine.user("nobody") ? { user: "nobody" } : {};
  return {
    envs: CLEAN,
    acls: { ...user, umask: "077", chdir: "/tmp" },
    caps: [],
    limits: { nofile: "1024", nproc: "512", core: "0", memlock: "64K" },
    seccomp: {
      default: DENIED,
      rules: [
        { syscall: "@system-service", action: "SCMP_ACT_ALLOW" },
        ...NO_NAMESPACES,
        ...NO_TYPING,
      ],
    },
    // Said here, so that it holds for who shares the host's network too.
    network: { families: [...HELD_FAMILIES] },
    namespace: {
      shares: { all: "disable" },
      mounts: [
        { target: "/usr", mode: "ro" },
        ...["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].flatMap((path) =>
          systemDirectory(path, machine),
        ),
        ...live(SYSTEM_FILES),
        { target: "/proc", mode: "proc" },
        { target: "/dev", mode: "dev" },
        { target: "/tmp", mode: "tmpfs", size: "64M" },
        { target: "/var/tmp", source: "../tmp", mode: "symlink" },
        { target: HOSTS, mode: "hosts" },
      ],
    },
  };
}

function admin(): ProfileBase {
  const denied = [
    "@bpf",
    "@cpu-emulation",
    "@debug",
    "@io-uring",
    "@keyring",
    "@module",
    "@mount",
    "@namespace",
    "@obsolete",
    "@raw-io",
    "@reboot",
    "@swap",
  ];
  return {
    envs: CLEAN,
    acls: { umask: "022" },
    caps: [],
    limits: { core: "0" },
    seccomp: {
      default: "SCMP_ACT_ALLOW",
      rules: [
        ...denied.map((syscall): SeccompRule => ({ syscall, action: DENIED })),
        ...NO_NAMESPACES,
        ...NO_TYPING,
      ],
    },
  };
}

/** Merged systems have links into /usr, others directories of their own, some architectures nothing. */
function systemDirectory(path: string, machine: Machine): Mount[] {
  if (!machine.exists(path)) return live([path]);
  const real = machine.realpath(path);
  return real.startsWith("/usr/")
    ? [{ target: path, source: real.slice(1), mode: "symlink" }]
    : [{ target: path, mode: "ro" }];
}

/** What there may be later, or elsewhere, is looked for at each launch: a resolver is often there only when the network is up. */
const live = (paths: readonly string[]): Mount[] =>
  paths.map((target) => ({ target, mode: "ro", optional: true }));
