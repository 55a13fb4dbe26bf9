/**
 * What a sandbox takes in of the system when it is made, and what a warm one would keep when it changes: the files and
 * directories it mounts, with all that is mounted in them, and a network namespace by name.
 */
import { type BigIntStats, closeSync, fstatSync } from "node:fs";
import { AT_FDCWD, handleOn, NOT_KNOWN, RESOLVE } from "../../ffi/openat2.ts";
import type { Plan } from "../plan/plan.ts";
import { statSoon } from "../stat.ts";
import { errnoOf } from "./cgroup/files.ts";
import { mountTable } from "./mount-table.ts";

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
  const table = mountTable();
  if (table === undefined) return undefined;
  // A minimal /dev has some devices more than once.
  const asked = [...new Set(paths)];
  // Threads take longer than an answer that is sure to come.
  const here = table.isLocal ? filesHere(asked) : undefined;
  const files = here ?? (await filesAt(asked));
  return files && [policy.namespaces.has("mount") ? table.changes : "", ...files].join(" ");
}

/** undefined where a way may lead out of the mounts that are known, by /proc, and where that cannot be told. */
function filesHere(paths: readonly string[]): string[] | undefined {
  const found: string[] = [];
  for (const path of paths) {
    const handle = handleOn(AT_FDCWD, path, RESOLVE.NO_MAGICLINKS);
    if (typeof handle === "number") {
      found.push(nameOf(fstatSync(handle, { bigint: true })));
      closeSync(handle);
    } else if (ELSEWHERE.has(handle)) {
      return undefined;
    } else {
      found.push(handle);
    }
  }
  return found;
}

/** Or there is no descriptor left. */
const ELSEWHERE: ReadonlySet<string> = new Set([...NOT_KNOWN, "ELOOP", "EMFILE", "ENFILE"]);

const nameOf = ({ dev, ino }: Pick<BigIntStats, "dev" | "ino">): string => `${dev}:${ino}`;

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
    return nameOf(await statSoon(path));
  } catch (error) {
    return errnoOf(error);
  }
}
