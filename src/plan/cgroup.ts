/**
 * cgroups → what to write to which file of a group, checked as far as it can be without the machine.
 * See the kernel's Documentation/admin-guide/cgroup-v2.rst for every file named here.
 */
import type { Cgroups } from "../config/sandbox-schema.ts";
import { cpuMax, cpus, ioLine, size, whole } from "./cgroup-values.ts";
import type { Report } from "./report.ts";

/** The controllers that the config can ask for, by their names in cgroup.controllers. */
export type Controller = "cpu" | "cpuset" | "io" | "memory" | "pids";

/** One write of one value to one file of a group. */
export interface CgroupSetting {
  readonly controller: Controller;
  /** Such as `memory.max`. */
  readonly file: string;
  readonly value: string;
}

/** The limits of a sandbox. */
export interface CgroupPolicy {
  /** JSON path of the `cgroups` object, for what is only found when the groups are made. */
  readonly path: string;
  /** Mount point of the cgroup v2 hierarchy; undefined: the one that is mounted. */
  readonly mount: string | undefined;
  /** Start without the limits whose controller is missing, and say so. */
  readonly optional: boolean;
  /** Of the group that all tasks of the sandbox share. */
  readonly shared: readonly CgroupSetting[];
  /** Of the group of each task. */
  readonly task: readonly CgroupSetting[];
}

type Limits = NonNullable<Cgroups["task"]>;

/** @param online the CPUs that exist; without it a list of CPUs is only checked for its form */
export function compileCgroups(
  cgroups: Cgroups | undefined,
  path: string,
  report: Report,
  online?: ReadonlySet<number>,
): CgroupPolicy | undefined {
  if (cgroups === undefined) return undefined;
  const { mount, task = {}, optional = false } = cgroups;
  if (mount !== undefined && !mount.startsWith("/"))
    report.problem(`${path}.mount`, `${JSON.stringify(mount)} must be an absolute path`);
  return {
    path,
    mount,
    optional,
    shared: compileLimits(cgroups, path, report, online),
    task: compileLimits(task, `${path}.task`, report, online),
  };
}

function compileLimits(
  { mem = {}, cpu = {}, io = [], pids, cset }: Limits,
  path: string,
  report: Report,
  online: ReadonlySet<number> | undefined,
): CgroupSetting[] {
  const settings: CgroupSetting[] = [];
  const add = (
    key: string,
    text: string | undefined,
    controller: Controller,
    file: string,
    check: (text: string) => string,
  ) => {
    if (text === undefined) return;
    const value = report.attempt(`${path}.${key}`, () => check(text));
    if (value !== undefined) settings.push({ controller, file, value });
  };

  add("cset", cset, "cpuset", "cpuset.cpus", (text) => cpus(text, online));
  const limit = (text: string) => size(text, 1n);
  const amount = (text: string) => size(text, 0n);
  add("mem.max", mem.max, "memory", "memory.max", limit);
  add("mem.high", mem.high ?? mem.hight, "memory", "memory.high", limit);
  if (mem.high !== undefined && mem.hight !== undefined && mem.high !== mem.hight)
    report.problem(
      `${path}.mem.hight`,
      "the old spelling of high, which says otherwise: remove it",
    );
  add("mem.min", mem.min, "memory", "memory.min", amount);
  add("mem.swap", mem.swap, "memory", "memory.swap.max", amount);
  add("cpu.weight", cpu.weight, "cpu", "cpu.weight", (text) => whole(text, 1, 10_000));
  add("cpu.max", cpu.max, "cpu", "cpu.max", cpuMax);
  const devices = new Set<string>();
  for (const [i, line] of io.entries()) {
    add(`io[${i}]`, line, "io", "io.max", (text) => ioLine(text, devices));
  }
  // The largest pid that Linux can have, PID_MAX_LIMIT.
  add("pids", pids, "pids", "pids.max", (text) =>
    text.toLowerCase() === "max" ? "max" : whole(text, 1, 4_194_304),
  );
  return settings;
}
