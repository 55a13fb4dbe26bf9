/** Accounts that tests run as: their numbers are those of this machine, or of the lane that a suite runs in (lane.ts). */
import { readFileSync } from "node:fs";

function idOf(name: string, usual: number): number {
  const line = new RegExp(`^${name}:[^:]*:(\\d+):`, "m").exec(readFileSync("/etc/passwd", "utf8"));
  return line ? Number(line[1]) : usual;
}

export const isRoot = process.geteuid?.() === 0;

/** An unprivileged uid that owns nothing, and its group: `nobody`. */
export const ORDINARY = idOf("nobody", 65534);
/** Another one: the uid of `daemon`, and its group. */
export const DAEMON = idOf("daemon", 1);

/** The beginning of a command line: where root becomes the ordinary user. */
export const asOrdinary: readonly string[] = isRoot
  ? ["setpriv", `--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"]
  : [];
