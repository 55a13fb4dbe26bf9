/**
 * `npm run mutate`: makes mistakes on purpose, one at a time, in a copy of the project, and tells which of them the suites do not
 * notice. It reports: it fails only where it cannot do that.
 *
 * A mistake counts as noticed when a suite fails or hangs. What does not compile is not counted: C that the compiler refuses, and
 * TypeScript that no suite notices but the type check refuses. What equivalent.json lists is left out.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { commandLine, UsageError } from "../../src/command-line/usage.ts";
import { type Asked, asked } from "./asked.ts";
import { mistakesOf } from "./catalogue.ts";
import { equivalents } from "./equivalent.ts";
import { isOutside, learn } from "./known.ts";
import type { Suite } from "./lines.ts";
import { change, made, type Mistake, shuffled } from "./mistake.ts";
import { secondsOf } from "../suites.ts";
import { type Room, rooms } from "./rooms.ts";
import {
  build,
  buildLauncher,
  checkTypes,
  endAll,
  launcherOf,
  type Ran,
  runSuites,
  suitesOf,
  type Verdict,
} from "./suites.ts";
import { copyOfProject } from "./tree.ts";

const names = Object.keys(rooms);
/** Seconds, by the table that npm test goes by, of those that are asked about each mistake, and of those whose lines are known. */
const QUICK = { outside: 10, inside: 15 };
const help = `usage: npm run mutate [-- OPTIONS]

  --room NAME   one of ${names.join(", ")}
                (default: one a minute, chosen by the seed)
  --seconds N   of making mistakes (default 180); what the suites take without any comes on
                top, where they or the code have changed since
  --seed S      the same seed makes the same mistakes in the same order (default: the day)
  --quick       without suites that take longer than ${QUICK.outside} s with the executable, or ${QUICK.inside} s: these are named, and what
                they would notice is not noticed
  --file TEXT   only in files whose path has that in it
  --rule TEXT   only by rules whose name has that in it
  --tell        of those that are noticed too: by which test, and in how many seconds
  -h, --help    this text`;

const today = () => new Date().toISOString().slice(0, 10).replaceAll("-", "");

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      room: { type: "string" },
      seconds: { type: "string", default: "180" },
      seed: { type: "string", default: today() },
      file: { type: "string", default: "" },
      rule: { type: "string", default: "" },
      quick: { type: "boolean", default: false },
      tell: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  for (const name of ["seconds", "seed"] as const)
    if (!/^\d+$/.test(values[name])) throw new UsageError(`--${name}: expected a number`);
  const { room } = values;
  if (room !== undefined && !names.includes(room))
    throw new UsageError(`--room ${room}: expected one of ${names.join(", ")}`);
  const { file, rule, quick, tell } = values;
  return {
    chosen: names.filter((name) => name === (room ?? name)),
    ...{ file, rule, quick, tell },
    ...numbers(values),
  };
}

const numbers = ({ seconds, seed }: { seconds: string; seed: string }) => ({
  seconds: Number(seconds),
  seed: Number(seed),
});

const { chosen, seconds, seed, file, rule, quick, tell } = commandLine({
  name: "npm run mutate",
  help,
  parse,
});

interface Score {
  readonly noticed: number;
  readonly unnoticed: number;
  readonly uncounted: number;
  readonly listed: number;
}

/** Of suites without a mistake, run after one another: seconds until they hang, and until one of their tests does. */
function guards(suites: readonly Suite[]) {
  const sum = suites.reduce((total, { seconds }) => total + seconds, 0);
  const longest = Math.max(...suites.map((suite) => suite.longest));
  return { guard: sum * 5 + 20, timeout: Math.min(30, longest * 4 + 4) };
}

/** Seconds. */
const QUICK_TEST = 1.5;
/** Of what is late while the machine stands still. */
const MOST_TRIES = 5;

/** Those that are so, and those that are not. */
const apart = <Item>(all: readonly Item[], is: (one: Item) => boolean): [Item[], Item[]] => [
  all.filter(is),
  all.filter((one) => !is(one)),
];

/** @throws Error where the suites fail without any mistake */
async function score(room: Room, tree: string, time: number): Promise<Score> {
  const putLauncherBack = await launcherOf(tree);
  const learnt = new Map<string, Suite>();
  const all = async (names: readonly string[]) => {
    const suites: Suite[] = [];
    for (const name of new Set(names)) {
      const suite = learnt.get(name) ?? (await learn(tree, name));
      learnt.set(name, suite);
      suites.push(suite);
    }
    return suites;
  };
  const [shared = [], long = []] = apart(
    suitesOf(tree, room.suites),
    (name) => !quick || secondsOf(name) <= (isOutside(tree, name) ? QUICK.outside : QUICK.inside),
  );
  if (long.length > 0) console.log(`  (without ${long.join(", ")})`);
  const inside = (await all(shared)).filter((suite) => !suite.isOutside);
  await sound(inside, tree, "together");
  const known = mistakesOf(room, tree, file).filter((mistake) => mistake.rule.includes(rule));
  const texts = new Map(
    known.map(({ file }) => [file, readFileSync(join(tree, file), "utf8")] as const),
  );
  const changeOf = (mistake: Mistake) => change(texts.get(mistake.file) ?? "", mistake);
  const isListed = (mistake: Mistake) =>
    equivalents.some((one) => one.file === mistake.file && one.change === changeOf(mistake));
  const counts = { noticed: 0, unnoticed: 0, uncounted: 0, listed: 0 };
  const end = performance.now() + time;
  for (const mistake of shuffled(known, seed)) {
    if (performance.now() > end) break;
    if (isListed(mistake)) {
      counts.listed++;
      continue;
    }
    // First, as they are tried without a mistake.
    const best = room.best?.[basename(mistake.file)] ?? [];
    const suites = await all([...best.filter((name) => !long.includes(name)), ...shared]);
    const text = texts.get(mistake.file) ?? "";
    const path = join(tree, mistake.file);
    const begin = performance.now();
    writeFileSync(path, made(text, mistake));
    const { found, by = "" } = await judge(asked(suites, room, mistake), mistake, tree);
    writeFileSync(path, text);
    // What is tried next without a mistake has this launcher, too.
    if (mistake.file.endsWith(".c")) putLauncherBack();
    counts[found]++;
    const what = `${mistake.file}:${mistake.line}: ${mistake.rule}: ${changeOf(mistake)}`;
    if (found === "unnoticed" || tell) console.log(`  ${what}`);
    const took = Math.round((performance.now() - begin) / 1000);
    if (tell) console.log(`    ${found}${by} (${took} s)`);
  }
  await sound(inside, tree, "behind all mistakes");
  console.log(`  of ${known.length} that the rules make`);
  return counts;
}

/** Where they hinder one another, or a mistake has left something behind, they would notice anything. @throws Error */
async function sound(suites: readonly Suite[], tree: string, when: string): Promise<void> {
  const names = suites.map(({ file }) => file);
  for (let left = 1; ; left--) {
    const { verdict, said } = await runSuites(tree, names, guards(suites));
    if (!NOTICED.includes(verdict)) return;
    if (left === 0) throw new Error(`${when}: ${verdict} without a mistake\n${said.slice(-3000)}`);
  }
}

const NOTICED: readonly Verdict[] = ["failed", "hangs"];

/** Whether time alone says that something is wrong. */
const isLate = ({ verdict, said, stoodStill }: Ran): boolean =>
  verdict === "hangs" || stoodStill || /^ *\^ this test timed out/m.test(said);

const suiteThatFailed = ({ said }: Ran): string =>
  said.match(/^test\/\S+(?=:$)/gm)?.slice(-1)[0] ?? "";

const witness = (ran: Ran): string => {
  const [, test = "by its end alone"] = /^\(fail\) (.*)$/m.exec(ran.said) ?? [];
  return `${suiteThatFailed(ran)} ${test}`;
};

interface Judgement {
  readonly found: "noticed" | "unnoticed" | "uncounted";
  /** As it is told: behind `found`. */
  readonly by?: string;
}

/** What costs least first: nothing is built, nor its types looked at, for what the suites notice in their own processes. */
async function judge(
  { inside, outside }: Asked,
  { file }: Mistake,
  tree: string,
): Promise<Judgement> {
  const isC = file.endsWith(".c");
  const noticed = async (suites: readonly Suite[]): Promise<Judgement | undefined> => {
    // In a process of their own, since in one the longest test says when any of them hangs.
    const [quick, long] = apart(suites, ({ longest }) => longest <= QUICK_TEST);
    return (await noticedBy(quick)) ?? noticedBy(long);
  };
  const noticedBy = async (suites: readonly Suite[]): Promise<Judgement | undefined> => {
    for (let left = suites, wasLate = false, tries = 1; ; tries++) {
      const names = left.map((suite) => suite.file);
      const ran = await runSuites(tree, names, guards(left));
      if (!NOTICED.includes(ran.verdict)) return undefined;
      const late = isLate(ran);
      if (!late || (wasLate && !ran.stoodStill) || tries === MOST_TRIES)
        return { found: "noticed", by: `: ${witness(ran)}${late ? ", late" : ""}` };
      // Others may have kept the machine busy: it is to be so twice.
      wasLate ||= !ran.stoodStill;
      const at = names.indexOf(suiteThatFailed(ran));
      left = left.slice(Math.max(0, at));
    }
  };
  if (isC && (await buildLauncher(tree)).verdict !== "passed") return { found: "uncounted" };
  const first = await noticed(inside);
  if (first) return first;
  if (!isC && (await checkTypes(tree)).verdict !== "passed") return { found: "uncounted" };
  if (outside.length === 0) return { found: "unnoticed" };
  if ((await build(tree)).verdict !== "passed") return { found: "noticed", by: ": no build" };
  return (await noticed(outside)) ?? { found: "unnoticed" };
}

console.log(`mutate: --seed ${seed}, ${seconds} s for ${chosen.length} room(s)`);
using copy = copyOfProject();
for (const [signal, number] of [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGTERM", 15],
] as const)
  process.once(signal, () => {
    endAll();
    copy[Symbol.dispose]();
    process.exit(128 + number);
  });
const types = await checkTypes(copy.path);
if (types.verdict !== "passed") throw new Error(`first mend the types:\n${types.said}`);
let isBroken = false;
const lines: string[] = [];
/** At once too, since a long run may not come to its end. */
const report = (line: string): void => {
  lines.push(line);
  console.log(line);
};
for (const name of chosen) {
  const room = rooms[name];
  if (!room) continue;
  console.log(`\n${name}: not noticed:`);
  try {
    const time = (seconds / chosen.length) * 1000;
    const { noticed, unnoticed, uncounted, listed } = await score(room, copy.path, time);
    const counted = noticed + unnoticed;
    const percent = counted === 0 ? "-" : `${Math.round((noticed / counted) * 100)} %`;
    report(
      `${name.padEnd(10)} ${percent.padStart(5)}  ${noticed} of ${counted}; ${uncounted} that do not compile, ${listed} equivalent`,
    );
  } catch (error) {
    isBroken = true;
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    report(`${name.padEnd(10)}     -  not tried`);
  }
}
console.log(`\nnoticed, --seed ${seed}:\n${lines.join("\n")}`);
process.exitCode = isBroken ? 1 : 0;
