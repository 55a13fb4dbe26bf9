/** What is known of suites without any mistake: how long each takes, and which lines of the code run in it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Mistake } from "./mistake.ts";
import { build, MEASURED, runSuites } from "./suites.ts";

export interface Suite {
  readonly file: string;
  /** Without a mistake. */
  readonly seconds: number;
  /** It runs the executable, which has to be built for each mistake. */
  readonly isOutside: boolean;
  /** It runs the code in processes of its own, too, of which nothing is counted. */
  readonly isElsewhere: boolean;
  /** By file of the code that its process has loaded: by line, counted from 1, whether that ran. Other processes are not seen. */
  readonly lines: ReadonlyMap<string, ReadonlyMap<number, boolean>>;
}

/** What of the tests leads to the executable. */
const EXECUTABLE = /\bdist\/|"dist"|src\/main\.ts/;
/** What of the tests leads to another process of the runtime, or a thread. */
const RUNTIME = /\bprocess\.execPath\b|\bnew Worker\b/;

/** Whether a suite, or what it imports of the tests, runs the executable. */
export const isOutside = (root: string, file: string) => reaches(root, file, EXECUTABLE);
/** Whether it starts others with the code in them. */
export const isElsewhere = (root: string, file: string) => reaches(root, file, RUNTIME);

/** Whether a suite, or what it imports of the tests, has such a text in it. */
function reaches(root: string, file: string, wanted: RegExp): boolean {
  const seen = new Set<string>();
  const leads = (name: string): boolean => {
    if (seen.has(name) || !name.startsWith("test/") || !existsSync(join(root, name))) return false;
    seen.add(name);
    const text = readFileSync(join(root, name), "utf8");
    const imports = [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*"(\.[^"]*\.tsx?)"/g)];
    return wanted.test(text) || imports.some(([, path = ""]) => leads(join(dirname(name), path)));
  };
  return leads(file);
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

/** Tries it, once more if it fails. @throws Error where it fails again */
export async function learn(tree: string, file: string): Promise<Suite> {
  const known = isOutside(tree, file);
  if (known) await built(tree);
  for (let left = 1; ; left--) {
    const { verdict, took, said } = await runSuites(tree, [file], { guard: 600, isMeasured: true });
    const report = join(tree, MEASURED, "lcov.info");
    if (verdict === "passed")
      return {
        ...{ file, seconds: took, isOutside: known, isElsewhere: isElsewhere(tree, file) },
        lines: linesOf(existsSync(report) ? readFileSync(report, "utf8") : ""),
      };
    if (left === 0) throw new Error(`${file}: ${verdict} without a mistake\n${said.slice(-3000)}`);
  }
}

/** The executable there is may have an earlier mistake in it. @throws Error where it cannot be built */
async function built(tree: string): Promise<void> {
  const { verdict, said } = await build(tree);
  if (verdict !== "passed") throw new Error(`the copy cannot be built:\n${said}`);
}

/**
 * Whether a mistake can be noticed in the process of a suite: one of its lines runs there, or the last one before it of which there
 * is a count, as parts of a statement have none.
 */
export function runs({ lines }: Suite, { file, line, lastLine }: Mistake): boolean {
  const counted = lines.get(file);
  if (!counted) return false;
  for (let at = line; at <= lastLine; at++) if (counted.get(at)) return true;
  for (let at = line; at > 0; at--) {
    const ran = counted.get(at);
    if (ran !== undefined) return ran;
  }
  return true;
}
