/** Whether there is a place for a mount: nothing can be made below what is shown read-only. */
import { posix } from "node:path";
import { covers } from "./inside.ts";
import type { MountStep } from "./policy.ts";
import { type HostFiles, isUnseen } from "./view.ts";

const ROOT = "/";

/** At a path of the host; `unknown` where nobody can look now, or what is there is of no matter. */
function seenAt(files: HostFiles, path: string): "nothing" | "link" | "unknown" {
  try {
    const found = files.lookup(path);
    if (found === undefined) return "nothing";
    return found.kind === "link" ? "link" : "unknown";
  } catch (error) {
    if (isUnseen(error)) return "unknown";
    throw error;
  }
}

/** Its source is looked for at each launch, or made at the start: what will be there then nobody knows now. */
const isAbsent = (step: MountStep, files: HostFiles): boolean =>
  step.kind === "bind" &&
  (step.optional === true || step.made !== undefined) &&
  seenAt(files, step.source) === "nothing";

/**
 * Why there is none for the first of these steps, as far as that is known before the launch.
 * @param earlier what is mounted before
 */
export function missingBelow(
  [step]: readonly MountStep[],
  earlier: readonly MountStep[],
  files: HostFiles,
): string | undefined {
  // Without a source it needs no place.
  if (!step || (step.kind === "bind" && step.optional && isAbsent(step, files))) return undefined;
  const above = earlier.findLast(({ target }) => covers(target, step.target));
  if (!above || isAbsent(above, files)) return undefined;
  if (above.kind === "bind" && above.target === ROOT) return missingInRoot(above, step, files);
  return missingIn(above, step, files);
}

/** @param above the mount that its target lies in */
function missingIn(above: MountStep, step: MountStep, files: HostFiles): string | undefined {
  if (above.kind === "symlink" && above.target !== step.target)
    return `${step.target}: ${above.target} is a link here: name what it leads to`;
  if (above.kind !== "bind" || !above.flags.readonly) return undefined;
  let at = above.target;
  let source = above.source;
  for (const part of step.target.slice(above.target.length).split("/").slice(1)) {
    [at, source] = [posix.join(at, part), posix.join(source, part)];
    const seen = seenAt(files, source);
    // Where a link leads is found out by the launch.
    if (seen === "link") return undefined;
    if (seen === "nothing")
      return `${step.target}: ${at} does not exist below ${above.source}, which is read-only at ${above.target}: make it there, or mount a tmpfs above it first`;
  }
  return undefined;
}

/** The same where that is the root, in which links are not followed. */
function missingInRoot(
  root: Extract<MountStep, { kind: "bind" }>,
  step: MountStep,
  files: HostFiles,
): string | undefined {
  if (step.kind === "symlink")
    return `no link can be made at ${step.target}: the root is read-only; mount a tmpfs above it first`;
  let at = ROOT;
  for (const part of step.target.split("/").slice(1)) {
    at = posix.join(at, part);
    const seen = seenAt(files, posix.join(root.source, at));
    if (seen === "nothing")
      return `${step.target}: ${at} does not exist below ${root.source}, which is the read-only root: make it there, or mount a tmpfs above it first`;
    if (seen === "link")
      return `${step.target}: ${at} is a link in ${root.source}: name what it leads to`;
  }
  return undefined;
}
