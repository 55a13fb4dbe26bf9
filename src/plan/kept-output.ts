/** `history` of a config: what is kept of the output of tasks. */
import type { Config } from "../config/schema.ts";
import type { Plan } from "./plan.ts";
import type { Report } from "./report.ts";
import { parseSize } from "./size.ts";

/** Bytes of a ring: what is more is for a file, not for memory. */
const MOST = 64n << 20n;

/**
 * @param places from the outermost to the innermost, which comes first, key by key
 * @param own of these the command's
 * @param isSecret the command gets what nobody is shown, and may print it: its output is kept in a file only where it says so itself
 */
export function compileHistory(
  places: readonly Config["history"][],
  own: Config["history"],
  isSecret: boolean,
  path: string,
  report: Report,
): Pick<Plan, "ring" | "keepsOutput"> {
  const all = Object.assign({}, ...places, own) as NonNullable<Config["history"]>;
  const { ring } = all;
  const output = isSecret ? own?.output : all.output;
  // As the schema has it, it is a size.
  const size = ring === undefined ? undefined : (parseSize(ring) ?? 0n);
  if (size !== undefined && size > MOST)
    report.problem(`${path}.ring`, `found ${ring}: at most 64M, since it is memory of the server`);
  return {
    ...(size !== undefined && { ring: Number(size) }),
    ...(output === true && { keepsOutput: true as const }),
  };
}
