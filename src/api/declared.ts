/** What of a start's arguments a command takes: others are told, and left out, unless its config declares `params`. */
import { suggestion } from "../config/nearest.ts";
import type { Plan } from "../plan/plan.ts";
import { isObject } from "../object.ts";

interface Declared {
  readonly args: unknown;
  /** For the reply. */
  readonly notices: readonly string[];
}

/** Most names that a notice shows. */
const SHOWN = 5;

/**
 * With `params` a config says what there may be, and anything else is refused by who fills the arguments in, unless they are only
 * `offered`: the data of an event have what events have, and what a command takes of them is checked as ever. Without, existing
 * clients send more than a command takes, and `true` or `"start"` to start one that takes nothing.
 */
export function declaredOf(
  { argv, params }: Pick<Plan, "argv" | "params">,
  args: unknown,
  offered = false,
): Declared {
  if (argv.names.size === 0 && (args === true || isStart(args)))
    return { args: undefined, notices: [] };
  if ((params && !offered) || !isObject(args)) return { args, notices: [] };
  const other = Object.keys(args).filter((name) => !argv.names.has(name));
  if (other.length === 0) return { args, notices: [] };
  const kept = Object.entries(args).filter(([name]) => argv.names.has(name));
  const shown = other.slice(0, SHOWN).map((name) => {
    const short = name.length > 40 ? `${name.slice(0, 40)}…` : name;
    return `\`${short.toWellFormed()}\`${suggestion(name, argv.names)}`;
  });
  const more = other.length > SHOWN ? `, and ${other.length - SHOWN} more` : "";
  const known = [...argv.names].join(", ");
  const takes = known === "" ? "the command takes no arguments" : `known arguments: ${known}`;
  return {
    args: kept.length > 0 ? Object.fromEntries(kept) : undefined,
    notices: [`ignored: ${shown.join(", ")}${more}; ${takes}`],
  };
}

const isStart = (args: unknown): boolean =>
  typeof args === "string" && args.toLowerCase() === "start";
