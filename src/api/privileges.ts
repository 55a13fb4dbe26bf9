/** Who may call what. */
import { AfbError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import type { Session } from "./client.ts";

/** The privileges of a caller; "all" for one that is not limited. */
export type Granted = (session: Session) => ReadonlySet<string> | "all";

/**
 * The default. Where nothing hands out privileges (the original server without Cynagora), whoever can connect may call:
 * access is then a matter of the socket, its permissions and the tokens of the transport.
 */
export const grantAll: Granted = () => "all";

/** Throws insufficient-scope, naming every privilege that is missing. */
export function requirePrivileges(plan: Plan, granted: ReadonlySet<string> | "all"): void {
  requireAll(`${plan.api}/${plan.verb}`, plan.privileges, granted);
}

/** The same for any verb. */
export function requireAll(
  verb: string,
  privileges: readonly string[],
  granted: ReadonlySet<string> | "all",
): void {
  if (granted === "all") return;
  const missing = privileges.filter((privilege) => !granted.has(privilege));
  if (missing.length === 0) return;
  const noun = missing.length === 1 ? "the privilege" : "the privileges";
  throw new AfbError("insufficient-scope", `${verb} needs ${noun} ${missing.join(", ")}`);
}
