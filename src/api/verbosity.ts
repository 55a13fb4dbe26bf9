/** The arguments of `monitor/get` and `monitor/set` about verbosity. "" is the server itself, "*" every API. */
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import { LEVELS, type Level, type Log } from "../log.ts";
import { namesIn } from "./select.ts";
import { isObject } from "../object.ts";

const invalid = (info: string) => new AfbError("invalid-request", info);

/** `{"": "notice", "p": "debug"}` */
export function getVerbosity(value: unknown, apis: readonly string[], log: Log) {
  const chosen =
    value === true || value === "true"
      ? ["", ...apis]
      : value === false || value === "false"
        ? [""]
        : namesIn(value, apis, "verbosity", [""]);
  return Object.fromEntries(chosen.map((name) => [name, log.level(name)]));
}

/** A level for everything, or an object of levels. Changes nothing when something in it is wrong. */
export function setVerbosity(value: unknown, apis: readonly string[], log: Log): void {
  const wanted = isObject(value)
    ? Object.entries(value)
    : ([
        ["", value],
        ["*", value],
      ] as const);
  const changes = wanted.flatMap(([name, word]) => {
    const level = levelOf(word);
    return namesIn(name, apis, "verbosity", [""]).map((one) => [one, level] as const);
  });
  for (const [name, level] of changes) log.set(name, level);
}

function levelOf(word: unknown): Level {
  const lower = typeof word === "string" ? word.toLowerCase() : "";
  const level = LEVELS.find((one) => one === lower);
  if (level) return level;
  throw invalid(
    `unknown level ${JSON.stringify(word)}${suggestion(lower, LEVELS)} (${LEVELS.join(", ")})`,
  );
}
