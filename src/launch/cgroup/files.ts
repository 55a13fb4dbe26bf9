/** The files of one group: small synchronous writes and reads in kernfs, some microseconds each. */
import { closeSync, constants, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { CgroupSetting } from "../../plan/cgroup.ts";
import { cpuList } from "../../plan/cgroup-values.ts";

/** Name of the errno of a failed system call of node:fs; anything else is thrown on. */
export function errnoOf(error: unknown): string {
  if (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    "syscall" in error
  )
    return error.code;
  throw error;
}

/** There is no such file, or its group was removed after it was opened. */
export function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENODEV";
}

/** So often a group is made that others remove meanwhile: far more often than there are servers that end at once. */
const TRIES = 1000;

/**
 * Makes a group and those above it, where there are none. A server that ends removes what is empty, so one above may go before there is
 * one below it; and mkdir(2) may have seen a group that then is none: Bun reports that as EEXIST.
 */
export function makeGroups(group: string): void {
  for (let left = TRIES; ; left--) {
    try {
      mkdirSync(group, { recursive: true });
      return;
    } catch (error) {
      const errno = errnoOf(error);
      if (left === 0 || (errno !== "ENOENT" && errno !== "EEXIST")) throw error;
    }
  }
}

/** Writes a value with one write(2); without O_CREAT, so that a file that the kernel lacks is ENOENT. */
export function put(group: string, file: string, value: string): void {
  const fd = openSync(join(group, file), constants.O_WRONLY);
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** Puts a process into a group, unless it has just ended. */
export function move(pid: string, group: string): void {
  try {
    put(group, "cgroup.procs", pid);
  } catch (error) {
    // It has just ended.
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

export function get(group: string, file: string): string {
  return readFileSync(join(group, file), "utf8");
}

/** The words of a file such as cgroup.controllers. */
export function words(group: string, file: string): string[] {
  return get(group, file).split(/\s+/).filter(Boolean);
}

/** A number of a flat keyed file such as memory.events; undefined without the file, its group, or that number. */
export function counter(group: string, file: string, name: string): number | undefined {
  try {
    return numberOf(get(group, file), name);
  } catch (error) {
    if (!isGone(error)) throw error;
    return undefined;
  }
}

/** What the text of a flat keyed file has behind a name at the beginning of a line. */
export function numberOf(text: string, name: string): number | undefined {
  const key = `${name} `;
  const line = text.indexOf(`\n${key}`) + 1;
  if (line === 0 && !text.startsWith(key)) return undefined;
  // As far as the end of the line.
  return Number.parseInt(text.slice(line + key.length), 10);
}

/** What each error means when a limit is written. */
const MEANING: Readonly<Record<string, string>> = {
  ENOENT: "this kernel has no such limit",
  ENODEV: "there is no such device here",
  EACCES: "the group does not belong to this user",
  EINVAL: "the kernel refuses this value",
  ERANGE: "the kernel refuses this value",
};

/** A setting that could not be made. */
export interface Refusal {
  readonly setting: CgroupSetting;
  readonly errno: string;
  readonly meaning: string;
}

/** Makes one setting; says why when that fails. */
export function apply(group: string, setting: CgroupSetting): Refusal | undefined {
  const { file, value } = setting;
  try {
    put(group, file, value);
    if (file === "cpuset.cpus") return effective(group, setting);
  } catch (error) {
    const errno = errnoOf(error);
    return { setting, errno, meaning: MEANING[errno] ?? "" };
  }
  return undefined;
}

/** The kernel takes any list and, when the parent has none of its CPUs, lets the tasks run on all of the parent's. */
function effective(group: string, setting: CgroupSetting): Refusal | undefined {
  const given = get(group, "cpuset.cpus.effective").trim();
  const wanted = cpuList(setting.value);
  if (given !== "" && [...cpuList(given)].every((cpu) => wanted.has(cpu))) return undefined;
  return { setting, errno: "", meaning: `the CPUs that the parent group leaves are ${given}` };
}
