/**
 * Capabilities whose calls the filter of the sandbox denies: the filter of a profile is the same whatever `caps` adds, and who adds
 * one has to add its calls. Only those that are good for little else: what NET_ADMIN or SYS_ADMIN is meant for nobody can tell.
 */
import { ARCHITECTURES } from "../../ffi/libseccomp.ts";
import { verdictOf } from "./bpf.ts";
import { covers } from "./inside.ts";
import type { Machine } from "./machine.ts";
import type { SandboxPolicy } from "./policy.ts";
import { mayGoOn } from "./seccomp-action.ts";
import { syscallsOf } from "./syscall-groups.ts";
import { capabilityNumber, capabilityShort } from "./words.ts";

/** What they are good for, too, where the sandbox shows it: dmesg reads the one, hwclock sets the other. */
const DEVICES: ReadonlyMap<string, string> = new Map([
  ["syslog", "/dev/kmsg"],
  ["@clock", "/dev/rtc"],
]);

/** As a rule has them: see capabilities(7). */
const CALLS: ReadonlyMap<number, string> = new Map(
  Object.entries({
    SYS_MODULE: "@module",
    SYS_CHROOT: "chroot",
    SYS_PACCT: "acct",
    SYS_BOOT: "reboot",
    SYS_TIME: "@clock",
    SYSLOG: "syslog",
    PERFMON: "perf_event_open",
    BPF: "bpf",
  }).map(([name, calls]) => [capabilityNumber(name), calls]),
);

/** Of each such capability a sentence that says what to add. */
export function deniedCaps(
  { caps = [], seccomp, told, mounts }: Pick<SandboxPolicy, "caps" | "seccomp" | "told" | "mounts">,
  { arch, syscall }: Pick<Machine, "arch" | "syscall">,
): string[] {
  const program = told?.verdicts ?? seccomp;
  if (!program) return [];
  const goesOn = (name: string): boolean => {
    const number = syscall(name) ?? -1;
    if (number < 0) return false;
    const verdict = verdictOf(program, number, ARCHITECTURES[arch]);
    return verdict === undefined || mayGoOn(verdict);
  };
  return caps.flatMap((cap) => {
    const calls = CALLS.get(cap);
    if (calls === undefined || (syscallsOf(calls) ?? [calls]).some(goesOn)) return [];
    const device = DEVICES.get(calls);
    if (device !== undefined && isShown(device, mounts)) return [];
    const rule = JSON.stringify({ syscall: calls, action: "SCMP_ACT_ALLOW" });
    return [
      `${capabilityShort(cap)} is for ${calls}, which the filter of the sandbox denies: add to seccomp.rules ${rule}`,
    ];
  });
}

/** Whether there may be such a device. @param device the beginning of its path */
const isShown = (device: string, mounts: SandboxPolicy["mounts"]): boolean =>
  mounts?.some(
    (step) =>
      step.kind === "bind" &&
      !step.flags.nodev &&
      (covers(step.source, device) || step.source.startsWith(device)),
  ) ?? true;
