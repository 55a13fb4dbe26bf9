/** `spawnbox compile`: plans made here, for a machine that has neither the libraries nor the time. */
import { parseArgs } from "node:util";
import { loadConfigs } from "../config/load.ts";
import { ConfigError } from "../config/problem.ts";
import { compile } from "../plan/compile.ts";
import { encodePlans } from "../plan/file.ts";
import { thisMachine } from "../plan/machine.ts";
import { checkEncoder, extend } from "../plugins/extend.ts";
import { configSpec } from "./config-option.ts";
import { writePlanFile } from "./plan-file.ts";

export const help = `usage: spawnbox compile CONFIG[:CONFIG...] -o FILE [--arch x64|arm64]

Compiles configs into one plan file, with the seccomp programs inside. serve, run, check and explain load it with
--plan FILE, without libseccomp and libcap.

  -o, --output FILE  where to write
  --arch ARCH        x64 or arm64 (default: this machine's)
  -h, --help         this text

What depends on a machine is looked up now, on this one: users and groups, paths and their links, $NAME and the
output of execfd commands, what Landlock and the kernel offer. So compile where the system is the target's (its root
file system, a container of it), and as the user the server will run as. The environment of this machine is not handed
on: commands get what the config says. Only a server of the same architecture, user and version loads the file; root only
where nobody else can change it.

Exit code: 0 written, 1 problems, 2 wrong usage.`;

/** Exit code: 0 written, 1 problems, 2 wrong usage. */
export async function run(argv: string[]): Promise<number> {
  let spec: string;
  let output: string;
  let arch: string;
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        arch: { type: "string", default: process.arch },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) {
      console.log(help);
      return 0;
    }
    const named = configSpec(positionals.join(":"));
    if (!named) throw new TypeError("no config file named");
    if (!values.output) throw new TypeError("say where to write: -o FILE");
    if (values.arch !== "x64" && values.arch !== "arm64") {
      throw new TypeError(`--arch ${values.arch}: expected x64 or arm64`);
    }
    ({ spec, output, arch } = { spec: named, output: values.output, arch: values.arch });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`spawnbox compile: ${error.message}\n\n${help}`);
    return 2;
  }
  try {
    const machine = { ...thisMachine(arch), inherits: false };
    const apis = compile(loadConfigs(spec), { machine, checkEncoder, extend });
    writePlanFile(output, encodePlans(apis, machine));
    for (const { file, notices } of apis)
      for (const { path, message } of notices) console.log(`notice: ${file}: ${path}: ${message}`);
    console.log(`${output}: ${apis.map(({ api }) => api).join(", ")}, for ${arch}`);
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = error instanceof ConfigError ? "" : "spawnbox compile: ";
    console.error(`${reason}${error.message}`);
    return 1;
  }
}
