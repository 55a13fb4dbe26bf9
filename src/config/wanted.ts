/** What a JSON Schema of `params` wants, in words: range, length, pattern and values, whatever was wrong. */
import { isObject } from "../object.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Such as `an integer from 0 to 9`, `a string of at most 8 characters like /^[a-z]+$/`, `one of "a", "b"`. */
export function wordsOf(schema: unknown): string {
  if (!isObject(schema)) return "a value";
  if (Object.hasOwn(schema, "const")) return JSON.stringify(schema["const"]);
  const { enum: words, anyOf } = schema;
  if (Array.isArray(words)) {
    const all = words.map((word) => JSON.stringify(word)).join(", ");
    return words.length === 1 ? all : `one of ${all}`;
  }
  if (Array.isArray(anyOf)) return anyOf.map(wordsOf).join(", or ");
  return [schema["type"]]
    .flat()
    .map((type) => ofType(String(type), schema))
    .join(", or ");
}

/** The schema of the part of a value at a JSON pointer; undefined where it is not written. */
export function schemaAt(schema: unknown, pointer: string): unknown {
  let at: unknown = schema;
  for (const key of pointer.split("/").slice(1)) {
    if (!isObject(at)) return undefined;
    const name = key.replaceAll("~1", "/").replaceAll("~0", "~");
    const { properties, items, additionalProperties } = at;
    if (isObject(properties) && Object.hasOwn(properties, name)) at = properties[name];
    else at = /^\d+$/.test(name) && items !== undefined ? items : additionalProperties;
  }
  return isObject(at) && at !== schema ? at : pointer === "" ? schema : undefined;
}

function ofType(type: string, schema: Schema): string {
  switch (type) {
    case "integer":
    case "number": {
      const multiple = numberIn(schema, "multipleOf");
      const steps = multiple === undefined ? "" : `, a multiple of ${multiple}`;
      return `${type === "integer" ? "an integer" : "a number"}${range(schema)}${steps}`;
    }
    case "string": {
      const pattern = typeof schema["pattern"] === "string" ? ` like /${schema["pattern"]}/` : "";
      return `a string${count(schema, "minLength", "maxLength", "character")}${pattern}`;
    }
    case "array": {
      const different = schema["uniqueItems"] === true ? ", all different" : "";
      return `a list${count(schema, "minItems", "maxItems", "element")}${different}`;
    }
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    default:
      return "an object";
  }
}

function numberIn(schema: Schema, key: string): number | undefined {
  const value = schema[key];
  return typeof value === "number" ? value : undefined;
}

function range(schema: Schema): string {
  const least = numberIn(schema, "minimum");
  const most = numberIn(schema, "maximum");
  const above = numberIn(schema, "exclusiveMinimum");
  const below = numberIn(schema, "exclusiveMaximum");
  const bounds = [
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
  ];
  if (least !== undefined && most !== undefined) bounds.unshift(`from ${least} to ${most}`);
  else if (least !== undefined) bounds.unshift(`of at least ${least}`);
  else if (most !== undefined) bounds.unshift(`of at most ${most}`);
  return bounds.length === 0 ? "" : ` ${bounds.join(" and ")}`;
}

function count(schema: Schema, lower: string, upper: string, what: string): string {
  const least = numberIn(schema, lower);
  const most = numberIn(schema, upper);
  const units = (n: number): string => `${n} ${what}${n === 1 ? "" : "s"}`;
  if (least !== undefined && most !== undefined)
    return least === most ? ` of ${units(least)}` : ` of ${least} to ${units(most)}`;
  if (least !== undefined) return ` of at least ${units(least)}`;
  return most === undefined ? "" : ` of at most ${units(most)}`;
}
