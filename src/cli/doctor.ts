/** `spawnbox doctor`: what this kernel and this user can do, and what of that the configs will miss. */
import { problemLine } from "../config/problem.ts";
import type { Feature } from "../doctor/feature.ts";
import { features as all } from "../doctor/features.ts";
import { lookingOnly, thisMachine } from "../plan/machine.ts";
import { apisOf } from "../command-line/apis.ts";
import { type Examined, examine } from "../command-line/examine.ts";
import { SOURCE, type Source, sourceOf } from "../command-line/config-option.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions } from "../manual/options.ts";
import { withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  ...SOURCE,
  json: {
    text: '{"features": [{"name", "ok", "found", "remedy"}], "problems": [...], "notices": [...]}',
  },
} as const;

export const manual: Manual = {
  name: "spawnbox doctor",
  synopsis: ["[--config PATH[:PATH...] | --plan FILE] [--json]"],
  about: `Tells feature by feature what this kernel offers this user, by trying where that is cheap, and what to do about what is
missing. With configs, AFB_SPAWN_CONFIG among them, also what of them will not work here, as check does: run it as the
user of the server.`,
  options: OPTIONS,
  exit: "0, 1 when a loaded config cannot work here, 2 wrong usage.",
};

/** Exit code: 0, 1 when a loaded config cannot work here, 2 wrong usage. */
export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, tell);

interface Options {
  readonly source: Source | undefined;
  readonly json: boolean;
}

function parse(argv: string[]): Options | undefined {
  const values = readOptions(OPTIONS, argv);
  return values && { source: sourceOf(values.config, values.plan), json: values.json };
}

async function tell({ source, json }: Options): Promise<number> {
  const features = await all();
  const findings =
    source &&
    (await examine(
      () => ({ apis: apisOf(source, lookingOnly(thisMachine())), notices: [] }),
      true,
    ));
  const told = findings && { problems: findings.problems, notices: findings.notices };
  if (json) console.log(JSON.stringify({ features, ...told }, null, 2));
  else console.log([...features.map(featureLine), ...(findings ? words(findings) : [])].join("\n"));
  return findings && findings.problems.length > 0 ? 1 : 0;
}

function featureLine({ name, ok, found, remedy }: Feature): string {
  const line = `${ok ? "ok     " : "missing"}  ${name.padEnd(17)} ${found}`;
  return remedy === undefined ? line : `${line}\n${" ".repeat(27)}→ ${remedy}`;
}

function words({ problems, notices }: Examined): string[] {
  const lines = [
    ...problems.map((problem) => `problem: ${problemLine(problem)}`),
    ...notices.map((notice) => `notice: ${problemLine(notice)}`),
  ];
  return ["", ...(lines.length > 0 ? lines : ["the configs get everything that they ask for"])];
}
