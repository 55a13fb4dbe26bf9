/** What programs say, as it can be compared from run to run. */

export const RUNS = "runs";
export const SERVES = "serves";

/** Numbers of processes differ. */
export const lasting = (text: string): string =>
  text.replaceAll(/\/proc\/\d+/g, "/proc/PID").trim();

export const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** What a program says that cannot go on, without its own name; and all of it, where that is more than one line. */
export const withoutName = (output: string): string =>
  lasting(
    lines(output)
      .filter((line) => !/^(notice|warning): /.test(line))
      .join("\n")
      .replace(/^spawnbox( \w+)?: /, ""),
  );

/** Of sentences that are expected, the one with which a start was refused; otherwise all that it said. */
export const startOf = (output: string, expected: readonly string[]): string =>
  expected.find((text) => lasting(output).includes(text)) ?? withoutName(output);
