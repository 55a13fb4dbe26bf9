/** Taking changed configs into service without a restart: all of it, or nothing. */
import { ConfigError, type Problem } from "../config/problem.ts";
import type { ApiPlan } from "../plan/plan.ts";

export interface ReloadResult {
  readonly ok: boolean;
  /** Empty when `ok`. */
  readonly problems: readonly Problem[];
  /** What is served now; undefined when nothing changed. */
  readonly apis?: readonly ApiPlan[];
}

export type Reload = () => Promise<ReloadResult>;

/**
 * @param compile Reads everything anew; throws ConfigError.
 * @param replace Puts the plans in the place of those served now; throws when they do not fit together.
 */
export function createReload(
  compile: () => readonly ApiPlan[] | Promise<readonly ApiPlan[]>,
  replace: (apis: readonly ApiPlan[]) => unknown,
): Reload {
  const once = async (): Promise<ReloadResult> => {
    try {
      const apis = await compile();
      await replace(apis);
      return { ok: true, problems: [], apis };
    } catch (error) {
      return { ok: false, problems: problemsOf(error) };
    }
  };
  // One after the other: each sees the files as they are when its turn comes.
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const turn = last.then(once);
    last = turn;
    return turn;
  };
}

function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems;
  return [{ file: "", path: "", message: error instanceof Error ? error.message : String(error) }];
}
