/** Which suites there are, what each needs around it, and in which processes they run. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import seconds from "./seconds.json" with { type: "json" };

const root = join(import.meta.dir, "..");

/**
 * - `measures`: the machine to itself, as it measures it.
 * - `machine`: the machine as it is, but for others of this kind.
 * - `serves`: no other of these two kinds: they kill all processes of their user, fill its limits, and look at what is left of
 *   whom. A lane (lane.ts) is enough for that.
 * - `beside`: nothing: it mostly waits, and runs nothing as another user.
 */
export type Kind = "measures" | "machine" | "serves" | "beside";

/** What the clients of a server wait, and what it needs for them, where these clients leave nothing of the processors to others. */
const MEASURES = /^test\/server\/greedy\./;

/**
 * What launches within the process of the tests, as `check` does. From then on orphans come to that process (launch/orphans.ts),
 * where nobody reaps them: after hundreds of killed servers no key would be left for their user. So it is apart from what serves.
 */
const WITHIN =
  /^test\/(launch\/|compat\/|cli\/(check|several|inside)\.|doctor\/probes\.|sandbox\/attack-identity\.)/;

/** What looks at the memory of its own process: with a process for each, in which nothing else has left any. */
const WEIGHS = /process\.memoryUsage/;

/** Its places, runtimes of containers, accounts, the root of its control groups, its kernel's log, links of its network. */
const MACHINE =
  /^test\/(boot|compat|install|launcher|places)\/|^test\/(kernel-log|samples|launch\/move|sandbox\/attack-identity)\./;

/** Folders of suites that need nothing, but for those that serve for real, which they do as several users. */
const BESIDE = /^test\/(api|config|encoders|ffi|plan|plugins|server)\//;
const APART = /^import \{[^}]*\b(serve|users)\b[^}]*\} from "\.\.\/served\.ts"/m;

function kindOf(file: string, text: string): Kind {
  if (MEASURES.test(file)) return "measures";
  if (MACHINE.test(file)) return "machine";
  return BESIDE.test(file) && !APART.test(text) ? "beside" : "serves";
}

/** Files that run in one process, after one another. */
export interface Job {
  readonly kind: Kind;
  readonly files: readonly string[];
  readonly seconds: number;
}

/** Seconds of a file that is not in the table, which has those of the longer ones. */
const SHORT = 0.5;
/** Those of a job, unless it is a single file. */
const JOB = 12;

export const secondsOf = (file: string): number =>
  (seconds as Record<string, number>)[file] ?? SHORT;

/** Whole ones, of those from a second on. */
export function writeSeconds(times: readonly (readonly [file: string, seconds: number])[]): void {
  const rounded = times.map(([file, time]) => [file, Math.round(time)] as const);
  const table = Object.fromEntries(rounded.filter(([, time]) => time >= 1));
  writeFileSync(join(import.meta.dir, "seconds.json"), `${JSON.stringify(table, undefined, 2)}\n`);
}

const jobOf = (kind: Kind, files: readonly string[]): Job => ({
  kind,
  files,
  seconds: files.reduce((sum, file) => sum + secondsOf(file), 0),
});

/** All suites; the longest first. */
export function jobs(): readonly Job[] {
  const files = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: root })].toSorted();
  const none = (): Record<Kind, string[]> => ({
    measures: [],
    machine: [],
    serves: [],
    beside: [],
  });
  const [within, others] = [none(), none()];
  const made: Job[] = [];
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8");
    const kind = kindOf(file, text);
    if (kind === "measures" || WEIGHS.test(text)) made.push(jobOf(kind, [file]));
    else (WITHIN.test(file) ? within : others)[kind].push(file);
  }
  for (const group of [within, others])
    for (const kind of ["machine", "serves", "beside"] as const)
      for (const list of cut(group[kind])) made.push(jobOf(kind, list));
  return made.toSorted((a, b) => b.seconds - a.seconds);
}

/** Neighbours together, as long as a job. */
function cut(files: readonly string[]): string[][] {
  const lists: string[][] = [];
  let room = 0;
  for (const file of files) {
    const time = secondsOf(file);
    if (time > room) {
      lists.push([]);
      room = JOB;
    }
    lists.at(-1)?.push(file);
    room -= time;
  }
  return lists;
}
