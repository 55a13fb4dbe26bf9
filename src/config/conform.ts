/**
 * Brings a JSON value into the normal form of a schema and reports everything that does not fit.
 *
 * TypeBox's own checker knows nothing of our annotations and stops a union or an object at its outside; walking the
 * schema ourselves gives each problem the path, the finding and the remedy.
 */
import { KindGuard, type TObject, type TSchema } from "@sinclair/typebox";
import { annotations } from "./annotations.ts";
import { suggestion } from "./nearest.ts";
import { element, excerpt, member, type Report } from "./place.ts";
import { conformScalar, expectation } from "./scalar.ts";
import { isWritten, toDoubles } from "../numbers.ts";
import { isObject } from "../object.ts";

/** What is left of a value when its wrong parts are taken out, so that the rest can still be checked. */
export type Draft<T> = T extends readonly (infer E)[]
  ? (Draft<E> | undefined)[]
  : T extends object
    ? { -readonly [K in keyof T]?: Draft<T[K]> | undefined }
    : T;

/** The normal form of `value`. A part that does not fit is reported and undefined; nothing is ever thrown. */
export function conform(schema: TSchema, value: unknown, path: string, report: Report): unknown {
  const { shorthand } = annotations(schema);
  if (shorthand !== undefined && typeof value === "string") {
    return conform({ ...schema, shorthand: undefined }, { [shorthand]: value }, path, report);
  }
  if (KindGuard.IsArray(schema)) {
    // A single value stands for the list of it.
    const items: unknown[] = Array.isArray(value) ? value : [value];
    return items.map((item, index) => conform(schema.items, item, element(path, index), report));
  }
  if (KindGuard.IsObject(schema)) return conformObject(schema, value, path, report);
  if (KindGuard.IsRecord(schema)) {
    if (!isObject(value) || isWritten(value)) return mismatch(schema, value, path, report);
    return conformFree(annotations(schema).exact ? value : toDoubles(value), path, report);
  }
  if (KindGuard.IsUnknown(schema)) return conformFree(value, path, report);
  if (KindGuard.IsUnion(schema)) {
    for (const variant of schema.anyOf) {
      let fits = true;
      const result = conform(variant, value, path, () => (fits = false));
      if (fits) return result;
    }
    // The one that is meant tells what is wrong within.
    const isScalar = typeof value !== "object";
    const likely = schema.anyOf.filter((variant) => KindGuard.IsObject(variant) !== isScalar);
    const [meant] = likely;
    if (meant && likely.length === 1 && (isScalar || isObject(value)))
      return conform(meant, value, path, report);
    return mismatch(schema, value, path, report);
  }
  return conformScalar(schema, plainNumber(schema, value), path, report);
}

/** Of a text that goes on as it is, the number that is written. */
const plainNumber = (schema: TSchema, value: unknown): unknown =>
  isWritten(value) && annotations(schema).exact ? value.rawJSON : toDoubles(value);

/** Of each schema, since a config has thousands of objects of a few. */
const known = new WeakMap<TObject, readonly string[]>();

function keysOf(schema: TObject): readonly string[] {
  const keys = known.get(schema) ?? Object.keys(schema.properties);
  known.set(schema, keys);
  return keys;
}

function conformObject(schema: TObject, value: unknown, path: string, report: Report): unknown {
  if (!isObject(value) || isWritten(value)) return mismatch(schema, value, path, report);
  const keys = keysOf(schema);
  // Own keys only: JSON.parse makes `__proto__` one, which thereby is unknown like any other.
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(schema.properties, key)) continue;
    const hint = suggestion(key, keys) || ";";
    report(member(path, key), `unknown key \`${key}\`${hint} valid keys: ${keys.join(", ")}`);
  }
  const result: Record<string, unknown> = {};
  for (const key of keys) {
    const property = schema.properties[key];
    if (!property) continue;
    const found = Object.hasOwn(value, key) ? value[key] : undefined;
    if (found !== undefined) {
      const fitting = conform(property, found, member(path, key), report);
      if (fitting !== undefined) result[key] = fitting;
    } else if (schema.required?.includes(key)) {
      report(member(path, key), `missing key \`${key}\`: expected ${expectation(property)}`);
    }
  }
  return result;
}

/** A value of any shape, as it is; `__proto__` is refused however deep, lest a later copy take it for the prototype. */
function conformFree(value: unknown, path: string, report: Report): unknown {
  const pending: { value: unknown; path: string }[] = [{ value, path }];
  for (let item = pending.pop(); item !== undefined; item = pending.pop()) {
    const { value: inner, path: place } = item;
    if (Array.isArray(inner)) {
      for (const [i, child] of inner.entries()) {
        pending.push({ value: child, path: element(place, i) });
      }
    } else if (isObject(inner) && !isWritten(inner)) {
      for (const key of Object.keys(inner)) {
        if (key === "__proto__") report(member(place, key), "unknown key `__proto__`");
        else pending.push({ value: inner[key], path: member(place, key) });
      }
    }
  }
  return value;
}

function mismatch(schema: TSchema, value: unknown, path: string, report: Report): undefined {
  report(path, `found ${excerpt(toDoubles(value))}, expected ${expectation(schema)}`);
  return undefined;
}
