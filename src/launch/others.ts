/** The processes of a task besides its command, from proc_pid_task_children(5). */
import { readdirSync, readFileSync } from "node:fs";
import { errnoOf } from "./cgroup/files.ts";

/** Of a fork bomb it does not matter how many there are, and nobody is to wait while they are counted. */
const MOST = 256;

/**
 * How many descendants of a supervisor there are but for the command and the init of its namespace, {@link MOST} at most. They come
 * and go meanwhile; 0 also where the kernel does not tell children (CONFIG_PROC_CHILDREN).
 */
export function othersOf(supervisor: number, command: number): number {
  const found = new Set(childrenOf(supervisor));
  let inits = 0;
  for (const pid of found) {
    const children = childrenOf(pid);
    // The init has no other child at first, and is no process of the command's.
    if (children.includes(command)) inits++;
    for (const child of children) found.add(child);
    if (found.size >= MOST) break;
  }
  return Math.min(found.size, MOST) - inits - (found.has(command) ? 1 : 0);
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1")
        .split(" ")
        .filter((text) => text !== "")
        .map(Number),
    );
  } catch (error) {
    // It has gone meanwhile, or is hidden (hidepid), or this kernel does not tell, or no descriptor is left to read it with: a
    // number is missing then, and nothing that ends a task waits for it.
    errnoOf(error);
    return [];
  }
}
