/** Unknown JSON → a checked config in its normal form, or every problem it has. */
import { conform, type Draft } from "./conform.ts";
import { checkConsistency } from "./consistency.ts";
import { foldAliases } from "./fold.ts";
import type { Report } from "./place.ts";
import type { Problem } from "./problem.ts";
import { Config } from "./schema.ts";

export interface Normalized {
  /** The config; undefined when there is any problem. */
  readonly config: Config | undefined;
  /** The API it registers, as far as it can be told. */
  readonly api: string | undefined;
  readonly problems: readonly Problem[];
}

/**
 * Checks and normalises a parsed config. Absent keys stay absent: defaults belong to who reads them. `file` only
 * labels the problems.
 */
export function normalize(raw: unknown, file: string): Normalized {
  const problems: Problem[] = [];
  const report: Report = (path, message) => problems.push({ file, path, message });
  // The draft is what the schema says, less the parts just reported.
  const draft = conform(Config, raw, "", report) as Draft<Config> | undefined;
  if (draft !== undefined) {
    foldAliases(draft, report);
    checkConsistency(draft, report);
  }
  const config = problems.length === 0 ? (draft as Config) : undefined;
  return { config, api: draft?.metadata?.api, problems };
}
