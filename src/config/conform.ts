/**
 * Brings a JSON value into the normal form of a schema and reports everything that does not fit.
 *
 * TypeBox's own checker knows nothing of our annotations and stops a union or an object at its outside; walking the
 * schema ourselves gives each problem the path, the finding and the remedy.
 */
import {
  Kind,
  KindGuard,
  type TArray,
  type TObject,
  type TSchema,
  type TUnion,
} from "@sinclair/typebox";
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

/** Where a part stands; undefined where nobody asks, as long as all fits: most of the time would go to writing it down. */
type Place = string | undefined;

const inObject = (place: Place, key: string): Place =>
  place === undefined ? undefined : member(place, key);
const inList = (place: Place, index: number): Place =>
  place === undefined ? undefined : element(place, index);

/** The normal form of `value`. A part that does not fit is reported and undefined; nothing is ever thrown. */
export function conform(schema: TSchema, value: unknown, path: string, report: Report): unknown {
  let fits = true;
  const result = fit(schema, value, undefined, () => (fits = false));
  return fits ? result : fit(schema, value, path, report);
}

function fit(schema: TSchema, value: unknown, place: Place, report: Report): unknown {
  const { shorthand } = annotations(schema);
  if (shorthand !== undefined && typeof value === "string")
    return fit(longhand(schema), { [shorthand]: value }, place, report);
  // A guard for each kind would ask a thousand times what is an object.
  switch (schema[Kind]) {
    case "Array": {
      // A single value stands for the list of it.
      const items: unknown[] = Array.isArray(value) ? value : [value];
      const { items: each } = schema as TArray;
      return items.map((item, index) => fit(each, item, inList(place, index), report));
    }
    case "Object":
      return fitObject(schema as TObject, value, place, report);
    case "Record":
      if (!isObject(value) || isWritten(value)) return mismatch(schema, value, place, report);
      return fitFree(annotations(schema).exact ? value : toDoubles(value), place, report);
    case "Unknown":
      return fitFree(value, place, report);
    case "Union":
      return fitUnion(schema as TUnion, value, place, report);
    default:
      return conformScalar(schema, plainNumber(schema, value), place ?? "", report);
  }
}

/** Of each schema that has one: the object that is meant, in full. */
const longhands = new WeakMap<TSchema, TSchema>();

function longhand(schema: TSchema): TSchema {
  const long = longhands.get(schema) ?? { ...schema, shorthand: undefined };
  longhands.set(schema, long);
  return long;
}

function fitUnion(schema: TUnion, value: unknown, place: Place, report: Report): unknown {
  for (const variant of schema.anyOf) {
    let fits = true;
    const result = fit(variant, value, undefined, () => (fits = false));
    if (fits) return result;
  }
  // The one that is meant tells what is wrong within.
  const isScalar = typeof value !== "object";
  const likely = schema.anyOf.filter((variant) => KindGuard.IsObject(variant) !== isScalar);
  const [meant] = likely;
  if (meant && likely.length === 1 && (isScalar || isObject(value)))
    return fit(meant, value, place, report);
  return mismatch(schema, value, place, report);
}

/** Of a text that goes on as it is, the number that is written. */
const plainNumber = (schema: TSchema, value: unknown): unknown =>
  typeof value !== "object"
    ? value
    : isWritten(value) && annotations(schema).exact
      ? value.rawJSON
      : toDoubles(value);

/** Of each schema, since a config has thousands of objects of a few. */
const known = new WeakMap<TObject, readonly string[]>();

function keysOf(schema: TObject): readonly string[] {
  const keys = known.get(schema) ?? Object.keys(schema.properties);
  known.set(schema, keys);
  return keys;
}

function fitObject(schema: TObject, value: unknown, place: Place, report: Report): unknown {
  if (!isObject(value) || isWritten(value)) return mismatch(schema, value, place, report);
  const keys = keysOf(schema);
  let left = 0;
  // Own keys only: JSON.parse makes `__proto__` one, which thereby is unknown like any other.
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(schema.properties, key)) {
      left++;
      continue;
    }
    const hint = suggestion(key, keys) || ";";
    const message = `unknown key \`${key}\`${hint} valid keys: ${keys.join(", ")}`;
    report(inObject(place, key) ?? "", message);
  }
  const isWhole = schema.required?.every((key) => Object.hasOwn(value, key)) ?? true;
  const result: Record<string, unknown> = {};
  // In the order of the schema, whatever is written first; few of its many keys are.
  for (const key of keys) {
    if (left === 0 && isWhole) break;
    const found = Object.hasOwn(value, key) ? value[key] : undefined;
    const property = schema.properties[key];
    if (!property) continue;
    if (found !== undefined) {
      left--;
      const fitting = fit(property, found, inObject(place, key), report);
      if (fitting !== undefined) result[key] = fitting;
    } else if (schema.required?.includes(key)) {
      const message = `missing key \`${key}\`: expected ${expectation(property)}`;
      report(inObject(place, key) ?? "", message);
    }
  }
  return result;
}

/** A value of any shape, as it is; `__proto__` is refused however deep, lest a later copy take it for the prototype. */
function fitFree(value: unknown, whole: Place, report: Report): unknown {
  const pending: { value: unknown; place: Place }[] = [{ value, place: whole }];
  for (let item = pending.pop(); item !== undefined; item = pending.pop()) {
    const { value: inner, place } = item;
    if (Array.isArray(inner)) {
      for (const [i, child] of inner.entries()) {
        pending.push({ value: child, place: inList(place, i) });
      }
    } else if (isObject(inner) && !isWritten(inner)) {
      for (const key of Object.keys(inner)) {
        if (key === "__proto__") report(inObject(place, key) ?? "", "unknown key `__proto__`");
        else pending.push({ value: inner[key], place: inObject(place, key) });
      }
    }
  }
  return value;
}

function mismatch(schema: TSchema, value: unknown, place: Place, report: Report): undefined {
  report(place ?? "", `found ${excerpt(toDoubles(value))}, expected ${expectation(schema)}`);
  return undefined;
}
