/** What is known of suites without any mistake: how long each takes, and which lines of the code run in it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { linesOf, type Suite } from "./lines.ts";
import type { Mistake } from "./mistake.ts";
import { remember, remembered } from "./remembered.ts";
import { build, MEASURED, runSuites } from "./suites.ts";

/** What of the tests leads to the executable. */
const EXECUTABLE = /\bdist\/|"dist"|src\/main\.ts/;
/** What of the tests leads to another process of the runtime, a thread, or code that was bundled, of which there are no counts. */
const RUNTIME = /\bprocess\.execPath\b|\bnew Worker\b|\bnew Function\b/;

/** Whether a suite, or what it imports of the tests, runs the executable. */
export const isOutside = (root: string, file: string) => reaches(root, file, EXECUTABLE);
/** Whether it starts others with the code in them. */
export const isElsewhere = (root: string, file: string) => reaches(root, file, RUNTIME);

/** What starts the executable, where other words of the same file do not: it is imported for these, too. */
const STARTS: ReadonlyMap<string, RegExp> = new Map([
  ["test/served.ts", /\b(?:serve|programIn)\b/],
]);
const IMPORT =
  /\b(?:import|export)\s+(type\s)?([^"';]*?)(?:\bfrom\s*)?"(\.[^"]*\.tsx?)"|\bimport\("(\.[^"]*\.tsx?)"\)/g;

/** Whether a suite, or what it imports of the tests, has such a text in it. */
function reaches(root: string, file: string, wanted: RegExp): boolean {
  const seen = new Set<string>();
  const leads = (name: string): boolean => {
    if (seen.has(name) || !name.startsWith("test/") || !existsSync(join(root, name))) return false;
    seen.add(name);
    const text = readFileSync(join(root, name), "utf8");
    if (wanted.test(text)) return true;
    for (const [, type, names = "", path, late = ""] of text.matchAll(IMPORT)) {
      const next = join(dirname(name), path ?? late);
      if (type === undefined && (STARTS.get(next)?.test(names) ?? true) && leads(next)) return true;
    }
    return false;
  };
  return leads(file);
}

/** Tries it, unless that is known from before; once more if it fails, or its time says nothing. @throws Error where it fails again */
export async function learn(tree: string, file: string): Promise<Suite> {
  const before = remembered(file);
  if (before) return before;
  const known = isOutside(tree, file);
  if (known) await built(tree);
  for (let left = 1; ; left--) {
    const ran = await runSuites(tree, [file], { guard: 600, isMeasured: true });
    const { verdict, took, said, stoodStill } = ran;
    if (verdict === "passed" && !(stoodStill && left > 0)) {
      const measured = join(tree, MEASURED, "lcov.info");
      const report = existsSync(measured) ? readFileSync(measured, "utf8") : "";
      const suite = {
        ...{ file, seconds: took, longest: longestOf(said) },
        ...{ isOutside: known, isElsewhere: isElsewhere(tree, file) },
        lines: linesOf(report),
      };
      remember(suite, report);
      return suite;
    }
    if (left === 0) throw new Error(`${file}: ${verdict} without a mistake\n${said.slice(-3000)}`);
  }
}

/** Seconds, of what bun says of each test. */
export const longestOf = (said: string): number =>
  Math.max(0, ...[...said.matchAll(/^\(pass\) .* \[([\d.]+)ms\]$/gm)].map(([, ms]) => Number(ms))) /
  1000;

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
