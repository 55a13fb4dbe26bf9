/** What a start would find here, for who only asks: `check`, `doctor` and `explain`. */
import { ConfigError, type Problem } from "../config/problem.ts";
import { Launching } from "../launch/launching.ts";
import { poolNotices } from "../launch/reserve.ts";
import { LaunchError } from "../launch/task.ts";
import type { ApiPlan } from "../plan/plan.ts";

export interface Examined {
  /** Those that would be served; none after a problem. */
  readonly apis: readonly ApiPlan[];
  readonly problems: readonly Problem[];
  /** What will be otherwise than the configs have it. */
  readonly notices: readonly Problem[];
}

interface Loaded {
  readonly apis: readonly ApiPlan[];
  readonly notices: readonly Problem[];
}

/**
 * Loads and, for a `trial`, does what a server does at its start but serve: groups are made and each different sandbox is launched
 * up to the exec, as this user. Nothing of that is left.
 * @param load throws ConfigError with every problem
 */
export async function examine(load: () => Loaded, trial: boolean): Promise<Examined> {
  let loaded: Loaded | undefined;
  try {
    // As a server does: where nothing can be launched, that comes first.
    const launching = trial ? new Launching() : undefined;
    loaded = load();
    const { apis } = loaded;
    const found = launching ? await tried(apis, launching) : { apis, notices: poolNotices(apis) };
    const notices = [...noticesOf({ ...loaded, apis: found.apis }), ...found.notices];
    return { apis: found.apis, problems: [], notices };
  } catch (error) {
    const further = error instanceof ConfigError ? error.notices : [];
    return {
      apis: [],
      problems: problemsOf(error),
      notices: [...(loaded ? noticesOf(loaded) : []), ...further],
    };
  }
}

/** Of the configs, and of what they are loaded with. */
const noticesOf = ({ apis, notices }: Loaded): Problem[] => [
  ...apis.flatMap(({ file, notices: own }) => own.map((one) => ({ file, ...one }))),
  ...notices,
];

async function tried(apis: readonly ApiPlan[], launching: Launching): Promise<Loaded> {
  try {
    const prepared = await launching.prepare(apis, { trial: true, lookOnly: true });
    prepared.drop();
    return prepared;
  } finally {
    await launching.close();
  }
}

function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems;
  // Nothing can be launched at all.
  if (error instanceof LaunchError) return [{ file: "", path: "", message: error.message }];
  throw error;
}
