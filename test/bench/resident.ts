/** What processes take of memory and of the kernel's tables: procfs. */
import { readdirSync, readFileSync } from "node:fs";

/** Bytes: a field of proc_pid_status(5). Anonymous memory is what is left where the pages of files are shared or can be dropped. */
export function residentOf(pid: number, field: "VmRSS" | "RssAnon" = "VmRSS"): number {
  const [, kib = "0"] =
    new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8")) ??
    [];
  return Number(kib) * 1024;
}

/** Bytes: its pages, each shared one in parts; 0 once it has ended. proc_pid_smaps(5) */
function proportional(pid: number): number {
  try {
    const [, kib = "0"] =
      /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
    return Number(kib) * 1024;
  } catch {
    return 0;
  }
}

/** All that descends from a process. */
export function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const child = Number(name);
    if (!Number.isInteger(child)) continue;
    try {
      // The name, in parentheses, may have anything in it.
      const [, parent = "0"] = readFileSync(`/proc/${name}/stat`, "latin1")
        .replace(/^.*\)/s, "")
        .trim()
        .split(" ");
      children.set(Number(parent), [...(children.get(Number(parent)) ?? []), child]);
    } catch {
      // It has ended meanwhile.
    }
  }
  const below = (id: number): number[] =>
    (children.get(id) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

/** Bytes that a server and all that it has started take, pages that they share once. */
export const together = (pid: number): number =>
  [pid, ...descendantsOf(pid)].reduce((sum, one) => sum + proportional(one), 0);

export const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
