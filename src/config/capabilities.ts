/** The capabilities of Linux, see capabilities(7): for words, and for editors. What a config names is looked up by libcap. */
import { anyCase } from "./shapes.ts";

/** By number of linux/capability.h: name, and what it lets one do. */
export const CAPABILITIES: readonly (readonly [name: string, words: string])[] = [
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

const NAMES = CAPABILITIES.map(([name]) => name);

/** With or without CAP_, in any case. */
export const CAPABILITY = {
  pattern: `^(?:${anyCase("CAP_")})?(?:${NAMES.map(anyCase).join("|")})$`,
  words: NAMES,
};
