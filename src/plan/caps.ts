/** caps → the exact set of capabilities. See capabilities(7). */
import type { Cap } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Identity } from "./policy.ts";
import type { Report } from "./report.ts";

/** capability.h */
const CAP_SYS_ADMIN = 21;

/**
 * The capabilities of the command, exactly; undefined leaves them untouched, which happens only where that grants nothing
 * that was not said: root that was asked for by name, or an unprivileged server without a user namespace.
 */
export function compileCaps(
  caps: readonly Cap[] | undefined,
  path: string,
  identity: Identity | undefined,
  userNamespace: boolean,
  machine: Machine,
  report: Report,
): number[] | undefined {
  const set = new Set<number>();
  for (const [i, { cap, mode }] of (caps ?? []).entries()) {
    const number = report.attempt(`${path}[${i}].cap`, () => {
      const found = machine.cap(cap);
      if (found === undefined)
        throw new Error(`unknown capability ${JSON.stringify(cap)}, see capabilities(7)`);
      return found;
    });
    if (number === undefined) continue;
    if (mode === "unset") set.delete(number);
    else set.add(number);
  }
  if (!machine.privileged && !userNamespace) {
    if (set.size > 0) {
      report.notice(
        path,
        "not granted: the server runs unprivileged and the sandbox has no user namespace",
      );
    }
    return undefined;
  }
  // In a user namespace root would have all of them over what the sandbox is made of: it could undo read-only mounts.
  if (caps === undefined && identity?.uid === 0 && !userNamespace) return undefined;
  if (set.has(CAP_SYS_ADMIN)) {
    report.notice(
      path,
      "SYS_ADMIN lets the commands change the mounts of their sandbox, read-only ones too",
    );
  }
  return [...set].sort((a, b) => a - b);
}
