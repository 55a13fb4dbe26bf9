/** `spawnbox compile`: plans made here, for a machine that has neither the libraries nor the time. */
import { loadConfigs } from "../config/load.ts";
import { ConfigError, problemLine } from "../config/problem.ts";
import { compile } from "../plan/compile.ts";
import { encodePlans } from "../plan/file.ts";
import { lookingOnly, type Machine, thisMachine } from "../plan/machine.ts";
import { checkEncoder, extend } from "../plugins/extend.ts";
import { printText } from "../command-line/print.ts";
import { CONFIG, configSpec } from "../command-line/config-option.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { writePlanFile } from "../plan/stored.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  ...CONFIG,
  output: {
    short: "o",
    argument: "FILE",
    text: "where to write; -: standard output",
    path: "file",
  },
  arch: {
    argument: "ARCH",
    text: "x64 or arm64 (default: this machine's)",
    words: ["x64", "arm64"],
  },
} as const;

export const manual: Manual = {
  name: "spawnbox compile",
  synopsis: ["PATH[:PATH...] -o FILE [--arch x64|arm64]"],
  about: `Compiles configs into one plan file, with the seccomp programs inside. serve, run, check and explain load it with
--plan FILE, without libseccomp and libcap. PATH may stand behind --config too, as for serve.`,
  options: OPTIONS,
  notes: `What depends on a machine is looked up now, on this one: users and groups, paths and their links, $NAME and the
output of execfd commands, what Landlock and the kernel offer. So compile where the system is the target's (its root
file system, a container of it), and as the user the server will run as. Nothing is made here: what "autocreate" asks for is
made where the server starts. The environment of this machine is not handed
on: commands get what the config says. Only a server of the same architecture, user and version loads the file; root only
where nobody else can change it.`,
  exit: "0 written, 1 problems, 2 wrong usage.",
  operands: { path: "file" },
};

/** Exit code: 0 written, 1 problems, 2 wrong usage. */
export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, write);

interface Options {
  readonly spec: string;
  readonly output: string;
  readonly arch: string;
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const { output, arch = process.arch } = values;
  if (values.config !== undefined && positionals.length > 0)
    throw new UsageError("give the configs either behind --config or without, not both");
  const spec = configSpec(values.config ?? positionals.join(":"));
  if (!spec) throw new UsageError("no config file named");
  if (!output) throw new UsageError("say where to write: -o FILE");
  if (arch !== "x64" && arch !== "arm64")
    throw new UsageError(`--arch ${arch}: expected x64 or arm64`);
  return { spec, output, arch };
}

function write({ spec, output, arch }: Options): number {
  try {
    // What `autocreate` makes is made where the plans start.
    const here = lookingOnly(thisMachine(arch));
    const machine: Machine = { ...here, inherits: false, bounding: undefined };
    const apis = compile(loadConfigs(spec), { machine, checkEncoder, extend });
    const plans = encodePlans(apis, machine);
    const isPiped = output === "-";
    if (!isPiped) writePlanFile(output, plans);
    // Cut off, it is none.
    else if (!printText(plans)) return 1;
    const say = isPiped ? console.error : console.log;
    for (const { file, notices } of apis)
      for (const notice of notices) say(`notice: ${problemLine({ file, ...notice })}`);
    say(
      `${isPiped ? "standard output" : output}: ${apis.map(({ api }) => api).join(", ")}, for ${arch}`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = error instanceof ConfigError ? "" : "spawnbox compile: ";
    console.error(`${reason}${error.message}`);
    return 1;
  }
}
