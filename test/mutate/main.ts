/**
 * `npm run mutate`: makes mistakes on purpose, one at a time, in a copy of the project, and tells which of them the suites do not
 * notice. It reports: it fails only where it cannot do that.
 *
 * A mistake counts as noticed when a suite fails or hangs. What does not compile is not counted: C that the compiler refuses, and
 * TypeScript that no suite notices but the type check refuses. What equivalent.json lists is left out.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { commandLine, UsageError } from "../../src/command-line/usage.ts";
import { mistakesOf } from "./catalogue.ts";
import { equivalents } from "./equivalent.ts";
import { change, made, type Mistake, shuffled } from "./mistake.ts";
import { type Room, rooms } from "./rooms.ts";
import { build, checkTypes, endAll, runSuites, type Verdict } from "./suites.ts";
import { copyOfProject } from "./tree.ts";

const names = Object.keys(rooms);
const help = `usage: npm run mutate [-- OPTIONS]

  --room NAME   one of ${names.join(", ")}
                (default: one a minute, chosen by the seed)
  --seconds N   of making mistakes (default 180); what the suites take without any comes on top
  --seed S      the same seed makes the same mistakes in the same order (default: the day)
  --file TEXT   only in files whose path has that in it
  --rule TEXT   only by rules whose name has that in it
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
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  for (const name of ["seconds", "seed"] as const)
    if (!/^\d+$/.test(values[name])) throw new UsageError(`--${name}: expected a number`);
  const { room } = values;
  if (room !== undefined && !names.includes(room))
    throw new UsageError(`--room ${room}: expected one of ${names.join(", ")}`);
  const { file, rule } = values;
  return {
    chosen: names.filter((name) => name === (room ?? name)),
    file,
    rule,
    ...numbers(values),
  };
}

const numbers = ({ seconds, seed }: { seconds: string; seed: string }) => ({
  seconds: Number(seconds),
  seed: Number(seed),
});

const { chosen, seconds, seed, file, rule } = commandLine({ name: "npm run mutate", help, parse });

interface Score {
  readonly noticed: number;
  readonly unnoticed: number;
  readonly uncounted: number;
  readonly listed: number;
}

/** Seconds of a hang guard, by how long the suites take without a mistake. */
const guardOf = (took: number): number => took * 5 + 20;

/** Suites in the order that they are asked: what is named after the file knows it best. */
function asked(room: Room, { file }: Mistake): string[][] {
  const name = `${basename(file).replace(/\.\w+$/, "")}.test.ts`;
  const folders = room.suites
    .flat()
    .map((suite) => (suite.endsWith(".ts") ? dirname(suite) : suite));
  const best = [
    ...new Set(folders.map((folder) => `${folder}/${name}`)),
    ...(room.best?.[basename(file)] ?? []),
  ];
  // The executable may be of an earlier mistake.
  const isOutside = (suite: string) =>
    (room.outside ?? []).flat().some((pattern) => new Bun.Glob(pattern).match(suite));
  return [best.filter((suite) => !isOutside(suite)), ...room.suites.map((suites) => [...suites])];
}

/** @throws Error where the suites fail without any mistake */
async function score(room: Room, tree: string, time: number): Promise<Score> {
  const { outside = [] } = room;
  if (room.built || outside.length > 0) await built(tree);
  let guard = 0;
  for (const suites of [...room.suites, ...outside]) {
    const { verdict, took, said } = await runSuites(tree, suites, 600);
    if (verdict !== "passed")
      throw new Error(`${suites.join(" ")}: ${verdict} without a mistake\n${said.slice(-3000)}`);
    guard = Math.max(guard, guardOf(took));
  }
  const known = mistakesOf(room, tree, file).filter((mistake) => mistake.rule.includes(rule));
  const texts = new Map(
    known.map(({ file }) => [file, readFileSync(join(tree, file), "utf8")] as const),
  );
  const changeOf = (mistake: Mistake) => change(texts.get(mistake.file) ?? "", mistake);
  const isListed = (mistake: Mistake) =>
    equivalents.some((one) => one.file === mistake.file && one.change === changeOf(mistake));
  const counts = { noticed: 0, unnoticed: 0, uncounted: 0, listed: 0 };
  const trusted = new Set<string>();
  const end = performance.now() + time;
  for (const mistake of shuffled(known, seed)) {
    if (performance.now() > end) break;
    if (isListed(mistake)) {
      counts.listed++;
      continue;
    }
    await trust(room, mistake, tree, trusted);
    const text = texts.get(mistake.file) ?? "";
    const path = join(tree, mistake.file);
    writeFileSync(path, made(text, mistake));
    const found = await judge(room, mistake, tree, guard);
    writeFileSync(path, text);
    counts[found]++;
    if (found === "unnoticed")
      console.log(`  ${mistake.file}:${mistake.line}: ${mistake.rule}: ${changeOf(mistake)}`);
  }
  console.log(`  of ${known.length} that the rules make`);
  return counts;
}

/** Those that are asked about one file alone, too. @throws Error where they fail without any mistake */
async function trust(
  { best, built: isBuilt }: Room,
  { file }: Mistake,
  tree: string,
  trusted: Set<string>,
) {
  const suites = best?.[basename(file)] ?? [];
  if (suites.every((suite) => trusted.has(suite))) return;
  if (isBuilt) await built(tree);
  const { verdict, said } = await runSuites(tree, suites, 600);
  if (verdict !== "passed")
    throw new Error(`${suites.join(" ")}: ${verdict} without a mistake\n${said.slice(-3000)}`);
  for (const suite of suites) trusted.add(suite);
}

async function built(tree: string): Promise<void> {
  const { verdict, said } = await build(tree);
  if (verdict !== "passed") throw new Error(`the copy cannot be built:\n${said}`);
}

const NOTICED: readonly Verdict[] = ["failed", "hangs"];

async function judge(
  room: Room,
  mistake: Mistake,
  tree: string,
  guard: number,
): Promise<"noticed" | "unnoticed" | "uncounted"> {
  const isC = mistake.file.endsWith(".c");
  if (room.built && (await build(tree)).verdict !== "passed") return isC ? "uncounted" : "noticed";
  const isNoticed = async (suites: readonly string[]) =>
    NOTICED.includes((await runSuites(tree, suites, guard)).verdict);
  for (const suites of asked(room, mistake)) if (await isNoticed(suites)) return "noticed";
  const { outside = [] } = room;
  if (outside.length > 0 && (await build(tree)).verdict !== "passed") return "noticed";
  for (const suites of outside) if (await isNoticed(suites)) return "noticed";
  return isC || (await checkTypes(tree)).verdict === "passed" ? "unnoticed" : "uncounted";
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
for (const name of chosen) {
  const room = rooms[name];
  if (!room) continue;
  console.log(`\n${name}: not noticed:`);
  try {
    const time = (seconds / chosen.length) * 1000;
    const { noticed, unnoticed, uncounted, listed } = await score(room, copy.path, time);
    const counted = noticed + unnoticed;
    const percent = counted === 0 ? "-" : `${Math.round((noticed / counted) * 100)} %`;
    lines.push(
      `${name.padEnd(10)} ${percent.padStart(5)}  ${noticed} of ${counted}; ${uncounted} that do not compile, ${listed} equivalent`,
    );
  } catch (error) {
    isBroken = true;
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    lines.push(`${name.padEnd(10)}     -  not tried`);
  }
}
console.log(`\nnoticed, --seed ${seed}:\n${lines.join("\n")}`);
process.exitCode = isBroken ? 1 : 0;
