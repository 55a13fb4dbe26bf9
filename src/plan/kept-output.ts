/** `history` of a config: what is kept of the output of tasks. */
import type { Config } from "../config/schema.ts";
import type { Plan } from "./plan.ts";
import type { Report } from "./report.ts";
import { parseSize } from "./size.ts";

/** Bytes of a ring: what is more is for a file, not for memory. */
const MOST = 64n << 20n;

/** @param places from the outermost to the innermost, which comes first, key by key */
export function compileHistory(
  places: readonly Config["history"][],
  path: string,
  report: Report,
): Pick<Plan, "ring" | "keepsOutput"> {
  const own = Object.assign({}, ...places) as NonNullable<Config["history"]>;
  const { ring, output } = own;
  // As the schema has it, it is a size.
  const size = ring === undefined ? undefined : (parseSize(ring) ?? 0n);
  if (size !== undefined && size > MOST)
    report.problem(`${path}.ring`, `found ${ring}: at most 64M, since it is memory of the server`);
  return {
    ...(size !== undefined && { ring: Number(size) }),
    ...(output === true && { keepsOutput: true as const }),
  };
}
