/**
 * JSON Schema, as a user writes it, → TypeBox schema.
 *
 * TypeBox checks only schemas it has built, so the JSON Schema is rebuilt with TypeBox's constructors. The keywords
 * that have an exact counterpart are taken; any other is a problem at boot, never a check that silently does nothing.
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { stepsOf, textOf, uniqueOf } from "./checked.ts";
import { PatternError } from "./pattern/parse.ts";
import { compilePattern, type Effort } from "./pattern/pattern.ts";
import { element, excerpt, member, type Report } from "./place.ts";
import { isObject } from "../object.ts";

type Schema = Readonly<Record<string, unknown>>;

export const ANNOTATIONS = [
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "$comment",
];
export const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  string: ["minLength", "maxLength", "pattern"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
  array: ["items", "minItems", "maxItems", "uniqueItems"],
  object: ["properties", "required", "additionalProperties"],
};
/** Keywords whose value is made of schemas, handled by their own code. */
const STRUCTURE = new Set(["items", "properties", "required", "additionalProperties"]);

/**
 * The TypeBox schema of a JSON Schema; what it cannot express is reported.
 * @param effort what its patterns spend
 */
export function rebuild(schema: unknown, path: string, report: Report, effort: Effort): TSchema {
  if (schema === true) return Type.Unknown();
  if (!isObject(schema)) {
    report(path, `found ${excerpt(schema)}, expected a JSON Schema (an object)`);
    return Type.Never();
  }
  const accept = (keywords: readonly string[]) => {
    for (const key of Object.keys(schema)) {
      if (keywords.includes(key) || ANNOTATIONS.includes(key)) continue;
      const known = keywords.join(", ");
      report(
        member(path, key),
        `the keyword \`${key}\` is not supported here; supported: ${known}`,
      );
    }
  };
  if (Object.hasOwn(schema, "const")) {
    accept(["const"]);
    return literals([schema["const"]], member(path, "const"), report);
  }
  if (Object.hasOwn(schema, "enum")) {
    accept(["enum", "type"]);
    const { type } = schema;
    const words = literals(schema["enum"], member(path, "enum"), report);
    if (type === undefined) return words;
    const rest = rebuild({ type }, path, report, effort);
    const values: unknown = schema["enum"];
    const others = Array.isArray(values) ? values.filter((value) => !isOf(type, value)) : [];
    if (
      others.length > 0 &&
      others.length === (values as unknown[]).length &&
      [type].flat().every(isType)
    )
      report(member(path, "enum"), `none of these is of type ${String(type)}: nothing fits`);
    return Type.Intersect([words, rest]);
  }
  if (Object.hasOwn(schema, "anyOf")) {
    accept(["anyOf"]);
    return union(schema["anyOf"], member(path, "anyOf"), report, effort);
  }
  const types: unknown[] = [schema["type"]].flat();
  const known = types.filter(isType);
  if (known.length !== types.length || known.length === 0) {
    const all = Object.keys(KEYWORDS).join(", ");
    report(member(path, "type"), `expected a type (${all}), or enum, const, anyOf`);
    return Type.Never();
  }
  accept([
    "type",
    ...known.flatMap((type) => KEYWORDS[String(type)] ?? []),
    "enum",
    "const",
    "anyOf",
  ]);
  return Type.Union(known.map((type) => ofType(String(type), schema, path, report, effort)));
}

function ofType(
  type: string,
  schema: Schema,
  path: string,
  report: Report,
  effort: Effort,
): TSchema {
  const options: Record<string, unknown> = {};
  for (const key of KEYWORDS[type] ?? []) {
    const value = schema[key];
    if (value === undefined || STRUCTURE.has(key)) continue;
    const wanted = optionFault(key, value);
    if (wanted === undefined) options[key] = value;
    else report(member(path, key), `found ${excerpt(value)}, expected ${wanted}`);
  }
  const empty = emptyRange(type, options);
  if (empty) report(member(path, empty.key), empty.message);
  if (type === "string") return ofString(options, path, report, effort);
  if (type === "number" || type === "integer") {
    const { multipleOf, ...range } = options;
    const number = type === "number" ? Type.Number(range) : Type.Integer(range);
    return typeof multipleOf === "number" ? stepsOf(number, multipleOf) : number;
  }
  if (type === "boolean") return Type.Boolean();
  if (type === "null") return Type.Null();
  if (type === "array") {
    const { uniqueItems = false, ...lengths } = options;
    const items = rebuild(schema["items"] ?? true, member(path, "items"), report, effort);
    const list = Type.Array(items, lengths);
    return uniqueItems === true ? uniqueOf(list) : list;
  }
  return ofObject(schema, path, report, effort);
}

const isType = (type: unknown): boolean =>
  typeof type === "string" && Object.hasOwn(KEYWORDS, type);

const RANGES = [
  ["minLength", "maxLength"],
  ["minItems", "maxItems"],
  ["minimum", "maximum"],
  ["minimum", "exclusiveMaximum"],
  ["exclusiveMinimum", "maximum"],
  ["exclusiveMinimum", "exclusiveMaximum"],
] as const;

/** Two limits between which there is nothing, such as those that were written the wrong way round: each call would be refused. */
function emptyRange(type: string, options: Schema): { key: string; message: string } | undefined {
  for (const [low, high] of RANGES) {
    const [least, most] = [options[low], options[high]];
    if (typeof least !== "number" || typeof most !== "number") continue;
    const [from, to] =
      type === "integer"
        ? [
            low === "minimum" ? Math.ceil(least) : Math.floor(least) + 1,
            high === "maximum" ? Math.floor(most) : Math.ceil(most) - 1,
          ]
        : [least, most];
    const isOpen = type === "number" && `${low}${high}`.includes("exclusive");
    if (from < to || (from === to && !isOpen)) continue;
    const what = type === "integer" ? "no integer lies" : "nothing lies";
    return { key: high, message: `found ${most}: ${what} between that and ${low}, ${least}` };
  }
  return undefined;
}

/** Whether a value is of one of these types. */
const isOf = (types: unknown, value: unknown): boolean =>
  [types].flat().some((type) => {
    if (type === "integer") return Number.isInteger(value);
    if (type === "null") return value === null;
    return typeof value === type;
  });

function ofString(
  { minLength, maxLength, pattern }: Schema,
  path: string,
  report: Report,
  effort: Effort,
): TSchema {
  const limits = {
    ...(typeof minLength === "number" && { minLength }),
    ...(typeof maxLength === "number" && { maxLength }),
  };
  if (typeof pattern !== "string") return textOf(limits, undefined, effort);
  try {
    return textOf(limits, { text: pattern, compiled: compilePattern(pattern) }, effort);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    report(member(path, "pattern"), `found ${excerpt(pattern)}: ${error.message}`);
    return Type.Never();
  }
}

function ofObject(schema: Schema, path: string, report: Report, effort: Effort): TSchema {
  const { properties = {}, required = [], additionalProperties: rest = true } = schema;
  if (!isObject(properties)) report(member(path, "properties"), "expected an object of schemas");
  if (!Array.isArray(required) || !required.every((key) => typeof key === "string")) {
    report(member(path, "required"), "expected a list of keys");
  }
  const needed = new Set<unknown>(Array.isArray(required) ? required : []);
  const rebuilt: Record<string, TSchema> = {};
  for (const [key, value] of Object.entries(isObject(properties) ? properties : {})) {
    const inner = rebuild(value, member(member(path, "properties"), key), report, effort);
    rebuilt[key] = needed.delete(key) ? inner : Type.Optional(inner);
  }
  for (const key of needed) rebuilt[String(key)] = Type.Unknown();
  const additionalProperties =
    typeof rest === "boolean"
      ? rest
      : rebuild(rest, member(path, "additionalProperties"), report, effort);
  return Type.Object(rebuilt, { additionalProperties });
}

function literals(values: unknown, path: string, report: Report): TSchema {
  const list: unknown[] = Array.isArray(values) ? values : [];
  if (list.length === 0) report(path, "expected a list of values");
  return Type.Union(
    list.map((value) => {
      if (value === null) return Type.Null();
      if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
        report(path, `${value} as a JSON number is not exact: write it in double quotes`);
      }
      if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
        return Type.Literal(value);
      }
      report(path, `found ${excerpt(value)}, expected strings, numbers, booleans or null`);
      return Type.Never();
    }),
  );
}

function union(variants: unknown, path: string, report: Report, effort: Effort): TSchema {
  const list: unknown[] = Array.isArray(variants) ? variants : [];
  if (list.length === 0) report(path, "expected a list of schemas");
  return Type.Union(list.map((variant, i) => rebuild(variant, element(path, i), report, effort)));
}

export const COUNTS = new Set(["minLength", "maxLength", "minItems", "maxItems"]);

/** What the keyword takes, when `value` is not that. */
function optionFault(key: string, value: unknown): string | undefined {
  if (key === "pattern") return typeof value === "string" ? undefined : "a regular expression";
  if (key === "uniqueItems") return typeof value === "boolean" ? undefined : "true or false";
  if (typeof value !== "number") return "a number";
  if (COUNTS.has(key))
    return Number.isSafeInteger(value) && value >= 0 ? undefined : "a whole number from 0 on";
  return key === "multipleOf" && value <= 0 ? "a number above 0" : undefined;
}
