/** Accounts that tests run as: their numbers are those of this machine, or of the lane that a suite runs in (lane.ts). */
import { existsSync, readFileSync } from "node:fs";

/** An early boot may have none. */
const accounts = existsSync("/etc/passwd") ? readFileSync("/etc/passwd", "utf8") : "";

function idOf(name: string, usual: number): number {
  const line = new RegExp(`^${name}:[^:]*:(\\d+):`, "m").exec(accounts);
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
