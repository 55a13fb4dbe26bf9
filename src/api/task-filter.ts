/** The arguments of `monitor/tasks`: which tasks, and how many of them. */
import { excerpt } from "../config/place.ts";
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import { toDoubles } from "../numbers.ts";
import { isObject } from "../object.ts";
import type { CallerRecord, TaskRecord } from "./record.ts";
import { TASK_ID } from "./task-id.ts";

export const STATES = ["all", "waiting", "running", "ended"] as const;

export interface TaskFilter {
  readonly api: string | undefined;
  readonly verb: string | undefined;
  readonly state: (typeof STATES)[number];
  readonly caller: string | undefined;
  readonly pid: number | undefined;
  readonly id: string | undefined;
  readonly before: string | undefined;
  readonly limit: number;
  /** Events for what happens from now on: begin, or end. */
  readonly follow: boolean | undefined;
}

const ID = { type: "string", pattern: TASK_ID.source };

/** For who reads it; what is not so is refused below, with what to do. Of numbers it is also what is looked at. */
export const FILTERS = {
  api: { type: "string" },
  verb: { type: "string" },
  state: { type: "string", enum: STATES, default: "all" },
  caller: {
    type: "string",
    description:
      "what the access file calls it, its address, its uid, its name as an operator, or that of its certificate",
  },
  pid: { type: "integer", minimum: 1, maximum: 2 ** 31 },
  id: ID,
  before: { ...ID, description: "only those that sort before this one: for the next page" },
  limit: { type: "integer", minimum: 1, maximum: 1000, default: 100 },
  follow: {
    type: "boolean",
    description: "events from now on, where tasks begin and end; false: no more",
  },
} as const;
const KEYS = Object.keys(FILTERS);

const invalid = (info: string) => new AfbError("invalid-request", info);

/** Throws invalid-request, saying what is allowed. */
export function parseFilter(args: unknown): TaskFilter {
  if (args !== undefined && args !== null && !isObject(args))
    throw invalid(`expects an object with any of ${KEYS.join(", ")}`);
  const given = (toDoubles(args) ?? {}) as Record<string, unknown>;
  for (const key of Object.keys(given))
    if (!KEYS.includes(key))
      throw invalid(
        `unknown key ${JSON.stringify(key.slice(0, 80))}${suggestion(key, KEYS)} (${KEYS.join(", ")})`,
      );
  return {
    api: textOf(given, "api"),
    verb: textOf(given, "verb"),
    state: stateOf(given["state"]),
    caller: typeof given["caller"] === "number" ? `${given["caller"]}` : textOf(given, "caller"),
    pid: wholeOf(given, "pid"),
    id: idOf(given, "id"),
    before: idOf(given, "before"),
    limit: wholeOf(given, "limit") ?? FILTERS.limit.default,
    follow: flagOf(given, "follow"),
  };
}

export function matches(filter: TaskFilter, record: TaskRecord): boolean {
  const { api, verb, state, caller, pid, id, before } = filter;
  return (
    same(api, record.api) &&
    same(verb, record.verb) &&
    (state === "all" || state === record.state) &&
    (caller === undefined || isCaller(record.caller, caller)) &&
    (pid === undefined || pid === record.pid) &&
    (id === undefined || id === record.id) &&
    (before === undefined || record.id < before)
  );
}

/** Names are the same in any case, as in calls. */
export const same = (wanted: string | undefined, name: string): boolean =>
  wanted === undefined || wanted.toLowerCase() === name.toLowerCase();

/** A certificate is called `CN:tablet`, or `tablet`. */
export const isCaller = (
  { info, address, uid, certificate, operator }: CallerRecord,
  wanted: string,
): boolean =>
  [
    ...[info, address, uid?.toString(), operator],
    ...[certificate, certificate?.replace(/^[^:]*:/, "")],
  ].includes(wanted);

type Given = Readonly<Record<string, unknown>>;

function textOf(given: Given, key: string): string | undefined {
  const value = given[key];
  if (value === undefined || typeof value === "string") return value;
  throw invalid(`${key}: found ${excerpt(value)}, expected a text`);
}

function stateOf(value: unknown): TaskFilter["state"] {
  if (value === undefined) return "all";
  const word = typeof value === "string" ? value.toLowerCase() : "";
  const state = STATES.find((one) => one === word);
  if (state) return state;
  const near = suggestion(word, STATES);
  throw invalid(`state: found ${excerpt(value)}${near} (${STATES.join(", ")})`);
}

function idOf(given: Given, key: string): string | undefined {
  const value = textOf(given, key);
  if (value === undefined || TASK_ID.test(value)) return value;
  throw invalid(`${key}: found ${excerpt(value)}, expected the id of a task, of 15 letters`);
}

function wholeOf(given: Given, key: "pid" | "limit"): number | undefined {
  const value = given[key];
  const { minimum, maximum } = FILTERS[key];
  if (value === undefined) return undefined;
  const number = typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : value;
  if (
    typeof number === "number" &&
    Number.isInteger(number) &&
    number >= minimum &&
    number <= maximum
  )
    return number;
  throw invalid(
    `${key}: found ${excerpt(value)}, expected a whole number from ${minimum} to ${maximum}`,
  );
}

function flagOf(given: Given, key: string): boolean | undefined {
  const value = given[key];
  if (value === undefined || typeof value === "boolean") return value;
  const word = typeof value === "string" ? value.toLowerCase() : "";
  if (word === "true" || word === "false") return word === "true";
  throw invalid(`${key}: found ${excerpt(value)}, expected true or false`);
}
