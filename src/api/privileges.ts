/** Who may call what. */
import { AfbError } from "../errors.ts";
import type { Caller } from "./client.ts";

/** What a caller may do. */
export interface Grants {
  readonly privileges: ReadonlySet<string> | "all";
  /** The caller gave a token that nobody has handed out. */
  readonly unknownToken?: boolean;
}

/** Tells what a caller may do, asked at each call of a verb that needs a privilege: never remembered. */
export type Granted = (caller: Caller) => Grants;

const NOTHING: Grants = { privileges: new Set() };

/** The default: what needs a privilege is refused to everybody. */
export const grantNothing: Granted = () => NOTHING;
/** For callers that are the user of this very process, and for `--access open`. */
export const grantAll: Granted = () => ({ privileges: "all" });

/** Those that are missing. */
export function missing(needed: readonly string[], { privileges }: Grants): readonly string[] {
  return privileges === "all" ? [] : needed.filter((privilege) => !privileges.has(privilege));
}

/**
 * What a caller is told: insufficient-scope, naming every privilege that is missing; invalid-token where a wrong token may be why.
 * @param why what a permission service has said of it
 */
export function refusal(
  verb: string,
  lacking: readonly string[],
  grants: Grants | undefined,
  why?: string,
): AfbError {
  const noun = lacking.length === 1 ? "the privilege" : "the privileges";
  const what = `${verb} needs ${noun} ${lacking.join(", ")}`;
  if (grants?.unknownToken)
    return new AfbError("invalid-token", `${what}; this token is not known`);
  return new AfbError("insufficient-scope", why === undefined ? what : `${what}; ${why}`);
}
