/** Collects what is wrong, and what is only worth knowing, while a config compiles: all of it, not only the first. */
import type { Problem } from "../config/problem.ts";
import type { Notice } from "./plan.ts";

export class Report {
  readonly problems: Problem[] = [];
  readonly notices: Notice[] = [];
  constructor(readonly file: string) {}

  problem(path: string, message: string): void {
    this.problems.push({ file: this.file, path, message });
  }
  notice(path: string, message: string): void {
    this.notices.push({ path, message });
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
