/** What this machine gives the server to launch with: read where the kernel tells it, below 1 ms in all. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { LAUNCH, MEMORY, type Supply } from "./capacity.ts";
import { commandLimit } from "./process-limit.ts";
import { cgroupMounts, ourFiles, type ProcFiles, relative } from "./cgroup/place.ts";

/** Of what a launch takes, all that is limited: for {@link capacity}. */
export function supplies(): Supply[] {
  const groups = ourGroups();
  return [
    descriptors(),
    ...userProcesses(),
    ...groupProcesses(groups),
    ...machineProcesses(),
    ...memory(groups),
  ];
}

export function descriptors(): Supply {
  return {
    name: "descriptors",
    limit: "RLIMIT_NOFILE (LimitNOFILE of systemd)",
    total: limitOf("Max open files"),
    used: openDescriptors(),
    each: LAUNCH.descriptors,
    share: 0.75,
  };
}

/** Since Linux 6.2 the kernel tells their number; before, they are counted. */
export function openDescriptors(): number {
  const { size } = statSync("/proc/self/fd");
  return size > 0 ? size : readdirSync("/proc/self/fd").length;
}

/** The soft limit, `Infinity` where there is none: proc_pid_limits(5). */
function limitOf(name: string): number {
  const line = new RegExp(`^${name} +(\\S+)`, "m").exec(readFileSync("/proc/self/limits", "utf8"));
  return numberOf(line?.[1]);
}

/** `max`, `unlimited` and what is missing are no limit. */
const numberOf = (text: string | undefined): number =>
  text !== undefined && /^\d+$/.test(text.trim()) ? Number(text) : Infinity;

const processes = { name: "processes", each: LAUNCH.processes, share: 0.75 } as const;

/** RLIMIT_NPROC, of which root takes no notice, counts all threads of the user: getrlimit(2). */
function userProcesses(): Supply[] {
  const total = commandLimit();
  if (total === Infinity) return [];
  const all = threadsOfMachine();
  // Each process is looked at only where those of everybody would leave little.
  const used = all < total / 4 ? all : threadsOfUser();
  return [{ ...processes, limit: "RLIMIT_NPROC (LimitNPROC of systemd)", total, used }];
}

function threadsOfUser(): number {
  const uid = process.geteuid?.();
  let threads = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const status = read(`/proc/${pid}/status`) ?? "";
    if (Number(/^Uid:\t(\d+)/m.exec(status)?.[1]) !== uid) continue;
    threads += Number(/^Threads:\t(\d+)/m.exec(status)?.[1]);
  }
  return threads;
}

/** The second half of the fourth word of /proc/loadavg: proc_loadavg(5). */
const threadsOfMachine = (): number =>
  Number(/\/(\d+) /.exec(read("/proc/loadavg") ?? "")?.[1] ?? 0);

function machineProcesses(): Supply[] {
  return ["threads-max", "pid_max"].map((name) => ({
    ...processes,
    limit: `kernel.${name} (sysctl)`,
    total: numberOf(read(`/proc/sys/kernel/${name}`)),
    used: threadsOfMachine(),
  }));
}

/** pids.max of our group and of those above it. */
export function groupProcesses(groups: readonly string[]): Supply[] {
  return groups.flatMap((group) => {
    const total = numberOf(read(join(group, "pids.max")));
    if (total === Infinity) return [];
    const limit = `pids.max of ${group} (TasksMax of systemd)`;
    return [{ ...processes, limit, total, used: numberOf(read(join(group, "pids.current"))) }];
  });
}

export function memory(groups: readonly string[]): Supply[] {
  const each = LAUNCH.memory;
  const text = read("/proc/meminfo") ?? "";
  const kilobytes = (key: string) =>
    Number(new RegExp(`^${key}: +(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  const total = kilobytes("MemTotal");
  const used = total - kilobytes("MemAvailable");
  const machine = { name: MEMORY, limit: "the memory of the machine", total, used };
  const all = total > 0 ? [{ ...machine, each, share: 0.75 }] : [];
  for (const group of groups) {
    const most = numberOf(
      read(join(group, "memory.max")) ?? read(join(group, "memory.limit_in_bytes")),
    );
    // The kernel's way to say "no limit" in cgroup v1 is a number near the greatest there is.
    if (most >= total) continue;
    const now = read(join(group, "memory.current")) ?? read(join(group, "memory.usage_in_bytes"));
    const cache = /^inactive_file (\d+)/m.exec(read(join(group, "memory.stat")) ?? "")?.[1];
    all.push({
      name: MEMORY,
      limit: `the memory limit of ${group} (MemoryMax of systemd)`,
      total: most,
      used: Math.max(Number(now ?? 0) - Number(cache ?? 0), 0),
      each,
      share: 0.75,
    });
  }
  return all;
}

/** Controllers of cgroup v1 that limit what launches take. */
const COUNTED: ReadonlySet<string> = new Set(["memory", "pids"]);

/** The directories of our groups, of every hierarchy that limits what launches take, and of those above them as far as we see. */
export function ourGroups(files: ProcFiles = ourFiles()): string[] {
  const groups = new Set<string>();
  const mounts = cgroupMounts(files.mountinfo);
  for (const line of files.cgroup.split("\n")) {
    const [, id, names, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (names === undefined || path === undefined) continue;
    if (id !== "0" && !names.split(",").some((name) => COUNTED.has(name))) continue;
    const mount = mounts.find(({ controllers }) =>
      id === "0" ? !controllers : names.split(",").every((name) => controllers?.includes(name)),
    );
    const below = mount && relative(mount.root, path);
    if (!mount || below === undefined) continue;
    for (let group = join(mount.point, below); ; group = dirname(group)) {
      groups.add(group.replace(/(.)\/$/, "$1"));
      if (group.length <= mount.point.length) break;
    }
  }
  return [...groups];
}

/** Undefined where there is no such file, or no such process any more. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
