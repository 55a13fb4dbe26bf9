/** What a call to a command verb asks for. */
import { suggestion } from "../config/nearest.ts";
import { excerpt } from "../config/place.ts";
import { MOST_PIDS } from "../config/ranges.ts";
import { AfbError } from "../errors.ts";
import { TASK_ID } from "./task-id.ts";
import { SIGNAL_MAX, signalNames, signalNumber } from "../config/signals.ts";
import { parseForeign } from "../json.ts";
import { toDoubles } from "../numbers.ts";
import { isObject } from "../object.ts";

export const ACTIONS = ["start", "stop", "subscribe", "unsubscribe"] as const;
/** Of commands that read what they are given; `input`. */
export const INPUT = "input";
export type Action = (typeof ACTIONS)[number] | typeof INPUT;

export interface Query {
  readonly action: Action;
  /** Arguments of the action; undefined when there were none. */
  readonly args: unknown;
  /** 0 to 4. */
  readonly verbose: number;
  /** Reply at the end of the task, with its output. */
  readonly wait: boolean;
  /** What of it was ignored, for the reply. */
  readonly notices?: readonly string[];
}

export const QUERY_KEYS: readonly string[] = ["action", "args", "verbose", "wait"];

const VERBOSE_MAX = 4;

const invalid = (info: string) => new AfbError("invalid-request", info);

/**
 * Reads a query. An object with only the keys `action`, `args`, `verbose` and `wait` is one, and so is one whose `action` is
 * such a word: its other keys are arguments. Anything else is the args of a start. REST parameters are strings, so in a query
 * `args` may be the text of a JSON object, and `verbose` and `wait` the text of a number or boolean. Throws invalid-request.
 * @param names arguments of the command: one that has an `action` of its own is not taken for a query because of it
 * @param isFed `input` is such a word for it
 */
export function parseQuery(
  query: unknown,
  names: ReadonlySet<string> = new Set(),
  isFed = false,
): Query {
  const structured = isObject(query) && isQuery(query, names, isFed);
  if (!structured) return { action: "start", args: query ?? undefined, verbose: 0, wait: false };
  const others = Object.entries(query).filter(([key]) => !QUERY_KEYS.includes(key));
  const args = parseArgs(query["args"]);
  return {
    action: parseAction(query["action"]),
    args: others.length > 0 ? { ...Object.fromEntries(others), ...objectOf(args) } : args,
    verbose: parseVerbose(toDoubles(query["verbose"])),
    wait: parseWait(toDoubles(query["wait"])),
  };
}

/** The same of a call that has failed; where it cannot be read, a start of which nothing is known. */
export function attemptedQuery(
  query: unknown,
  names?: ReadonlySet<string>,
  isFed?: boolean,
): Pick<Query, "action" | "args"> & { readonly unread?: true } {
  try {
    return parseQuery(query, names, isFed);
  } catch (error) {
    if (error instanceof AfbError) return { action: "start", args: undefined, unread: true };
    throw error;
  }
}

function isQuery(
  query: Record<string, unknown>,
  names: ReadonlySet<string>,
  isFed: boolean,
): boolean {
  if (Object.keys(query).every((key) => QUERY_KEYS.includes(key))) return true;
  const { action, args } = query;
  if (names.has("action") || typeof action !== "string") return false;
  if (args !== undefined && args !== null && !isObject(args)) return false;
  const word = action.toLowerCase();
  return ACTIONS.some((name) => name === word) || (isFed && word === INPUT);
}

const objectOf = (args: unknown): object => (isObject(args) ? args : {});

const NUMBER_OR_NAME = { type: ["integer", "string"] };

/** The JSON Schema of a query whose `start` takes `args`. @param isFed it takes `input`, too */
export function queryOf(args: object | true, isFed = false) {
  const target = {
    type: "object",
    properties: {
      pid: NUMBER_OR_NAME,
      id: { type: "string", pattern: TASK_ID.source },
      signal: NUMBER_OR_NAME,
      lossless: { type: "boolean" },
      from: { type: "integer", minimum: 0 },
      ...(isFed && {
        data: { type: "string" },
        base64: { type: "string", contentEncoding: "base64" },
        end: { type: "boolean" },
      }),
    },
    additionalProperties: false,
  };
  return {
    type: "object",
    properties: {
      action: { type: "string", enum: isFed ? [...ACTIONS, INPUT] : ACTIONS, default: "start" },
      args: { anyOf: [args, target] },
      verbose: { type: "integer", minimum: 0, maximum: VERBOSE_MAX },
      wait: { type: "boolean" },
    },
    additionalProperties: false,
  };
}

function parseAction(value: unknown): Action {
  if (value === undefined) return "start";
  const word = typeof value === "string" ? value.toLowerCase() : "";
  const action = [...ACTIONS, INPUT].find((name): name is Action => name === word);
  if (action) return action;
  throw invalid(
    `unknown action ${JSON.stringify(value)}${suggestion(word, ACTIONS)} (${ACTIONS.join(", ")})`,
  );
}

function parseArgs(value: unknown): unknown {
  if (typeof value !== "string" || !value.trimStart().startsWith("{")) return value ?? undefined;
  try {
    return parseForeign(value);
  } catch (error) {
    throw invalid(`args is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function parseVerbose(value: unknown): number {
  if (value === undefined) return 0;
  const level = typeof value === "string" && /^\d$/.test(value) ? Number(value) : value;
  if (typeof level === "number" && Number.isInteger(level) && level >= 0 && level <= VERBOSE_MAX)
    return level;
  throw invalid(
    `verbose must be a whole number from 0 to ${VERBOSE_MAX}, not ${JSON.stringify(value)}`,
  );
}

function parseWait(value: unknown): boolean {
  return value === undefined ? false : parseBoolean("wait", value);
}

export function parseBoolean(name: string, value: unknown): boolean {
  const word = String(value).toLowerCase();
  if (word === "true" || word === "1") return true;
  if (word === "false" || word === "0") return false;
  throw invalid(`${name} must be true or false, not ${JSON.stringify(value)}`);
}

/** What stop, subscribe and unsubscribe are about: the task `pid`, or every task of the verb. */
export interface Target {
  readonly pid?: number;
  /** See task-id.ts. */
  readonly id?: string;
  /** Of a subscription: the number of the first event that is wanted. */
  readonly from?: number;
  readonly signal?: number;
  /** Of a subscription: the task waits for the subscriber. */
  readonly lossless?: boolean;
}

const TARGET_KEYS: readonly string[] = ["pid", "id", "signal", "lossless", "from"];

/** Reads the args of stop, subscribe and unsubscribe: `{pid?, id?, signal?, lossless?, from?}`. Throws invalid-request. */
export function parseTarget({ action, args }: Pick<Query, "action" | "args">): Target {
  if (args === undefined) return {};
  if (!isObject(args)) throw invalid(`args must be {"pid":N,"signal":"NAME"}, both optional`);
  for (const key of Object.keys(args)) {
    if (!TARGET_KEYS.includes(key)) {
      throw invalid(`unknown key ${JSON.stringify(key)} in args (${TARGET_KEYS.join(", ")})`);
    }
  }
  const { pid, id, signal, lossless, from } = toDoubles(args) as Record<string, unknown>;
  const target: { -readonly [Key in keyof Target]: Target[Key] } = {};
  if (id !== undefined) {
    if (pid !== undefined) throw invalid("say pid or id, not both");
    if (typeof id !== "string" || !TASK_ID.test(id))
      throw invalid(`invalid id ${excerpt(id)}: expected that of a task, as monitor/tasks has it`);
    target.id = id;
  }
  if (from !== undefined) {
    if (action !== "subscribe") throw invalid("from is for subscribe");
    if ((pid ?? id) === undefined) throw invalid("from needs pid or id: events count by task");
    const number = typeof from === "string" && /^\d{1,15}$/.test(from) ? Number(from) : from;
    if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0)
      throw invalid(`from must be the number of an event, from 1 on, not ${excerpt(from)}`);
    target.from = number;
  }
  if (lossless !== undefined) {
    if (action !== "subscribe") throw invalid("lossless is for subscribe");
    target.lossless = parseBoolean("lossless", lossless);
  }
  if (pid !== undefined) {
    const number = typeof pid === "string" && /^\d{1,10}$/.test(pid) ? Number(pid) : pid;
    // Zero and negative numbers name process groups to kill(2): never let one through.
    if (
      typeof number !== "number" ||
      !Number.isInteger(number) ||
      number < 1 ||
      number > MOST_PIDS
    ) {
      throw invalid(`invalid pid ${JSON.stringify(pid)}`);
    }
    target.pid = number;
  }
  if (signal !== undefined) {
    const number = signalNumber(signal);
    if (number === undefined) {
      const near = typeof signal === "string" ? suggestion(signal, signalNames) : "";
      throw invalid(
        `unknown signal ${JSON.stringify(signal)}${near} (a name such as SIGTERM, or 1 to ${SIGNAL_MAX})`,
      );
    }
    target.signal = number;
  }
  return target;
}
