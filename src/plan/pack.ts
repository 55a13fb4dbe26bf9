/**
 * Values that JSON has no form for, in JSON: sets, bytes, 64-bit numbers, numbers as they are written, argument schemas, and
 * objects shared by many places, which come back as one object. What is none of these is an error that names its place.
 */
import { compileParams, type Params } from "../config/params.ts";
import { element, member } from "../config/place.ts";
import { isWritten } from "../numbers.ts";
import { isObject } from "../object.ts";

/** `{"$": kind, v: …}` stands for what JSON cannot say; an object that has a key `$` itself is wrapped too. */
const TAG = "$";
type Tagged = { readonly [TAG]: string; readonly v: unknown };

export interface Packed {
  readonly value: unknown;
  /** What occurs more than once, each in terms of those before it. */
  readonly shared: readonly unknown[];
}

/** @throws Error naming the place of a value that cannot be kept in a file */
export function pack(value: unknown): Packed {
  const seen = new Set<object>();
  const repeated = new Set<object>();
  const count = (item: unknown): void => {
    if (typeof item !== "object" || item === null || isWritten(item)) return;
    if (seen.has(item)) return void repeated.add(item);
    seen.add(item);
    if (item instanceof Uint8Array || isParams(item)) return;
    for (const inner of item instanceof Set ? item : Object.values(item)) count(inner);
  };
  count(value);

  const shared: unknown[] = [];
  const places = new Map<object, number>();
  const tagged = (kind: string, v: unknown): Tagged => ({ [TAG]: kind, v });

  const visit = (item: unknown, path: string): unknown => {
    if (typeof item === "bigint") return tagged("bigint", `${item}`);
    if (typeof item !== "object" || item === null) return scalar(item, path);
    // A tag, since whoever reads the file takes the numbers in it for doubles.
    if (isWritten(item)) return tagged("number", item.rawJSON);
    if (!repeated.has(item)) return compound(item, path);
    let place = places.get(item);
    if (place === undefined) {
      const packed = compound(item, path);
      place = shared.push(packed) - 1;
      places.set(item, place);
    }
    return tagged("shared", place);
  };
  const compound = (item: object, path: string): unknown => {
    if (Array.isArray(item)) return item.map((inner, i) => visit(inner, element(path, i)));
    if (item instanceof Uint8Array) return tagged("bytes", Buffer.from(item).toString("base64"));
    if (item instanceof Set)
      return tagged(
        "set",
        [...item].map((inner, i) => visit(inner, element(path, i))),
      );
    if (isParams(item)) {
      if (item.source === undefined) refuse(path, "argument checks without their schema");
      return tagged("params", visit(item.source, path));
    }
    const prototype: unknown = Object.getPrototypeOf(item);
    if (prototype !== null && prototype !== Object.prototype) {
      refuse(path, `a ${item.constructor.name}`);
    }
    const entries = Object.entries(item)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [key, visit(inner, member(path, key))] as const);
    const plain = Object.fromEntries(entries);
    return Object.hasOwn(plain, TAG) ? tagged("object", plain) : plain;
  };
  return { value: visit(value, ""), shared };
}

function scalar(item: unknown, path: string): unknown {
  const fits =
    item === null ||
    typeof item === "string" ||
    typeof item === "boolean" ||
    (typeof item === "number" && Number.isFinite(item));
  return fits ? item : refuse(path, typeof item === "number" ? `${item}` : `a ${typeof item}`);
}

function refuse(path: string, what: string): never {
  throw new Error(`${path}: ${what} cannot be kept in a plan file`);
}

const isParams = (item: object): item is Params =>
  "allowDash" in item && "check" in item && typeof item.check === "function";

/** The inverse of {@link pack}, of what a JSON parser gives. @throws Error when it is not what pack made */
export function unpack({ value, shared }: Packed): unknown {
  const known: unknown[] = [];
  const visit = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(visit);
    if (!isObject(item)) return item;
    return Object.hasOwn(item, TAG) ? untag(item) : plain(item);
  };
  // fromEntries: a key `__proto__` must not become the prototype.
  const plain = (item: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, visit(inner)]));
  const untag = ({ [TAG]: kind, v }: Record<string, unknown>): unknown => {
    if (kind === "bigint" && typeof v === "string") return BigInt(v);
    if (kind === "bytes" && typeof v === "string") return new Uint8Array(Buffer.from(v, "base64"));
    if (kind === "set" && Array.isArray(v)) return new Set(v.map(visit));
    if (kind === "object" && isObject(v)) return plain(v);
    if (kind === "shared" && typeof v === "number" && v < known.length) return known[v];
    if (kind === "number" && typeof v === "string") return JSON.rawJSON(v);
    if (kind === "params" && isObject(v)) {
      return compileParams(plain(v), "params", (at, message) => {
        throw new Error(`${at}: ${message}`);
      });
    }
    throw new Error(`unknown value of kind ${JSON.stringify(kind)}`);
  };
  for (const item of shared) known.push(visit(item));
  return visit(value);
}
