/** `spawnbox check`: every problem of the configs, without starting anything. */
import { parseArgs } from "node:util";
import { type LoadedConfig, loadConfigs } from "../config/load.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { verbOf } from "../config/verbs.ts";

export const help = `usage: spawnbox check [--json] PATH[:PATH...]

Loads the configs as a start would and prints every problem as "file: path: message".
A directory stands for every spawn-*.json in it. Without PATH, AFB_SPAWN_CONFIG is used.

  --json       {"ok", "problems": [{"file", "path", "message"}], "notices": [the same]}
  -h, --help   this text

Exit code: 0 no problem, 1 problems, 2 wrong usage.`;

/** Compiles the loaded configs and tells what this machine makes of them. */
export type Compile = (loaded: readonly LoadedConfig[]) => {
  readonly problems: readonly Problem[];
  readonly notices: readonly Problem[];
};

export interface CheckResult {
  readonly exitCode: 0 | 1;
  /** What to print on standard output. */
  readonly output: string;
}

/** Exit code: 0 no problem, 1 problems, 2 wrong usage. */
export async function run(argv: string[], compile?: Compile): Promise<number> {
  let json: boolean;
  let paths: string[];
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: { json: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help) {
      console.log(help);
      return 0;
    }
    json = values.json ?? false;
    paths = positionals;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`spawnbox check: ${error.message}\n\n${help}`);
    return 2;
  }
  const spec = paths.length > 0 ? paths.join(":") : process.env["AFB_SPAWN_CONFIG"];
  if (!spec) {
    console.error(`spawnbox check: no config file named\n\n${help}`);
    return 2;
  }
  const { exitCode, output } = check(spec, compile, { json });
  console.log(output);
  return exitCode;
}

/** Loads and, with `compile`, compiles what `spec` names. */
export function check(
  spec: string,
  compile: Compile | undefined,
  { json }: { json: boolean },
): CheckResult {
  let loaded: readonly LoadedConfig[] = [];
  let problems: readonly Problem[] = [];
  let notices: readonly Problem[] = [];
  try {
    loaded = loadConfigs(spec);
    if (compile !== undefined) ({ problems, notices } = compile(loaded));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems = error.problems;
  }
  const ok = problems.length === 0;
  const exitCode = ok ? 0 : 1;
  if (json) return { exitCode, output: JSON.stringify({ ok, problems, notices }, null, 2) };
  const lines = [
    ...problems.map(line),
    ...notices.map((notice) => `notice: ${line(notice)}`),
    ...(ok ? summary(loaded) : []),
  ];
  return { exitCode, output: lines.join("\n") };
}

const line = ({ file, path, message }: Problem): string =>
  `${file}: ${path || "(top)"}: ${message}`;

function summary(loaded: readonly LoadedConfig[]): string[] {
  const verbs = loaded.flatMap(({ config }) => {
    const { api } = config.metadata;
    const commands = config.sandboxes.flatMap((sandbox) =>
      sandbox.commands.map((command) => `${api}/${verbOf(config, sandbox, command)}`),
    );
    return [...commands, ...(config.extra ?? []).map((extra) => `${api}/${extra.uid}`)];
  });
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const head = `OK: ${count(loaded.length, "API")}, ${count(verbs.length, "verb")}`;
  return [head, ...verbs.map((verb) => `  ${verb}`)];
}
