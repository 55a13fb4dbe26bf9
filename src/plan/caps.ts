/** caps → the exact set of capabilities. See capabilities(7). */
import type { Cap } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Identity } from "./policy.ts";
import type { Report } from "./report.ts";
import { isOfIds, voidness } from "./void-caps.ts";
import { capabilityShort, capabilityWords } from "./words.ts";

/** capability.h */
const CAP_SYS_ADMIN = 21;

export interface CapsContext {
  readonly identity: Identity | undefined;
  readonly namespaces: Namespaces;
  readonly newPrivs: boolean;
  readonly machine: Machine;
}

/**
 * The capabilities of the command, exactly; undefined leaves them untouched, which happens only for root that was asked for by
 * name. An ordinary user's server without a user namespace can only leave what it has as ambient ones itself.
 */
export function compileCaps(
  caps: readonly Cap[] | undefined,
  path: string,
  { identity, namespaces, newPrivs, machine }: CapsContext,
  report: Report,
): number[] | undefined {
  /** Where each is set. */
  const places = new Map<number, string>();
  for (const [i, { cap, mode }] of (caps ?? []).entries()) {
    const place = `${path}[${i}].cap`;
    const number = report.attempt(place, () => {
      const found = machine.cap(cap);
      if (found === undefined)
        throw new Error(`unknown capability ${JSON.stringify(cap)}, see capabilities(7)`);
      return found;
    });
    if (number === undefined) continue;
    if (mode === "unset") places.delete(number);
    else places.set(number, place);
  }
  const set = new Set(places.keys());
  const userNamespace = namespaces.own.has("user");
  for (const [cap, place] of places) tellVoid(cap, place, namespaces, machine, report);
  if (userNamespace) tellIds([...set].filter(isOfIds), path, identity, machine, report);
  if (newPrivs && set.size > 0) {
    report.notice(
      path,
      "a set-user-id program, or one with capabilities of its own, has none of these: the kernel takes them away as it gives what the file says",
    );
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

/**
 * What would do nothing is a problem where the config itself says so. That an ordinary server needs a user namespace for what root
 * does without one is told, as all else that such a server cannot grant.
 */
function tellVoid(
  cap: number,
  place: string,
  { own, asksUsers }: Namespaces,
  machine: Machine,
  report: Report,
): void {
  const why = voidness(cap, own, machine.privileged);
  const name = capabilityShort(cap);
  if (why !== undefined) {
    const message = `${name} would do nothing: ${why}`;
    if (machine.privileged || asksUsers) report.problem(place, message);
    else report.notice(place, message);
  } else if (machine.inherits && !own.has("user") && machine.held?.has(cap) === false) {
    report.problem(
      place,
      `the server itself has not ${name}, so no command can: its container needs --cap-add ${name}, its unit CapabilityBoundingSet= with CAP_${name}`,
    );
  }
}

function tellIds(
  caps: readonly number[],
  path: string,
  identity: Identity | undefined,
  machine: Machine,
  report: Report,
): void {
  if (caps.length === 0) return;
  const ids = [...new Set([machine.uid, identity?.uid ?? machine.uid])].sort((a, b) => a - b);
  report.notice(
    path,
    `${caps.map(capabilityShort).join(", ")}: only for uid ${ids.join(" and ")}, and files of ${ids.length > 1 ? "these" : "it"}: the sandbox has users of its own, and no others`,
  );
}
