/** caps → the exact set of capabilities. See capabilities(7). */
import type { Cap } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Identity } from "./policy.ts";
import type { Report } from "./report.ts";
import { capabilityWords } from "./words.ts";

/** capability.h */
const CAP_SYS_ADMIN = 21;

/**
 * The capabilities of the command, exactly; undefined leaves them untouched, which happens only for root that was asked for by
 * name. An ordinary user's server without a user namespace can only leave what it has as ambient ones itself.
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
    const lacking = [...set].filter((cap) => !machine.ambient.has(cap));
    if (lacking.length > 0) {
      report.notice(
        path,
        `not granted: ${lacking.map(capabilityWords).join(", ")}: the server runs unprivileged, without these as ambient capabilities, and the sandbox has no user namespace`,
      );
    }
    return [...set].filter((cap) => machine.ambient.has(cap)).sort((a, b) => a - b);
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
