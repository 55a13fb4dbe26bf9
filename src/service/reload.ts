/** Taking changed configs into service without a restart: all of it, or nothing. */
import { ConfigError, type Problem } from "../config/problem.ts";

export interface ReloadResult<Loaded> {
  readonly ok: boolean;
  /** Empty when `ok`. */
  readonly problems: readonly Problem[];
  /** What `replace` told; undefined when nothing changed. */
  readonly loaded?: Loaded;
}

export type Reload<Loaded> = () => Promise<ReloadResult<Loaded>>;

/**
 * @param compile Reads everything anew; throws ConfigError.
 * @param replace Puts what was prepared in the place of those served now; throws when they do not fit together.
 */
export function createReload<Prepared, Loaded>(
  compile: () => Prepared | Promise<Prepared>,
  replace: (prepared: Prepared) => Loaded,
): Reload<Loaded> {
  const once = async (): Promise<ReloadResult<Loaded>> => {
    try {
      const prepared = await compile();
      return { ok: true, problems: [], loaded: replace(prepared) };
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
