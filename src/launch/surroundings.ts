/**
 * What a sandbox takes in of the system when it is made, and what a warm one would keep when it changes: the files and
 * directories it mounts, with all that is mounted in them, and a network namespace by name.
 */
import { constants, openSync, statSync } from "node:fs";
import { haveMountsChanged } from "../../ffi/libc.ts";
import type { Plan } from "../plan/plan.ts";
import { errnoOf } from "./cgroup/files.ts";

let mountinfo: number | undefined;
/** How often the mount table was found changed. */
let changes = 0;

/** Told by the kernel, not read: another file system in the place of one looks the same in the table. */
function mountTable(): number {
  mountinfo ??= openSync("/proc/self/mountinfo", constants.O_RDONLY | 0o2000000);
  if (haveMountsChanged(mountinfo)) changes++;
  return changes;
}

/** The same text as long as a new sandbox of this plan would take in the same. Never throws: a launch tells what is wrong. */
export function surroundingsOf({ policy }: Plan): string {
  const mounts = policy.mounts ?? [];
  const paths = mounts.flatMap((step) => (step.kind === "bind" ? [step.source] : []));
  if (policy.joinNet !== undefined) paths.push(policy.joinNet);
  const found = paths.map(fileAt);
  if (policy.namespaces.has("mount")) found.push(`${mountTable()}`);
  return found.join(" ");
}

function fileAt(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    return errnoOf(error);
  }
}
