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
import { isObject } from "../object.ts";

export interface Params {
  /** Names whose value may begin an argv element with `-`. */
  readonly allowDash: ReadonlySet<string>;
  /** The schemas as the config has them: what a plan file keeps. */
  readonly source?: Readonly<Record<string, unknown>>;
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
  const checks = new Map<string, (value: unknown) => string | undefined>();
  for (const [name, schema] of Object.entries(params)) {
    const place = member(path, name);
    if (names !== undefined && !names.has(name)) {
      const known = [...names].join(", ") || "none";
      const hint = suggestion(name, names) || ";";
      report(place, `the command has no argument \`${name}\`${hint} its arguments: ${known}`);
    }
    let plain = schema;
    if (isObject(schema) && Object.hasOwn(schema, "allowDash")) {
      const { allowDash: dash, ...rest } = schema;
      plain = rest;
      if (dash === true) allowDash.add(name);
      else if (dash !== false) report(`${place}.allowDash`, "expected true or false");
      // Only permission for a dash: any value will do.
      if (Object.keys(rest).length === 0) continue;
    }
    let sound = true;
    const effort = new Effort();
    const faulty: Report = (at, message) => {
      sound = false;
      report(at, message);
    };
    const type = rebuild(plain, place, faulty, effort);
    if (sound) checks.set(name, checker(type, effort));
  }
  return {
    allowDash,
    source: params,
    check(args, texts = false) {
      if (!isObject(args)) return;
      for (const [name, fault] of checks) {
        const value = Object.hasOwn(args, name) ? args[name] : undefined;
        const fits =
          value === undefined || value === null || (texts && fault(meant(value)) === undefined);
        const message = fits ? undefined : fault(value);
        if (message !== undefined)
          throw new AfbError("invalid-request", `argument \`${name}\`: ${message}`);
      }
    },
  };
}

/** The value whose JSON a text is, to the letter; else the text itself. */
function meant(text: unknown): unknown {
  if (typeof text !== "string" || text === "null") return text;
  try {
    const value = parseForeign(text);
    return JSON.stringify(value) === text ? value : text;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

function checker(type: TSchema, effort: Effort): (value: unknown) => string | undefined {
  const compiled = TypeCompiler.Compile(type);
  return (value) => {
    effort.renew();
    if (compiled.Check(value)) return undefined;
    if (effort.isSpent)
      return `found ${excerpt(value)}: too long for its pattern; give less, or limit it by maxLength`;
    effort.renew();
    const error = compiled.Errors(value).First();
    if (error === undefined) return `found ${excerpt(value)}: does not fit`;
    const where = error.path === "" ? "" : ` at ${error.path}`;
    return `found ${excerpt(value)}${where}: ${expected(error)}`;
  };
}

/** As the library says it, whose letters are those of the config; it does not name the values of an enum. */
function expected({ message, schema, value }: ValueError): string {
  const wanted = wantedOf(schema);
  if (wanted !== undefined) return wanted;
  const variants: readonly TSchema[] = schema["anyOf"] ?? [];
  const words = variants.map((variant) => variant["const"] as unknown);
  if (words.length === 0 || words.includes(undefined))
    return message.charAt(0).toLowerCase() + message.slice(1);
  const hint = typeof value === "string" ? suggestion(value, words.map(String)) : "";
  return `expected one of ${words.map((word) => JSON.stringify(word)).join(", ")}${hint}`;
}
