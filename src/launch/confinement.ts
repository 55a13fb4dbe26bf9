/** What confines the server itself, and so all that it starts: read when a launch has failed, to say which it was. See proc(5). */
import { readFileSync } from "node:fs";

export interface Confinement {
  /** A seccomp filter is around the server. */
  readonly filtered: boolean;
  readonly noNewPrivs: boolean;
  /** Effective capabilities of the server. */
  readonly caps: bigint;
  /** The profile or label of a security module; undefined: none. */
  readonly label: string | undefined;
  /** Started by systemd. */
  readonly isUnit: boolean;
  /** The runtime, as far as it tells: `docker`, `podman`, `lxc`, or `container`. */
  readonly container: string | undefined;
  /** The user namespace maps not all ids. */
  readonly fewIds: boolean;
  /** Whether /proc/sys, or part of what is in it, is mounted read-only. */
  readonly readOnlySettings: boolean;
  /** /proc is not of the server's own pid namespace. */
  readonly foreignProc: boolean;
  /** First line of a file below /proc/sys; undefined where there is none. */
  setting(name: string): string | undefined;
  /** Hard limit of a line of /proc/self/limits, such as `Max open files`; `unlimited` or a number. */
  hardLimit(line: string): string | undefined;
}

const content = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // hidden, or not in this kernel: nothing is known then
    return undefined;
  }
};

const line = (text: string, name: string): string | undefined =>
  text.match(new RegExp(`^${name}:?\\s+(.*)$`, "m"))?.[1];

/** Of this process, now. Reads kernel files only; never throws. @param read the text of a file */
export function confinement(read = content): Confinement {
  const status = read("/proc/self/status") ?? "";
  const limits = read("/proc/self/limits") ?? "";
  const label = read("/proc/self/attr/current")?.replace(/[\0\n].*$/s, "");
  const mounts = read("/proc/self/mountinfo") ?? "";
  return {
    filtered: line(status, "Seccomp") === "2",
    noNewPrivs: line(status, "NoNewPrivs") === "1",
    caps: BigInt(`0x${line(status, "CapEff") ?? "0"}`),
    // What AppArmor, Smack and SELinux call no confinement.
    label: !label || /^(unconfined|_|kernel)$|:unconfined_t/.test(label) ? undefined : label,
    isUnit: process.env["INVOCATION_ID"] !== undefined,
    container: runtime(read),
    fewIds: !/^\s*0\s+0\s+4294967295$/m.test(read("/proc/self/uid_map") ?? "0 0 4294967295"),
    readOnlySettings: /^\S+ \S+ \S+ \S+ \/proc\/sys(\/\S*)? ro\b/m.test(mounts),
    foreignProc: Number(line(status, "Pid") ?? process.pid) !== process.pid,
    setting: (name) => read(`/proc/sys/${name.replaceAll(".", "/")}`)?.split("\n")[0],
    hardLimit: (name) => line(limits, name)?.trim().split(/\s+/)[1],
  };
}

/** The variable is how a container tells it, also that it is none: systemd's Container Interface. */
function runtime(read: typeof content): string | undefined {
  const named = process.env["container"];
  if (named !== undefined) return named.slice(0, 20) || undefined;
  if (read("/run/.containerenv") !== undefined) return "podman";
  if (read("/.dockerenv") !== undefined) return "docker";
  return read("/run/systemd/container")?.trim().slice(0, 20) || undefined;
}
