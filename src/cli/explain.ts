/** `spawnbox explain`: what a sandbox does, in words, how much it leaves open, and what would close most of it. */
import { lookingOnly, thisMachine } from "../plan/machine.ts";
import { findCased } from "../cased.ts";
import { suggestion } from "../config/nearest.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { explain, importWords } from "../plan/explain.ts";
import { type Exposure, exposure, fixLine, improvements } from "../plan/exposure.ts";
import { type ApiPlan, launchable, type Plan } from "../plan/plan.ts";
import { apisOf } from "../command-line/apis.ts";
import { examine } from "../command-line/examine.ts";
import { neededSource, SOURCE, type Source, sourceOf } from "../command-line/config-option.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { visible } from "../visible.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  ...SOURCE,
  json: {
    text: '[{"api", "sandbox", "verb", "steps", "refused", "exposure": {"score", "findings"}, "improvements"}]',
  },
} as const;

export const manual: Manual = {
  name: "spawnbox explain",
  synopsis: ["[--config PATH[:PATH...] | --plan FILE] [--json] [SANDBOX | API/VERB]"],
  about: `Tells what happens before a command runs, one line per step in the order of the steps; then an exposure score, from 0
for next to nothing to 10 for all that the server can reach, and the three cheapest improvements, each as the keys to
set in the sandbox. What a launch would be refused here is told as well. Without a name, of every sandbox by its first
command. Without --config, AFB_SPAWN_CONFIG is used.`,
  options: OPTIONS,
  exit: "0, 1 when a config has problems or nothing has that name, 2 wrong usage.",
};

interface Options {
  readonly source: Source;
  readonly name: string | undefined;
  readonly json: boolean;
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const [first = ""] = positionals;
  // As check takes it; no sandbox is called so where nothing says which configs are meant.
  if (first.endsWith(".json") && !sourceOf(values.config, values.plan))
    throw new UsageError(`name the config with an option: --config ${first}`);
  const source = neededSource(values.config, values.plan);
  if (positionals.length > 1) throw new UsageError("name one sandbox or one verb");
  return { source, name: positionals[0], json: values.json };
}

/** Exit code: 0, 1 when a config has problems or nothing has that name, 2 wrong usage. */
export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, tell);

async function tell({ source, name, json }: Options): Promise<number> {
  let apis: ApiPlan[];
  try {
    apis = apisOf(source, lookingOnly(thisMachine()));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    return 1;
  }
  const plans = name === undefined ? firsts(apis) : named(apis, name);
  if (plans.length === 0 && name !== undefined) {
    console.error(`spawnbox explain: nothing is called ${name}${suggestion(name, names(apis))}`);
    return 1;
  }
  const { problems, notices } = await examine(() => ({ apis, notices: [] }), true);
  const missing = notices.filter(({ message }) => message.includes("not available: "));
  const refused = (plan: Plan) => refusals(plan, apis, [...problems, ...missing]);
  console.log(
    json
      ? JSON.stringify(
          plans.map((plan) => toJson(plan, refused(plan))),
          null,
          2,
        )
      : [
          ...plans.map((plan) => toText(plan, refused(plan))),
          ...(name === undefined ? importsText(apis) : []),
        ].join("\n\n"),
  );
  return 0;
}

/** What its launch would say here; empty where it would begin. */
function refusals(plan: Plan, apis: readonly ApiPlan[], found: readonly Problem[]): string[] {
  const places = apis.flatMap(({ file, sandboxes }) =>
    sandboxes.flatMap((one, i) =>
      launchable(one).includes(plan) ? [{ file, path: `sandboxes[${i}]` }] : [],
    ),
  );
  return found
    .filter((one) => places.some(({ file, path }) => one.file === file && one.path === path))
    .map(({ message }) => message);
}

/** Of each sandbox its first command: the others differ in limits and time at most. */
const firsts = (apis: readonly ApiPlan[]): Plan[] =>
  apis.flatMap(({ sandboxes }) => sandboxes.flatMap((one) => launchable(one).slice(0, 1)));

function named(apis: readonly ApiPlan[], name: string): Plan[] {
  const all = apis.flatMap(({ sandboxes }) => sandboxes.flatMap(launchable));
  const nameOf = ({ api, verb }: Plan) => `${api}/${verb}`;
  const found = findCased(name, new Set(all.map(nameOf)));
  const verbs = all.filter((plan) => nameOf(plan) === found);
  return verbs.length > 0 ? verbs : firsts(apis).filter(({ sandbox }) => sandbox === name);
}

const names = (apis: readonly ApiPlan[]): string[] =>
  apis.flatMap(({ api, sandboxes }) =>
    sandboxes.flatMap((one) => [one.uid, ...launchable(one).map(({ verb }) => `${api}/${verb}`)]),
  );

function toJson(plan: Plan, refused: readonly string[]) {
  const { api, sandbox, verb } = plan;
  const found = exposure(plan);
  const lines = improvements(found).map(({ what, fix }) => ({ what, set: fix }));
  return {
    api,
    sandbox,
    verb,
    steps: explain(plan),
    refused,
    exposure: found,
    improvements: lines,
  };
}

function toText(plan: Plan, refused: readonly string[]): string {
  const { api, sandbox, verb } = plan;
  const found = exposure(plan);
  return [
    `${api}/${verb}, in the sandbox ${sandbox}`,
    ...explain(plan).map((line) => visible(`  ${line}`)),
    ...refused.map((line) => visible(`refused here: ${line}`)),
    `exposure ${found.score.toFixed(1)} of 10`,
    ...found.findings.map(({ what, weight }) => visible(`  ${weight.toFixed(1)}  ${what}`)),
    ...remedies(found),
  ].join("\n");
}

/** What is called elsewhere runs in no sandbox of ours. */
function importsText(apis: readonly ApiPlan[]): string[] {
  const all = new Set(apis.flatMap(({ imports = [] }) => imports.map(importWords)));
  return all.size > 0
    ? [["imports", ...[...all].map((line) => visible(`  ${line}`))].join("\n")]
    : [];
}

function remedies(found: Exposure): string[] {
  const best = improvements(found);
  if (best.length === 0) return [];
  return [
    "cheapest improvements, in the sandbox:",
    ...best.map(({ fix = {} }) => `  ${fixLine(fix)}`),
  ];
}
