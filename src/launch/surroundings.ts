/**
 * What a sandbox takes in of the system when it is made, and what a warm one would keep when it changes: the files and
 * directories it mounts, with all that is mounted in them, and a network namespace by name.
 */
import { constants, openSync } from "node:fs";
import { stat } from "node:fs/promises";
import { haveMountsChanged } from "../../ffi/libc.ts";
import type { Plan } from "../plan/plan.ts";
import { errnoOf } from "./cgroup/files.ts";

let mountinfo: number | undefined;
/** How often the mount table was found changed. */
let changes = 0;

/**
 * Told by the kernel, not read: another file system in the place of one looks the same in the table. undefined where it cannot be
 * opened, as without a descriptor that is left.
 */
function mountTable(): number | undefined {
  try {
    mountinfo ??= openSync("/proc/self/mountinfo", constants.O_RDONLY | 0o2000000);
  } catch (error) {
    errnoOf(error);
    return undefined;
  }
  if (haveMountsChanged(mountinfo)) changes++;
  return changes;
}

/** ms. A file system that does not answer, of a network perhaps, must hold up the launches that need it, and nothing else. */
const LIMIT = 100;
/** Asked for, and still without an answer: no further thread waits for these. */
const unanswered = new Set<string>();

/** The same text as long as a new sandbox of this plan would take in the same; undefined when that cannot be told. Never throws. */
export async function surroundingsOf({ policy }: Plan): Promise<string | undefined> {
  const mounts = policy.mounts ?? [];
  const paths = mounts.flatMap((step) => (step.kind === "bind" ? [step.asked ?? step.source] : []));
  paths.push(...(policy.landlock?.hosts ?? []));
  if (policy.joinNet !== undefined) paths.push(policy.joinNet);
  const table = policy.namespaces.has("mount") ? mountTable() : "";
  if (table === undefined) return undefined;
  // A minimal /dev has some devices more than once.
  const files = paths.length > 0 ? await filesAt([...new Set(paths)]) : [];
  return files && [table, ...files].join(" ");
}

async function filesAt(paths: readonly string[]): Promise<string[] | undefined> {
  if (paths.some((path) => unanswered.has(path))) return undefined;
  const asked = new Set(paths);
  const answers = paths.map(async (path) => {
    const found = await fileAt(path);
    asked.delete(path);
    unanswered.delete(path);
    return found;
  });
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => {
    for (const path of asked) unanswered.add(path);
    late.resolve(undefined);
  }, LIMIT);
  const found = await Promise.race([Promise.all(answers), late.promise]);
  clearTimeout(timer);
  return found;
}

async function fileAt(path: string): Promise<string> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  } catch (error) {
    return errnoOf(error);
  }
}
