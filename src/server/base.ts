/** The path below which everything is, behind a proxy that gives other paths to other servers: `--base /box`. */
import { AfbError } from "../errors.ts";
import { failure } from "../api/reply.ts";
import type { Answered } from "./http/answer.ts";
import { namesOf } from "./path.ts";
import { respond } from "./respond.ts";

/** Without a trailing slash; empty where everything is at the top. */
export type Base = string;

/** Names that are written in a URL as they are, so that a path has one spelling. */
const PLAIN = /^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$/;

/** Why a text cannot be a base; undefined when it can. */
export function whyNoBase(text: string): string | undefined {
  const names = text.startsWith("/") && !text.endsWith("/") ? namesOf(text) : undefined;
  if (!names?.length || !names.every((name) => PLAIN.test(name)))
    return "expected a path such as /box or /cars/7: letters, digits and . _ ~ -, no slash at its end";
  if (names[0] === "api")
    return "/api is where verbs are where there is no base: take another name";
  return undefined;
}

/** What of a request's target is below the base, beginning with a slash; undefined where it is elsewhere. */
export function below(base: Base, target: string): string | undefined {
  if (base === "") return target;
  if (!target.startsWith(base)) return undefined;
  const rest = target.slice(base.length);
  return rest.startsWith("/") ? rest : undefined;
}

/** The answer to a request that is not below the base. The base itself leads to its index, as links there are relative to it. */
export function elsewhere(base: Base, target: string): Answered {
  const [path = "", ...query] = target.split("?");
  if (path === base) {
    const search = query.length > 0 ? `?${query.join("?")}` : "";
    return new Response(null, { status: 302, headers: { location: `${base}/${search}` } });
  }
  return respond(failure(new AfbError("unknown-api", everythingIs(base))));
}

export const everythingIs = (base: Base): string =>
  `nothing here: everything is below ${base}, as --base says: verbs at ${base}/api/API/VERB`;
