/** Names of the kernel in words, for people who read a plan: capabilities(7), namespaces(7), setrlimit(2). */
import type { NamespaceName } from "./policy.ts";

/** By number of linux/capability.h: name, and what it lets one do. */
const CAPABILITIES: readonly (readonly [name: string, words: string])[] = [
  ["CHOWN", "give files to others"],
  ["DAC_OVERRIDE", "read and write any file"],
  ["DAC_READ_SEARCH", "read any file"],
  ["FOWNER", "change the mode of any file"],
  ["FSETID", "keep set-user-id bits"],
  ["KILL", "signal any process"],
  ["SETGID", "become any group"],
  ["SETUID", "become any user"],
  ["SETPCAP", "change capability sets"],
  ["LINUX_IMMUTABLE", "change immutable files"],
  ["NET_BIND_SERVICE", "listen on ports below 1024"],
  ["NET_BROADCAST", "broadcast"],
  ["NET_ADMIN", "configure the network"],
  ["NET_RAW", "send and see raw packets"],
  ["IPC_LOCK", "lock memory"],
  ["IPC_OWNER", "use any System V IPC object"],
  ["SYS_MODULE", "load kernel modules"],
  ["SYS_RAWIO", "access hardware ports and memory"],
  ["SYS_CHROOT", "change the root directory"],
  ["SYS_PTRACE", "look into any process"],
  ["SYS_PACCT", "account processes"],
  ["SYS_ADMIN", "administer the system: mount and much more"],
  ["SYS_BOOT", "restart the machine"],
  ["SYS_NICE", "raise priorities"],
  ["SYS_RESOURCE", "exceed resource limits"],
  ["SYS_TIME", "set the clock"],
  ["SYS_TTY_CONFIG", "configure terminals"],
  ["MKNOD", "make device nodes"],
  ["LEASE", "take leases on files"],
  ["AUDIT_WRITE", "write to the audit log"],
  ["AUDIT_CONTROL", "configure auditing"],
  ["SETFCAP", "give capabilities to files"],
  ["MAC_OVERRIDE", "override mandatory access control"],
  ["MAC_ADMIN", "configure mandatory access control"],
  ["SYSLOG", "read the kernel's log"],
  ["WAKE_ALARM", "wake the machine"],
  ["BLOCK_SUSPEND", "keep the machine awake"],
  ["AUDIT_READ", "read the audit log"],
  ["PERFMON", "measure performance"],
  ["BPF", "load programs into the kernel"],
  ["CHECKPOINT_RESTORE", "checkpoint and restore processes"],
];

/** `NET_ADMIN (configure the network)`; a number that this table does not know as `capability 41`. */
export function capabilityWords(number: number): string {
  const found = CAPABILITIES[number];
  return found ? `${found[0]} (${found[1]})` : `capability ${number}`;
}

/** `CAP_NET_ADMIN`, as units have it. */
export function capabilityName(number: number): string {
  const found = CAPABILITIES[number];
  return found ? `CAP_${found[0]}` : `capability ${number}`;
}

/** Numbers of capabilities, as a set such as `["SYS_ADMIN"]` has them. */
export const capabilityNumbers = (names: readonly string[]): ReadonlySet<number> =>
  new Set(names.map((name) => CAPABILITIES.findIndex(([known]) => known === name)));

export const NAMESPACE_WORDS: Readonly<Record<NamespaceName, string>> = {
  user: "users",
  mount: "mounts",
  pid: "processes",
  net: "network",
  ipc: "System V IPC and message queues",
  uts: "host name",
  cgroup: "control groups",
};

/** By number of setrlimit(2). */
const RLIMITS: Readonly<Record<number, string>> = {
  0: "CPU seconds",
  1: "bytes of a file",
  4: "bytes of a core file",
  6: "processes of the user",
  7: "open files",
  8: "bytes of locked memory",
  9: "bytes of address space",
  14: "of real-time priority",
};

export function rlimitWords(resource: number, value: bigint): string {
  const what = RLIMITS[resource] ?? `resource ${resource}`;
  return value < 0n ? `any number of ${what}` : `at most ${value} ${what}`;
}
