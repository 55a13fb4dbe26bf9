/** `spawnbox doctor`: what this kernel and this user can do, and what of that the configs will miss. */
import { parseArgs } from "node:util";
import { ConfigError, type Problem, problemLine } from "../config/problem.ts";
import { cgroupFeature } from "../doctor/cgroups.ts";
import type { Feature } from "../doctor/feature.ts";
import { hostFeatures } from "../doctor/host.ts";
import { unmet } from "../doctor/needs.ts";
import { probeFeatures } from "../doctor/probes.ts";
import { lookingOnly, thisMachine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";
import { apisOf } from "./compile.ts";
import { type Source, SOURCE_OPTIONS, sourceOf } from "./config-option.ts";
import { visible } from "../visible.ts";
import { withOptions } from "./usage.ts";

export const help = `usage: spawnbox doctor [--config PATH[:PATH...] | --plan FILE] [--json]

Tells feature by feature what this kernel offers this user, by trying where that is cheap, and what to do about what is
missing. With configs, also what of them will not work here: run it as the user of the server.

  --config PATH  config files or directories, separated by colons; AFB_SPAWN_CONFIG works too
  --plan FILE    plans made by spawnbox compile, instead of configs
  --json         {"features": [{"name", "ok", "found", "remedy"}], "unmet": [...], "problems": [...], "notices": [...]}
  -h, --help     this text

Exit code: 0, 1 when a loaded config cannot work here, 2 wrong usage.`;

interface Findings {
  readonly problems: readonly Problem[];
  readonly notices: readonly Problem[];
  /** What sandboxes need and cannot have. */
  readonly unmet: readonly string[];
}

/** Exit code: 0, 1 when a loaded config cannot work here, 2 wrong usage. */
export const run = (argv: string[]): Promise<number> =>
  withOptions({ name: "spawnbox doctor", help, parse }, argv, tell);

interface Options {
  readonly source: Source | undefined;
  readonly json: boolean;
}

function parse(argv: string[]): Options | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      ...SOURCE_OPTIONS,
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  return { source: sourceOf(values.config, values.plan), json: values.json };
}

async function tell({ source, json }: Options): Promise<number> {
  const features = [...hostFeatures(), cgroupFeature(), ...(await probeFeatures(thisMachine()))];
  const findings = source && examine(source, features);
  if (json) console.log(JSON.stringify({ features, ...findings }, null, 2));
  else console.log([...features.map(featureLine), ...(findings ? words(findings) : [])].join("\n"));
  return findings && findings.problems.length + findings.unmet.length > 0 ? 1 : 0;
}

function examine(source: Source, features: readonly Feature[]): Findings {
  let apis: readonly ApiPlan[] = [];
  try {
    apis = apisOf(source, lookingOnly(thisMachine()));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems, notices: [], unmet: [] };
  }
  return {
    problems: [],
    notices: apis.flatMap(({ file, notices }) => notices.map((notice) => ({ file, ...notice }))),
    unmet: apis.flatMap((api) => unmet(api, features).map((text) => `${api.api}: ${text}`)),
  };
}

function featureLine({ name, ok, found, remedy }: Feature): string {
  const line = `${ok ? "ok     " : "missing"}  ${name.padEnd(17)} ${found}`;
  return remedy === undefined ? line : `${line}\n${" ".repeat(27)}→ ${remedy}`;
}

function words({ problems, notices, unmet: lacking }: Findings): string[] {
  const lines = [
    ...problems.map((problem) => `problem: ${problemLine(problem)}`),
    ...lacking.map((text) => visible(`problem: ${text}`)),
    ...notices.map((notice) => `notice: ${problemLine(notice)}`),
  ];
  return ["", ...(lines.length > 0 ? lines : ["the configs get everything that they ask for"])];
}
