/** Collects what is wrong, and what is only worth knowing, while a config compiles: all of it, not only the first. */
import type { Problem } from "../config/problem.ts";

/** What a config promised and this machine, user or kernel makes different; shown by `check`, `info`, `explain`. */
export interface Notice {
  readonly path: string;
  readonly message: string;
}

export class Report {
  readonly problems: Problem[] = [];
  readonly notices: Notice[] = [];
  #place: (path: string) => string = (path) => path;

  constructor(readonly file: string) {}

  problem(path: string, message: string): void {
    this.problems.push({ file: this.file, path: this.#place(path), message });
  }
  notice(path: string, message: string): void {
    this.notices.push({ path: this.#place(path), message });
  }

  /** Those from the so-manieth on, which are no problems of this report any more. */
  take(from: number): Problem[] {
    return this.problems.splice(from);
  }

  /** The same report for who knows other places: `translate` gives each the config's. */
  at(translate: (path: string) => string): Report {
    const view = new Report(this.file);
    Object.assign(view, { problems: this.problems, notices: this.notices });
    view.#place = (path) => this.#place(translate(path));
    return view;
  }

  /** Runs one step; an error it throws becomes a problem at `path`, and the result is undefined. */
  attempt<T>(path: string, step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      this.problem(path, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }
}
