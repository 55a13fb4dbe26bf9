/**
 * The arguments in a REST request: from the URL or from the body (JSON or a form), not from both. Of a repeated parameter
 * the last one counts; `query=<JSON>` is the whole argument. `wait`, and what is about session and token, are none.
 */
import { AfbError } from "../errors.ts";
import { parseJson, parseQuery, toArgs, WHOLE } from "./query.ts";
import { HttpError } from "./respond.ts";
import { SESSION_PARAMETERS } from "./session.ts";

const ABOUT_THE_CALL: ReadonlySet<string> = new Set([...SESSION_PARAMETERS, "wait"]);
/** Names in a URL or a form that cannot be those of single arguments. */
export const NOT_ARGUMENTS: ReadonlySet<string> = new Set([...ABOUT_THE_CALL, WHOLE]);

export interface Arguments {
  /** undefined when there are none. */
  readonly args: unknown;
  /** They are an object of texts. */
  readonly texts: boolean;
  /** By name, what is in the URL or in a form, arguments or not. */
  readonly get: (name: string) => string | undefined;
}

/** Throws AfbError. */
export function readArguments(
  request: Request,
  parameters: ReadonlyMap<string, string>,
  body: Uint8Array = new Uint8Array(),
): Arguments {
  const inUrl = toArgs(parameters, ABOUT_THE_CALL);
  const texts = !parameters.has(WHOLE);
  const get = (name: string): string | undefined => parameters.get(name);
  if (request.method !== "POST") return { args: inUrl, texts, get };
  if (body.length === 0) return { args: inUrl, texts, get };
  if (inUrl !== undefined) {
    throw new AfbError("invalid-request", "give the arguments in the URL or in the body, not both");
  }
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (request.headers.has("content-encoding")) {
    throw new HttpError(415, "send the body without Content-Encoding");
  }
  switch (type) {
    case "application/json":
      return { args: parseJson(utf8(body), "body"), texts: false, get };
    case "application/x-www-form-urlencoded": {
      const form = parseQuery(utf8(body), "body");
      return {
        args: toArgs(form, ABOUT_THE_CALL),
        texts: !form.has(WHOLE),
        get: (name) => get(name) ?? form.get(name),
      };
    }
    default:
      throw new HttpError(
        415,
        "send a body of Content-Type application/json or application/x-www-form-urlencoded",
        { "accept-post": "application/json, application/x-www-form-urlencoded" },
      );
  }
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new AfbError("invalid-request", "body is not UTF-8");
  }
}

/** `wait=true`, or `Prefer: wait=SECONDS` (RFC 7240). The seconds do not limit: the time-out of the command does. */
export function readWait(parameter: string | undefined, prefer: string | undefined): boolean {
  if (parameter !== undefined) return !["false", "no", "0"].includes(parameter.toLowerCase());
  return /(^|[,;])\s*wait\s*=/i.test(prefer ?? "");
}
