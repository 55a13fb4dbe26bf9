/** Plan files on disk: written whole or not at all, read only where nobody else could have written. */
import { closeSync, constants, fsyncSync, statSync, writeFileSync } from "node:fs";
import { openAt, renameAt, unlinkAt } from "../../ffi/at.ts";
import { readObeyed } from "../config/obeyed.ts";
import { ConfigError } from "../config/problem.ts";
import { trustOf } from "../config/trust.ts";
import { targetOf } from "../config/written.ts";
import { decodePlans } from "./file.ts";
import { type Machine, thisMachine } from "./machine.ts";
import { type ApiPlan, launchable } from "./plan.ts";
import { resolveSource } from "./source.ts";

/** Far above what a thousand commands take: this is to catch a wrong path. */
const MAX_BYTES = 256 * 1024 * 1024;

/**
 * Appears under its name only when it is complete; readable by the owner's group and others, since it holds no secret but what the config holds.
 * @throws Error of what is not written, such as a device, in whose place it would be
 */
export function writePlanFile(path: string, text: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false)
    throw new Error(`${path} is no regular file: name one, or one that is not there`);
  using target = targetOf(path, trustOf(process.geteuid?.() ?? 0));
  const { directory, name } = target;
  const temporary = `${name}.${process.pid}.tmp`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const fd = openAt(directory, temporary, flags, 0o644, path);
  try {
    writeFileSync(fd, text);
    // Else a name may outlive a power cut that its content has not.
    fsyncSync(fd);
    renameAt(directory, temporary, name);
  } catch (error) {
    unlinkAt(directory, temporary);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/**
 * The plans of a file, for a server of this machine and user. Sources that `autocreate` makes are made, as for a config.
 * @throws ConfigError when it cannot be read or trusted, or is not for here
 */
export function readPlanFile(path: string, machine: Machine = thisMachine()): ApiPlan[] {
  try {
    // A plan says what runs as whom.
    const text = readObeyed(path, trustOf(machine.uid), MAX_BYTES);
    const apis = decodePlans(new TextDecoder().decode(text), machine);
    for (const { policy } of apis.flatMap(({ sandboxes }) => sandboxes.flatMap(launchable)))
      for (const step of policy.mounts ?? [])
        if (step.kind === "bind" && step.made)
          resolveSource(step.asked ?? step.source, "made", machine, step.made.owner);
    return apis;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ file: path, path: "", message }]);
  }
}
