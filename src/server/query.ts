/** Query strings and forms as arguments of a verb. */
import { AfbError } from "../errors.ts";
import { parseForeign, TooManyValues, VALUES } from "../json.ts";

/** The parameter that is the whole argument, as JSON. */
export const WHOLE = "query";

/**
 * Parses `a=1&b=2`, of so many values as JSON may have. Unlike URLSearchParams it refuses what cannot be decoded. Of a repeated key the last one counts.
 * @param what Names the source in the error.
 */
export function parseQuery(text: string, what: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const pair of text.split("&", VALUES + 1)) {
    if (pairs.size >= VALUES)
      throw new AfbError("invalid-request", `${what}: ${new TooManyValues().message}`);
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    pairs.set(decode(name.replaceAll("+", " "), what), decode(value.replaceAll("+", " "), what));
  }
  return pairs;
}

/** Decodes %XX as UTF-8. */
export function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new AfbError("invalid-request", `${what}: "${text}" is not percent-encoded UTF-8`);
  }
}

export function parseJson(text: string, what: string): unknown {
  try {
    return parseForeign(text);
  } catch (error) {
    if (error instanceof TooManyValues)
      throw new AfbError("invalid-request", `${what}: ${error.message}`);
    const reason = error instanceof Error ? error.message : String(error);
    throw new AfbError("invalid-request", `${what} is not JSON: ${reason}`);
  }
}

/** The argument in pairs: the JSON of `query` when there is one, else an object of strings; undefined without pairs. */
export function toArgs(pairs: ReadonlyMap<string, string>, without: ReadonlySet<string>): unknown {
  const query = pairs.get(WHOLE);
  if (query !== undefined) return parseJson(query, `parameter "${WHOLE}"`);
  const entries = [...pairs].filter(([name]) => !without.has(name));
  // fromEntries defines keys: one named __proto__ is a key like any other.
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
