/** The arguments of `monitor/fleet/…`: what may stand there, and what it means. */
import { type Static, type TObject, Type } from "@sinclair/typebox";
import type { Parameter } from "../api/verb.ts";
import { conform } from "../config/conform.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import { type Campaign, isMethod, parseTarget, parseTime, timesOf } from "./campaign.ts";
import { parseAmount, parseStages } from "./stages.ts";
import { ALL, ID, NAME } from "./topics.ts";

const MOST = 1000;
const LIMIT = 200;

const name = (description: string) => Type.Optional(Type.String({ pattern: NAME, description }));
const word = (description: string) => Type.Optional(Type.String({ maxLength: 256, description }));
const flag = (description: string) => Type.Optional(Type.Boolean({ description }));

export const BOARDS = Type.Object({
  group: name("only boards of this group"),
  search: word("only those with this in their name, version, groups or APIs, in any case"),
  after: name("only those that sort after this one: for the next page"),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MOST, description: `how many (default ${LIMIT})` }),
  ),
  follow: flag("events from now on, where something becomes of a board; false: no more"),
});

export const BOARD = Type.Object({
  board: Type.String({ pattern: NAME, description: "its name" }),
});

export const CALL = Type.Object({
  to: Type.String({ maxLength: 65, description: "BOARD or @GROUP; @all are all" }),
  verb: Type.String({ maxLength: 512, description: "API/VERB" }),
  args: Type.Optional(Type.Unknown({ description: "its arguments" })),
  timeout: word("how long it may take in all, such as 30s or 5m; by default as long as it takes"),
  queue: word("also boards that are offline, for so long as the broker keeps it, such as 1h"),
  stages: word("not all boards at once, such as 1,10%,100%: the next ones when these are done"),
  "max-failed": word("go on to the next stage while no more have failed, such as 3 or 2%"),
  detach: flag("tasks go on where the caller goes"),
  wait: flag("reply only at the end, with all results"),
});

export const STOP = Type.Object({
  call: Type.String({ pattern: ID.source, description: "as the reply to the call has named it" }),
  leave: flag("the tasks go on, and nobody waits for them"),
});

const invalid = (info: string) => new AfbError("invalid-request", info);

/** As a verb is described. */
export const parametersOf = (schema: TObject): Parameter[] =>
  Object.entries(schema.properties).map(([key, one]) => ({
    name: key,
    required: schema.required?.includes(key) ?? false,
    schema: one,
  }));

/** @throws AfbError, invalid-request, saying what is allowed */
export function readArguments<S extends TObject>(schema: S, args: unknown): Static<S> {
  const problems: string[] = [];
  const report = (path: string, message: string) =>
    void problems.push(path === "" ? message : `${path}: ${message}`);
  const given = asTyped(schema, args ?? {});
  const found = conform(schema, given, "", report);
  if (problems.length > 0) throw invalid(problems.join("; "));
  return found as Static<S>;
}

/** Of a URL, all are texts. */
function asTyped(schema: TObject, args: unknown): unknown {
  if (!isObject(args)) return args;
  const typed = (key: string, value: unknown): unknown => {
    const type: unknown = schema.properties[key]?.["type"];
    if (type === "integer" && typeof value === "string" && /^\d{1,6}$/.test(value))
      return Number(value);
    if (type !== "boolean" || (value !== "true" && value !== "false")) return value;
    return value === "true";
  };
  return Object.fromEntries(Object.entries(args).map(([key, value]) => [key, typed(key, value)]));
}

export interface BoardFilter {
  readonly group: string;
  /** In lower case. */
  readonly search: string;
  readonly after: string;
  readonly limit: number;
  readonly follow: boolean | undefined;
}

export function filterOf(args: unknown): BoardFilter {
  const {
    group = ALL,
    search = "",
    after = "",
    limit = LIMIT,
    follow,
  } = readArguments(BOARDS, args);
  return { group, search: search.toLowerCase(), after, limit, follow };
}

export interface AskedCall extends Campaign {
  readonly detach: boolean;
  readonly wait: boolean;
  /** As it was asked for: for records. */
  readonly to: string;
}

export function callOf(given: unknown): AskedCall {
  const asked = readArguments(CALL, given);
  const { to, verb, args, stages, detach = false, wait = false } = asked;
  const target = parseTarget(to);
  if (!target) throw invalid(`to: found ${JSON.stringify(to)}, expected BOARD or @GROUP`);
  if (!isMethod(verb))
    throw invalid(`verb: found ${JSON.stringify(verb)}, expected API/VERB, without + and #`);
  if (stages !== undefined && target.kind === "board") throw invalid("stages: only for a @GROUP");
  if (asked["max-failed"] !== undefined && stages === undefined)
    throw invalid("max-failed: only with stages");
  const queue = timeOf("queue", asked.queue);
  const amount = <T>(key: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (error instanceof TypeError) throw invalid(`${key}: ${error.message}`);
      throw error;
    }
  };
  return {
    target,
    invocation: {
      ...{ method: verb, args: args === undefined ? "" : JSON.stringify(args) },
      ...timesOf({ timeout: timeOf("timeout", asked.timeout), queue }),
      ...{ detach, token: undefined },
    },
    isQueued: queue !== undefined,
    stages: stages === undefined ? undefined : amount("stages", () => parseStages(stages)),
    mostFailed: amount("max-failed", () => parseAmount(asked["max-failed"] ?? "0")),
    ...{ detach, wait, to },
  };
}

function timeOf(key: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseTime(text);
  if (ms !== undefined) return ms;
  throw invalid(
    `${key}: found ${JSON.stringify(text)}, expected a time such as 30s, 5m or 1h, at most 7d`,
  );
}
