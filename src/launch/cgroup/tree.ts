/** Ending what lives in a group and its subgroups, and removing them. */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { isExhaustion } from "../../errors.ts";
import { counter, errnoOf, isGone, put, words } from "./files.ts";

/** Kills every process of the group and its subgroups. A group that is gone has none. */
export function killTree(group: string): void {
  try {
    put(group, "cgroup.kill", "1");
  } catch (error) {
    if (!isGone(error)) throw error;
    // Before Linux 5.14. Frozen, no process can fork away from the list; SIGKILL reaches the frozen ones.
    for (const dir of groupsOf(group)) killListed(dir);
  }
}

function killListed(group: string): void {
  try {
    put(group, "cgroup.freeze", "1");
    // Processes outside of our pid namespace are listed as 0.
    for (const pid of words(group, "cgroup.procs")) if (pid !== "0") kill(Number(pid));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/** The group and all below it, deepest first. */
function groupsOf(group: string): string[] {
  let below: string[] = [];
  try {
    below = readdirSync(group, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => groupsOf(join(group, name)));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  return [...below, group];
}

/** Removes the group and all below it; false when processes are left in it. */
export function tryRemove(group: string): boolean {
  // As a rule there is none below it.
  return removed(group) || groupsOf(group).every(removed);
}

function removed(group: string): boolean {
  try {
    rmdirSync(group);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return true;
    if (errno === "EBUSY" || errno === "ENOTEMPTY") return false;
    throw error;
  }
  return true;
}

/** Removes the group, or kills what is left in it. False also while there is too little of something to do so. */
function tried(group: string): boolean {
  try {
    if (tryRemove(group)) return true;
    if (counter(group, "cgroup.events", "populated") !== 0) killTree(group);
  } catch (error) {
    if (!isExhaustion(errnoOf(error))) throw error;
  }
  return false;
}

/**
 * Kills what is left and removes the group, once the kernel has taken the dead apart: at most `limit` ms.
 * @returns whether it is gone
 */
export async function endTree(group: string, limit: number): Promise<boolean> {
  const end = performance.now() + limit;
  for (let pause = 1; !tried(group); pause = Math.min(pause * 2, 50)) {
    if (performance.now() > end) return false;
    // The kernel has an event for this, but through fs.watch it costs more than the usual single pause.
    await Bun.sleep(pause);
  }
  return true;
}
