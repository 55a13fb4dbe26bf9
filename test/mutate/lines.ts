/** A suite, and which lines of the code run in it. */

export interface Suite {
  readonly file: string;
  /** Without a mistake. */
  readonly seconds: number;
  /** Of that, the test that takes longest. */
  readonly longest: number;
  /** It runs the executable, which has to be built for each mistake. */
  readonly isOutside: boolean;
  /** It runs the code in processes of its own, too, of which nothing is counted. */
  readonly isElsewhere: boolean;
  /** By file of the code that its process has loaded: by line, counted from 1, whether that ran. Other processes are not seen. */
  readonly lines: ReadonlyMap<string, ReadonlyMap<number, boolean>>;
}

/** Lines by file, of a report in the format of lcov (geninfo(1)). */
export function linesOf(report: string): Map<string, Map<number, boolean>> {
  const files = new Map<string, Map<number, boolean>>();
  let lines = new Map<number, boolean>();
  for (const text of report.split("\n")) {
    const [, file] = /^SF:(.*)$/.exec(text) ?? [];
    if (file !== undefined) files.set(file, (lines = new Map<number, boolean>()));
    const [, line, count] = /^DA:(\d+),(\d+)/.exec(text) ?? [];
    if (line !== undefined) lines.set(Number(line), Number(count) > 0);
  }
  return files;
}
