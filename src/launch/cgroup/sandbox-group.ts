/** The group of one sandbox: the limits its tasks share, and those of each task, tried out so that no request finds them wrong. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { CgroupPolicy, CgroupSetting, Controller } from "../../plan/cgroup.ts";
import { enable } from "./controllers.ts";
import { apply, errnoOf } from "./files.ts";
import { notMade } from "./made.ts";

/**
 * Out of memory, the kernel is to kill the task, not one process of it: half a task is no outcome. It is asked for the victim's
 * task also when the sandbox has reached its limit, not the task.
 */
const KILL_TOGETHER: CgroupSetting = {
  controller: "memory",
  file: "memory.oom.group",
  value: "1",
};

export function controllersOf({ shared, task }: CgroupPolicy): Controller[] {
  return [...new Set([...shared, ...task].map(({ controller }) => controller))];
}

/** @throws CgroupUnavailable */
export function makeGroupOf(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    throw notMade(path, errnoOf(error));
  }
}

/**
 * Makes the group with the limits that can be had.
 * @param missing why a controller is not there
 * @param lacks is told what cannot be had, with its JSON path
 * @returns the settings of each task group, and whether memory is counted there
 * @throws CgroupUnavailable where there can be no group, or none of a task in it
 */
export function makeSandboxGroup(
  group: string,
  policy: CgroupPolicy,
  missing: ReadonlyMap<Controller, string>,
  lacks: (path: string, message: string) => void,
): { task: CgroupSetting[]; countsMemory: boolean } {
  makeGroupOf(group);
  const has = new Set(controllersOf(policy));
  const drop = (name: Controller, why: string | undefined) => {
    if (why === undefined) return;
    has.delete(name);
    lacks(policy.path, why);
  };
  for (const name of has) drop(name, missing.get(name));
  const inTasks = new Set(policy.task.map(({ controller }) => controller));
  // Also when only the sandbox is limited: its events tell which of the tasks was killed.
  inTasks.add("memory");
  for (const name of inTasks) if (has.has(name)) drop(name, enable(group, name));

  const { path } = policy;
  limit(group, policy.shared, has, (message) => lacks(path, message));
  const probe = join(group, "probe");
  try {
    makeGroupOf(probe);
  } catch (error) {
    rmdirSync(group);
    throw error;
  }
  const task = limit(probe, policy.task, has, (message) => lacks(`${path}.task`, message));
  rmdirSync(probe);
  return counted(task, has.has("memory"));
}

/** What each task gets of these, where the kernel counts its memory, and where not. */
export const counted = (task: readonly CgroupSetting[], countsMemory: boolean) => ({
  task: countsMemory ? [...task, KILL_TOGETHER] : [...task],
  countsMemory,
});

/** @returns those of the settings that could be made in the group, of the controllers that it has; of the others it is said why */
export const limit = (
  group: string,
  settings: readonly CgroupSetting[],
  has: ReadonlySet<Controller>,
  lacks: (message: string) => void,
): CgroupSetting[] =>
  settings.filter((setting) => {
    if (!has.has(setting.controller)) return false;
    const refusal = apply(group, setting);
    if (!refusal) return true;
    const { errno, meaning } = refusal;
    lacks([`${setting.file}: ${setting.value}`, errno, meaning].filter(Boolean).join(": "));
    return false;
  });
