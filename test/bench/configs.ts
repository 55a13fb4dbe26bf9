/** The configs that are measured. */
import { lstatSync } from "node:fs";

/** Whom the commands run as: nobody where the bench is root, else the user of the bench. */
export const uid = process.getuid?.() === 0 ? 65534 : (process.getuid?.() ?? 0);
export const gid = process.getuid?.() === 0 ? 65534 : (process.getgid?.() ?? 0);
/** Of every sandbox. */
export const acls = process.getuid?.() === 0 ? { user: `${uid}`, group: `${gid}` } : {};

/** The links of a merged /usr that this machine has; aarch64 has no /lib64. */
export const LINKS = ["bin", "lib", "lib64"].filter((name) =>
  lstatSync(`/${name}`, { throwIfNoEntry: false })?.isSymbolicLink(),
);

const mounts = [
  { target: "/usr", mode: "ro" },
  ...LINKS.map((name) => ({ target: `/${name}`, source: `usr/${name}`, mode: "symlink" })),
  { target: "/proc", mode: "proc" },
  { target: "/dev", mode: "dev" },
  { target: "/tmp", mode: "tmpfs" },
];

/** Everything private, as bwrap's --unshare-all. */
const full = { acls, caps: [], namespace: { shares: { all: "disable" }, mounts } };

const NAMESPACES = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];
/** Prints the namespaces it is in, one a line: what proves that a sandbox is one. */
export const PROBE = ["/usr/bin/readlink", ...NAMESPACES.map((name) => `/proc/self/ns/${name}`)];

const commands = [
  { uid: "true", encoder: "sync", exec: { cmdpath: "/bin/true" } },
  { uid: "echo", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["%text%"] } },
  { uid: "probe", encoder: "sync", exec: { cmdpath: PROBE[0], args: PROBE.slice(1) } },
];

/** The verbs `plain/…`, `full/…` and `warm/…` of the API `bench`. */
export const benchConfig = {
  metadata: { uid: "bench", api: "bench" },
  sandboxes: [
    { uid: "plain", acls, commands },
    { uid: "full", ...full, commands },
    { uid: "warm", ...full, pool: 1, commands },
  ],
};

/** A config of many commands; every sandbox differs from the others, so that nothing is shared between them. */
export function manyCommands(count: number, sandboxes: number): unknown {
  const each = Math.ceil(count / sandboxes);
  return {
    metadata: { uid: "many", api: "many" },
    sandboxes: Array.from({ length: sandboxes }, (_, s) => ({
      uid: `sandbox-${s}`,
      ...full,
      namespace: { ...full.namespace, opts: { hostname: `host-${s}` } },
      envs: [{ name: "LANG", value: "C" }],
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: ["mount", "unshare", "ptrace", "keyctl", "bpf"].map((syscall) => ({
          syscall,
          action: "SCMP_ACT_ERRNO(EPERM)",
        })),
      },
      commands: Array.from({ length: Math.min(each, count - s * each) }, (_, c) => ({
        uid: `command-${c}`,
        info: `command ${c} of sandbox ${s}`,
        encoder: "line",
        exec: { cmdpath: "/bin/echo", args: ["-n", `command ${c}`, "%text%", "?more?"] },
        sample: [{ text: "hello" }, { text: "hello", more: "world" }],
      })),
    })),
  };
}
