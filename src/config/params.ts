/**
 * `params` of a command: a JSON Schema for the value of each `%name%`, compiled at boot.
 */
import type { TSchema } from "@sinclair/typebox";
import { TypeCompiler, type ValueError } from "@sinclair/typebox/compiler";
import { AfbError } from "../errors.ts";
import { wantedOf } from "./checked.ts";
import { suggestion } from "./nearest.ts";
import { excerpt, member, type Report } from "./place.ts";
import { Effort } from "./pattern/pattern.ts";
import { rebuild } from "./rebuild.ts";
import { parseForeign } from "../json.ts";
import { between, hasWritten, isWritten, toDoubles } from "../numbers.ts";
import { isObject } from "../object.ts";
import { schemaAt, wordsOf } from "./wanted.ts";

export interface Params {
  /** Names whose value may begin an argv element with `-`. */
  readonly allowDash: ReadonlySet<string>;
  /** Names whose value is the caller's secret: it is kept nowhere, see api/record.ts. */
  readonly writeOnly: ReadonlySet<string>;
  /** The schemas as the config has them: what a plan file keeps. */
  readonly source?: Readonly<Record<string, unknown>>;
  /** Names that have a value when none is given. */
  readonly defaults: ReadonlySet<string>;
  /**
   * The arguments with the defaults of those that are not given, and what a URL repeats as the list that the schema wants.
   * @param texts the values are texts, since they come from a URL or a form; there a list is what was given several times
   * @throws AfbError "invalid-request" for an argument that was given several times and is no list
   */
  complete(args: unknown, texts?: boolean): unknown;
  /**
   * Throws AfbError "invalid-request" naming the first argument that does not fit; null counts as not given.
   * @param texts a text passes for the value whose JSON it is: both are the same in argv
   */
  check(args: unknown, texts?: boolean): void;
}

/**
 * Compiles `params`. Problems go to `report` under `path`. With `names`, the placeholders of the command, a schema for
 * a name that does not occur is a problem too.
 */
export function compileParams(
  params: Readonly<Record<string, unknown>>,
  path: string,
  report: Report,
  names?: ReadonlySet<string>,
): Params {
  const allowDash = new Set<string>();
  const writeOnly = new Set<string>();
  const checks = new Map<string, Check>();
  const defaults = new Map<string, unknown>();
  for (const [name, schema] of Object.entries(params)) {
    const place = member(path, name);
    if (names !== undefined && !names.has(name)) {
      const known = [...names].join(", ") || "none";
      const hint = suggestion(name, names) || ";";
      report(place, `the command has no argument \`${name}\`${hint} its arguments: ${known}`);
    }
    let plain = toDoubles(schema);
    const flags = { allowDash, writeOnly };
    for (const [key, names] of Object.entries(flags)) {
      if (!isObject(plain) || !Object.hasOwn(plain, key)) continue;
      const { [key]: flag, ...rest } = plain;
      plain = rest;
      if (flag === true) names.add(name);
      else if (flag !== false) report(`${place}.${key}`, "expected true or false");
    }
    // Of the value itself nothing was said: any will do.
    const unchecked = isObject(plain) && Object.keys(plain).length === 0;
    if (
      unchecked &&
      Object.keys(flags).some((key) => isObject(schema) && Object.hasOwn(schema, key))
    )
      continue;
    let sound = true;
    const effort = new Effort();
    const faulty: Report = (at, message) => {
      sound = false;
      report(at, message);
    };
    const type = rebuild(plain, place, faulty, effort);
    if (!sound) continue;
    const check = checker(plain, type, effort);
    checks.set(name, check);
    if (!isObject(schema) || schema["default"] === undefined) continue;
    // Unlike a limit, it goes into argv as it is written.
    const fault = check(schema["default"]);
    if (fault === undefined) defaults.set(name, schema["default"]);
    else report(`${place}.default`, fault);
  }
  const listOf = (name: string, texts: readonly unknown[]): unknown => {
    const fault = checks.get(name);
    const fitting = [texts.map(meant), texts].find((list) => fault?.(list) === undefined);
    if (fault && fitting) return fitting;
    throw new AfbError(
      "invalid-request",
      fault && isList(params[name])
        ? `argument \`${name}\`: ${fault(texts)}`
        : given(name, texts.length),
    );
  };
  /** What is given once may be the only one of a list. */
  const alone = (name: string, text: unknown): unknown => {
    const fault = checks.get(name);
    const value = meant(text);
    if (!fault || fault(text) === undefined || fault(value) === undefined) return text;
    const fitting = [[value], [text]].find((list) => fault(list) === undefined);
    // Where it can only be that, what is told is what is wrong with it.
    return fitting ?? (isListOnly(params[name]) && !Array.isArray(value) ? [text] : text);
  };
  return {
    allowDash,
    writeOnly,
    source: params,
    defaults: new Set(defaults.keys()),
    complete(args, texts = false) {
      if (isWritten(args)) return args;
      const missing = [...defaults].filter(
        ([name]) => !isObject(args) || args[name] === undefined || args[name] === null,
      );
      if (missing.length === 0 && !texts) return args;
      if (!(args === undefined || isObject(args))) return args;
      const entries = Object.entries(args ?? {})
        .filter(([name, value]) => value !== null || !defaults.has(name))
        .map(([name, value]) => {
          if (!texts) return [name, value];
          return [name, Array.isArray(value) ? listOf(name, value) : alone(name, value)];
        });
      return Object.fromEntries([...entries, ...missing]);
    },
    check(args, texts = false) {
      if (!isObject(args)) return;
      for (const [name, fault] of checks) {
        const value = Object.hasOwn(args, name) ? args[name] : undefined;
        if (value === undefined || value === null) continue;
        const inside = texts ? meant(value) : value;
        if (inside !== value && fault(inside) === undefined) continue;
        const message = fault(value);
        if (message === undefined) continue;
        // A number in a URL that is too large is that, and not a text.
        const told =
          typeof inside === "string" || takesText(params[name]) ? message : fault(inside);
        throw new AfbError("invalid-request", `argument \`${name}\`: ${told ?? message}`);
      }
    },
  };
}

/** For an argument that takes no list. */
export const given = (name: string, times: number): string =>
  `argument \`${name}\` is given ${times} times, and takes one value`;

const typesOf = (schema: unknown): unknown[] =>
  isObject(schema) ? [schema["type"] ?? "string"].flat() : [];
const isList = (schema: unknown): boolean => typesOf(schema).includes("array");
const isListOnly = (schema: unknown): boolean => typesOf(schema).every((type) => type === "array");
const takesText = (schema: unknown): boolean => typesOf(schema).includes("string");

/** The value whose JSON a text is, to the letter; else the text itself. */
function meant(text: unknown): unknown {
  if (Array.isArray(text)) return text.map(meant);
  if (typeof text !== "string" || text === "null") return text;
  try {
    const value = parseForeign(text);
    return JSON.stringify(value) === text ? value : text;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/** What is wrong with a value; undefined when it fits. */
type Check = (value: unknown) => string | undefined;

function checker(source: unknown, type: TSchema, effort: Effort): Check {
  const compiled = TypeCompiler.Compile(type);
  const steps = JSON.stringify(source).includes('"multipleOf"');
  const judge = (value: unknown): string | undefined => {
    effort.renew();
    if (compiled.Check(value)) return undefined;
    if (effort.isSpent)
      return `found ${excerpt(value)}: too long for its pattern; give less, or limit it by maxLength`;
    effort.renew();
    const error = compiled.Errors(value).First();
    if (error === undefined) return `found ${excerpt(value)}: does not fit`;
    const where = error.path === "" ? "" : ` at ${error.path}`;
    // Of what is missing there is only what it is missing from.
    const culprit = error.value === undefined ? value : error.value;
    return `found ${excerpt(culprit)}${where}: ${expected(error, source)}`;
  };
  return (value) => {
    if (!hasWritten(value)) return judge(value);
    const fault = judge(toDoubles(value, Number.MAX_VALUE)) ?? faultBetween(value, judge, steps);
    if (fault === undefined || !isWritten(value)) return fault;
    return fault.replace(/^found [^:]*/, `found ${value.rawJSON.slice(0, 40)}`);
  };
}

/**
 * Of a value that fits, but for numbers in it that are no doubles: limits are doubles, so one that lies between two of them
 * fits a range when both do.
 */
function faultBetween(value: unknown, judge: Check, steps: boolean): string | undefined {
  let vague = false;
  const next = (inner: unknown): unknown => {
    if (typeof inner !== "object" || inner === null) return inner;
    if (isWritten(inner)) {
      // Beyond all doubles a number is as the largest of them, but of no known multiple.
      if (!Number.isFinite(Number(inner.rawJSON))) {
        vague ||= steps;
        return toDoubles(inner, Number.MAX_VALUE);
      }
      const place = between(inner);
      if (place === undefined) return toDoubles(inner);
      // Of large doubles all are whole, and multiples of much.
      if (steps || (!place.whole && Number.isInteger(place.next))) vague = true;
      return place.next;
    }
    if (Array.isArray(inner)) return inner.map(next);
    return Object.fromEntries(Object.entries(inner).map(([key, one]) => [key, next(one)]));
  };
  const beside = next(value);
  if (vague) return "a number has more digits than can be checked: give it as a string";
  return judge(beside);
}

function expected({ message, path, schema, value }: ValueError, source: unknown): string {
  const part = schemaAt(source, path);
  if (part !== undefined) return `expected ${wordsOf(part)}${hint(part, value)}`;
  return wantedOf(schema) ?? message.charAt(0).toLowerCase() + message.slice(1);
}

function hint(schema: unknown, value: unknown): string {
  const words: unknown = isObject(schema) ? schema["enum"] : undefined;
  return Array.isArray(words) && typeof value === "string"
    ? suggestion(value, words.map(String))
    : "";
}
