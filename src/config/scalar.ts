/** The leaves of the schema: words, strings, numbers, booleans; and what is expected of each, in words. */
import {
  KindGuard,
  type TInteger,
  type TNumber,
  type TSchema,
  type TString,
} from "@sinclair/typebox";
import { type Annotations, annotations, spellings } from "./annotations.ts";
import { suggestion } from "./nearest.ts";
import { excerpt, type Report } from "./place.ts";

/** The normal form of a scalar, or undefined after a report. */
export function conformScalar(
  schema: TSchema,
  value: unknown,
  path: string,
  report: Report,
): unknown {
  const notes = annotations(schema);
  const wrong = (hint = "") =>
    report(path, `found ${excerpt(value)}, expected ${expectation(schema)}${hint}`);

  if (notes.words !== undefined) {
    const known = spellings(notes);
    const word = typeof value === "string" ? known.get(value.toLowerCase()) : undefined;
    if (word === undefined) {
      wrong(typeof value === "string" ? suggestion(value, known.keys()) : "");
    }
    return word;
  }
  if (KindGuard.IsString(schema)) {
    if (notes.text === true && typeof value === "number") {
      const fault = numberFault(schema, value);
      if (fault !== undefined) return void report(path, `found ${excerpt(value)}, ${fault}`);
    }
    const text = isTextFor(schema, value) ? String(value) : value;
    if (typeof text !== "string") return void wrong();
    const fault = stringFault(schema, text);
    if (fault === undefined) return text;
    return void report(path, `found ${excerpt(value)}, ${fault}`);
  }
  if (KindGuard.IsNumber(schema) || KindGuard.IsInteger(schema)) {
    return isNumberFor(schema, value) ? value : void wrong();
  }
  if (KindGuard.IsBoolean(schema)) return typeof value === "boolean" ? value : void wrong();
  throw new Error(`the schema uses a kind that the walker does not know, at ${path}`);
}

/** What can be written for a text. True is no number. */
const isTextFor = (schema: TString, value: unknown): boolean =>
  annotations(schema).text === true &&
  (typeof value === "number" ||
    (typeof value === "boolean" && annotations(schema).maximum === undefined));

/** Of a number where a text may be. */
function numberFault(schema: TString, value: number): string | undefined {
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    return "which as a JSON number is not exact: write it in double quotes";
  const { minimum = 0, maximum } = annotations(schema);
  if (maximum === undefined) return undefined;
  const fits = Number.isInteger(value) && value >= minimum && value <= maximum;
  return fits ? undefined : `expected ${expectation(schema)}`;
}

/** Of a schema's pattern, since a config has thousands of texts of a few. */
const regExps = new Map<string, RegExp>();

function regExp(pattern: string): RegExp {
  const made = regExps.get(pattern) ?? new RegExp(pattern, "u");
  regExps.set(pattern, made);
  return made;
}

function stringFault(schema: TString, text: string): string | undefined {
  // Neither can reach the kernel: a C string ends at NUL, and half a surrogate pair has no UTF-8.
  if (text.includes("\0")) return "which contains a NUL character";
  if (!text.isWellFormed()) return "which contains half of a surrogate pair";
  const { minLength, maxLength, pattern } = schema;
  const fits =
    text.length >= (minLength ?? 0) &&
    text.length <= (maxLength ?? Infinity) &&
    (pattern === undefined || regExp(pattern).test(text));
  return fits ? undefined : `expected ${expectation(schema)}`;
}

function isNumberFor(schema: TNumber | TInteger, value: unknown): value is number {
  if (typeof value !== "number" || !Number.isFinite(value)) return false;
  if (KindGuard.IsInteger(schema) && !Number.isSafeInteger(value)) return false;
  const { minimum, maximum } = schema;
  return value >= (minimum ?? -Infinity) && value <= (maximum ?? Infinity);
}

/** What the schema wants, such as "an integer from 0 to 9 (verbosity)". */
export function expectation(schema: TSchema): string {
  const { description } = annotations(schema);
  return description === undefined ? shape(schema) : `${shape(schema)} (${description})`;
}

function shape(schema: TSchema): string {
  const notes = annotations(schema);
  if (notes.words !== undefined) {
    const aliases = Object.keys(notes.words);
    const also = aliases.length > 0 ? ` (also ${aliases.join(", ")})` : "";
    return `one of ${(notes.enum ?? []).join(", ")}${also}`;
  }
  if (KindGuard.IsString(schema)) return stringShape(schema);
  if (KindGuard.IsInteger(schema)) return `an integer${range(annotations(schema))}`;
  if (KindGuard.IsNumber(schema)) return `a number${range(annotations(schema))}`;
  if (KindGuard.IsBoolean(schema)) return "true or false";
  if (KindGuard.IsArray(schema)) return "a list";
  if (KindGuard.IsUnion(schema)) return schema.anyOf.map(shape).join(" or ");
  return notes.shorthand === undefined ? "an object" : "a string or an object";
}

function stringShape(schema: TString): string {
  const { minLength, maxLength, pattern } = schema;
  const notes = annotations(schema);
  if (notes.maximum !== undefined) return `a string, or an integer${range(notes)}`;
  if (pattern !== undefined) return `a string like /${pattern}/`;
  if (maxLength !== undefined) return `a string of at most ${maxLength} characters`;
  return minLength === 1 ? "a string, not empty" : "a string";
}

function range({ minimum, maximum }: Annotations): string {
  if (minimum === undefined) return maximum === undefined ? "" : ` up to ${maximum}`;
  return maximum === undefined ? ` from ${minimum}` : ` from ${minimum} to ${maximum}`;
}
