/**
 * A /proc for a sandbox: its own processes, and of the kernel's files only what cannot hurt. hidepid hides what other users run
 * inside (proc(5)); what could reconfigure the kernel is read-only, what tells its secrets is masked.
 */
import { posix } from "node:path";
import type { MountStep } from "./policy.ts";

/** Empty inside: memory, symbols, keys and timers of the host. */
const MASKED = [
  "kcore",
  "kallsyms",
  "keys",
  "latency_stats",
  "timer_list",
  "sched_debug",
  "sysrq-trigger",
];
/** Read-only inside: root owns these files, also without any capability and in a user namespace. */
const READ_ONLY = ["bus", "fs", "irq", "sys", "acpi", "scsi", "asound"];

/**
 * `exists` tells whether this kernel has a file of that name in /proc. With the pids of the host, `own` is false: a proc of the
 * host's processes can only be mounted from there, so the host's is shown.
 */
export function procSteps(
  target: string,
  own: boolean,
  exists: (path: string) => boolean,
): MountStep[] {
  const present = (name: string) => exists(posix.join("/proc", name));
  const at = (name: string) => posix.join(target, name);
  const flags = { readonly: true, nosuid: true, nodev: true, noexec: true };
  return [
    own
      ? { kind: "proc", target }
      : { kind: "bind", source: "/proc", target, flags: { ...flags, readonly: false } },
    ...MASKED.filter(present).map((name): MountStep => ({
      kind: "bind",
      source: "/dev/null",
      target: at(name),
      flags: { ...flags, nodev: false },
    })),
    ...READ_ONLY.filter(present).map((name): MountStep => ({
      kind: "rebind",
      target: at(name),
      flags,
    })),
  ];
}
