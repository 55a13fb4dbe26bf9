/** `spawnbox check`: every problem of the configs, without starting anything. */
import { parseArgs } from "node:util";
import { ConfigError, type Problem, problemLine } from "../config/problem.ts";
import { poolNotices } from "../launch/reserve.ts";
import { lookingOnly, thisMachine } from "../plan/machine.ts";
import type { ApiPlan, Plan } from "../plan/plan.ts";
import { load } from "./access-option.ts";
import { type Source, sourceOf } from "./config-option.ts";
import { UsageError, withOptions } from "./usage.ts";

export const help = `usage: spawnbox check [OPTIONS] PATH[:PATH...]
       spawnbox check [OPTIONS] --plan FILE

Loads the configs as a start would and prints every problem as "file: path: message".
A directory stands for every spawn-*.json in it. Without PATH, AFB_SPAWN_CONFIG is used.

  --plan FILE    plans made by spawnbox compile, instead of configs
  --access FILE  the access file, none or open, as for serve
  --json         {"ok", "problems": [{"file", "path", "message"}], "notices": [the same]}
  -h, --help     this text

Exit code: 0 no problem, 1 problems, 2 wrong usage.`;

export interface CheckResult {
  readonly exitCode: 0 | 1;
  /** What to print on standard output. */
  readonly output: string;
}

/** Exit code: 0 no problem, 1 problems, 2 wrong usage. */
export const run = (argv: string[]): Promise<number> =>
  withOptions({ name: "spawnbox check", help, parse }, argv, ({ source, ...options }) => {
    const { exitCode, output } = check(source, options);
    console.log(output);
    return exitCode;
  });

interface Options {
  readonly json: boolean;
  readonly access?: string | undefined;
}

function parse(argv: string[]): (Options & { source: Source }) | undefined {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      plan: { type: "string" },
      access: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const source = sourceOf(positionals.join(":"), values.plan);
  if (!source) throw new UsageError("no config file named");
  const { json, access } = values;
  return { source, json, access };
}

/** Loads what `source` names (a string: configs), and compiles it, as `serve` would on this machine and as this user. */
export function check(from: Source | string, { json, access }: Options): CheckResult {
  let apis: readonly ApiPlan[] = [];
  let problems: readonly Problem[] = [];
  let found: readonly Problem[] = [];
  try {
    const source: Source = typeof from === "string" ? { kind: "config", path: from } : from;
    ({ apis, notices: found } = load([source], access, lookingOnly(thisMachine())));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems = error.problems;
  }
  const own = apis.flatMap(({ file, notices: all }) => all.map((one) => ({ file, ...one })));
  const notices = [...own, ...found, ...poolNotices(apis)];
  const ok = problems.length === 0;
  const exitCode = ok ? 0 : 1;
  if (json) return { exitCode, output: JSON.stringify({ ok, problems, notices }, null, 2) };
  const lines = [
    ...problems.map(problemLine),
    ...notices.map((notice) => `notice: ${problemLine(notice)}`),
    ...(ok ? summary(apis) : []),
  ];
  return { exitCode, output: lines.join("\n") };
}

function summary(apis: readonly ApiPlan[]): string[] {
  const verbs = apis.flatMap(({ api, sandboxes, actions }) => [
    ...sandboxes.flatMap(({ plans }) =>
      plans.map((plan) => `${api}/${plan.verb}${argumentsOf(plan)}`),
    ),
    ...(actions?.extra ?? []).map(({ uid }) => `${api}/${uid}`),
  ]);
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const head = `OK: ${count(apis.length, "API")}, ${count(verbs.length, "verb")}`;
  return [head, ...verbs.map((verb) => `  ${verb}`)];
}

/** Such as ` %name% ?level?`: as the command line has them, so that what was not meant to be one is seen. */
function argumentsOf({ argv }: Plan): string {
  const marks = argv.elements.flat().flatMap((piece) => {
    if (piece.kind === "text") return [];
    return [piece.required ? `%${piece.name}%` : `?${piece.name}?`];
  });
  return [...new Set(marks)].map((mark) => ` ${mark}`).join("");
}
