/** Taking changed configs into service without a restart: all of it, or nothing. */
import { ConfigError, type Problem } from "../config/problem.ts";

export interface ReloadResult<Loaded> {
  readonly ok: boolean;
  /** Empty when `ok`. */
  readonly problems: readonly Problem[];
  /** What `replace` told; undefined when nothing changed. */
  readonly loaded?: Loaded;
}

/** @param known To be served instead of what there is to read. */
export type Reload<Known, Loaded> = (known?: Known) => Promise<ReloadResult<Loaded>>;

export interface Reloads<Known, Loaded> {
  readonly reload: Reload<Known, Loaded>;
  /** All other reloads wait until `work` is done, which reloads by the function that it is given. */
  alone<T>(work: (reload: Reload<Known, Loaded>) => Promise<T>): Promise<T>;
}

/**
 * @param prepare Reads everything anew, unless it is given what to serve; throws ConfigError.
 * @param replace Puts what was prepared in the place of those served now; throws when they do not fit together.
 */
export function createReloads<Known, Prepared, Loaded>(
  prepare: (known?: Known) => Promise<Prepared>,
  replace: (prepared: Prepared) => Loaded,
): Reloads<Known, Loaded> {
  const reload: Reload<Known, Loaded> = async (known) => {
    try {
      const prepared = await prepare(known);
      return { ok: true, problems: [], loaded: replace(prepared) };
    } catch (error) {
      return { ok: false, problems: problemsOf(error) };
    }
  };
  // One after the other: each sees the files as they are when its turn comes.
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: (own: typeof reload) => Promise<T>): Promise<T> => {
    const turn = last.then(() => work(reload));
    last = turn.catch(() => {});
    return turn;
  };
  return { alone, reload: (known) => alone((own) => own(known)) };
}

function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems;
  return [{ file: "", path: "", message: error instanceof Error ? error.message : String(error) }];
}
