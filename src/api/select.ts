/** Names of APIs as the arguments of `monitor` give them: one, a list, or an object `{name: true}`; "*" is all. */
import { findCased } from "../cased.ts";
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";

/** @throws AfbError for a name that is not an API, nor one of `special` */
export function namesIn(
  value: unknown,
  apis: readonly string[],
  what: string,
  special: readonly string[] = [],
): string[] {
  const given = isObject(value)
    ? Object.keys(value).filter((name) => value[name] !== false && value[name] !== null)
    : Array.isArray(value)
      ? value
      : [value];
  // A list of one name a hundred thousand times is that name.
  const names = [...new Set<unknown>(given)].flatMap((name) => {
    if (name === "*") return apis;
    if (typeof name !== "string") {
      throw new AfbError(
        "invalid-request",
        `${what}: expected names of APIs, not ${JSON.stringify(name)}`,
      );
    }
    if (special.includes(name)) return [name];
    const api = findCased(name, apis);
    if (api !== undefined) return [api];
    const near = suggestion(name, apis);
    throw new AfbError(
      "unknown-api",
      `no API \`${name.slice(0, 80)}\`${near} (there is ${apis.join(", ")})`,
    );
  });
  return [...new Set(names)];
}
