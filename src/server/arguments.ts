/**
 * The arguments in a REST request: from the URL or from the body (JSON or a form), not from both. A repeated parameter
 * is the list of its values; `query=<JSON>` is the whole argument. `wait`, and what is about session and token, are none.
 */
import { AfbError } from "../errors.ts";
import { requirePlain } from "./coding.ts";
import type { Asked } from "./http/asked.ts";
import { once, type Pairs, parseJson, parseQuery, toArgs, WHOLE } from "./query.ts";
import { HttpError } from "./respond.ts";
import { SESSION_PARAMETERS } from "./session.ts";

/** Header and parameter: `afb` asks for 200 whatever the verb says, as other binders answer. */
export const HTTP_STYLE = "x-afb-http";
const ABOUT_THE_CALL: ReadonlySet<string> = new Set([...SESSION_PARAMETERS, "wait", HTTP_STYLE]);
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
  request: Asked,
  parameters: Pairs,
  body: Uint8Array = new Uint8Array(),
): Arguments {
  const inUrl = toArgs(parameters, ABOUT_THE_CALL);
  const texts = !parameters.has(WHOLE);
  const get = (name: string): string | undefined => once(parameters, name);
  if (request.method !== "POST") return { args: inUrl, texts, get };
  if (body.length === 0) return { args: inUrl, texts, get };
  if (inUrl !== undefined) {
    throw new AfbError("invalid-request", "give the arguments in the URL or in the body, not both");
  }
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  requirePlain((name) => request.headers.get(name) ?? undefined);
  // RFC 6839, section 3.1, such as application/cloudevents+json: no form of a page can say so either.
  switch (type?.replace(/^application\/.+\+json$/, "application/json")) {
    case "application/json":
      return { args: parseJson(utf8(body), "body"), texts: false, get };
    case "application/x-www-form-urlencoded": {
      const text = utf8(body);
      if (JSON_TEXT.test(text)) throw new HttpError(415, LOOKS_LIKE_JSON);
      const form = parseQuery(text, "body");
      return {
        args: toArgs(form, ABOUT_THE_CALL),
        texts: !form.has(WHOLE),
        get: (name) => get(name) ?? once(form, name),
      };
    }
    default: {
      // Nothing is said of it: JSON is the only thing that cannot be taken for another.
      const value = type === "" ? valueOf(body) : undefined;
      if (value) return { args: value.json, texts: false, get };
      throw new HttpError(
        415,
        "send a body of Content-Type application/json or application/x-www-form-urlencoded",
        { "accept-post": "application/json, application/x-www-form-urlencoded" },
      );
    }
  }
}

/** The value of a body that is JSON. */
function valueOf(body: Uint8Array): { json: unknown } | undefined {
  try {
    return { json: parseJson(utf8(body), "body") };
  } catch (error) {
    if (error instanceof AfbError) return undefined;
    throw error;
  }
}

/** It is what curl -d sends. Not taken for JSON: pages of anybody may send forms. */
const LOOKS_LIKE_JSON =
  "the body looks like JSON, but its Content-Type is application/x-www-form-urlencoded (what curl -d says by itself): " +
  "send it as application/json (curl -H 'Content-Type: application/json', or --json)";

/** Or was to be: a form has no such begin as it is. Else JSON is one word or number. */
const JSON_TEXT =
  /^\s*(?:[[{"]|(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*$)/;

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new AfbError("invalid-request", "body is not UTF-8");
  }
}

/**
 * `wait=true`: until the end of the task. `Prefer: wait=SECONDS` (RFC 7240): so long at most; the task goes on, and the reply tells
 * how it can be followed.
 */
export function readWait(
  parameter: string | undefined,
  prefer: string | undefined,
): boolean | number {
  if (parameter !== undefined) return !["false", "no", "0"].includes(parameter.toLowerCase());
  const seconds = /(?:^|[,;])[\t ]*wait[\t ]*=[\t ]*"?(\d+)"?[\t ]*(?:[,;]|$)/i.exec(prefer ?? "");
  return seconds ? Number(seconds[1]) : false;
}
