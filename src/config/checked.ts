/** What TypeBox would check slowly, or otherwise than JSON Schema has it: as kinds of our own beside its types. */
import { Kind, type TSchema, Type, TypeRegistry } from "@sinclair/typebox";
import type { Effort, Pattern } from "./pattern/pattern.ts";
import { isMultiple } from "../numbers.ts";
import { isObject } from "../object.ts";

const KIND = "Checked";

interface Check {
  /** True also for what is of another type. */
  readonly fits: (value: unknown) => boolean;
  /** For who is told that it does not fit. */
  readonly wanted: string;
}

TypeRegistry.Set<Check>(KIND, ({ fits }, value) => fits(value));

const withChecks = (base: TSchema, checks: readonly Check[]): TSchema =>
  checks.length === 0
    ? base
    : Type.Intersect([base, ...checks.map((check) => Type.Unsafe({ [Kind]: KIND, ...check }))]);

/** What the kind wants; undefined for schemas of others. */
export const wantedOf = (schema: TSchema): string | undefined =>
  schema[Kind] === KIND ? String(schema["wanted"]) : undefined;

/** Lengths are counted in characters, as JSON Schema has it, where TypeBox counts those beyond U+FFFF twice. */
export function textOf(
  {
    minLength: least,
    maxLength: most,
  }: { readonly minLength?: number; readonly maxLength?: number },
  pattern: { readonly text: string; readonly compiled: Pattern } | undefined,
  effort: Effort,
): TSchema {
  const checks: Check[] = [];
  const text = (wanted: string, fits: (text: string) => boolean) =>
    checks.push({ wanted, fits: (value) => typeof value !== "string" || fits(value) });
  if (least !== undefined) {
    text(
      `expected string length greater or equal to ${least}`,
      (value) => !isShorter(value, least),
    );
  }
  if (most !== undefined) {
    text(`expected string length less or equal to ${most}`, (value) => isShorter(value, most + 1));
  }
  if (pattern !== undefined) {
    text(`expected string to match '${pattern.text}'`, (value) =>
      pattern.compiled.test(value, effort),
    );
  }
  return withChecks(Type.String(), checks);
}

function isShorter(text: string, length: number): boolean {
  if (text.length < length) return true;
  // A character has one or two units.
  if (text.length >= 2 * length) return false;
  let count = 0;
  for (const _ of text) if (++count >= length) return false;
  return true;
}

/** TypeBox takes the remainder of doubles, by which 0.3 is no multiple of 0.1. */
export function stepsOf(number: TSchema, step: number): TSchema {
  const fits = (value: unknown) => typeof value !== "number" || isMultiple(value, step);
  return withChecks(number, [{ fits, wanted: `expected number to be a multiple of ${step}` }]);
}

/** TypeBox hashes each byte in big integers, which takes seconds for a megabyte, and overflows the stack where it is deep. */
export function uniqueOf(list: TSchema): TSchema {
  const fits = (value: unknown) => !Array.isArray(value) || areUnique(value);
  return withChecks(list, [{ fits, wanted: "expected array elements to be unique" }]);
}

function areUnique(values: readonly unknown[]): boolean {
  const scalars = new Set<unknown>();
  const others = new Set<string>();
  for (const value of values) {
    if (typeof value === "object" && value !== null) {
      others.add(canonical(value));
    } else scalars.add(value);
  }
  return scalars.size + others.size === values.length;
}

/** The same text for values that are equal. What is nested too deep for the stack is not let in: see MOST_NESTED in json.ts. */
const canonical = (value: object): string =>
  JSON.stringify(value, (_: string, part: unknown) =>
    isObject(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
