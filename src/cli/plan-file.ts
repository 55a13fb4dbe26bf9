/** Plan files on disk: written whole or not at all, read only where nobody else could have written. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { ConfigError } from "../config/problem.ts";
import { deciders, distrust } from "../config/trust.ts";
import { decodePlans } from "../plan/file.ts";
import { thisMachine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";

/** Appears under its name only when it is complete; readable by the owner's group and others, since it holds no secret but what the config holds. */
export function writePlanFile(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o644, flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * The plans of a file, for a server of this machine and user.
 * @throws ConfigError when it cannot be read or trusted, or is not for here
 */
export function readPlanFile(path: string): ApiPlan[] {
  try {
    const machine = thisMachine();
    return decodePlans(readTrusted(path, machine.uid), machine);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ file: path, path: "", message }]);
  }
}

/** A plan says what runs as whom: root believes only what nobody else can change. */
function readTrusted(path: string, uid: number): string {
  const real = realpathSync(path);
  const complaint = uid === 0 ? distrust(real, deciders(uid), "others' too") : undefined;
  if (complaint !== undefined) throw new Error(complaint);
  // Non-blocking: opening a FIFO would wait. The check is on what was opened, not on its name.
  const fd = openSync(real, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) throw new Error("it is not a regular file");
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}
