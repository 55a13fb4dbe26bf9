/** `spawnbox completion`: what a shell needs to complete command lines, made from the tables that --help is made from. */
import { suggestion } from "../config/nearest.ts";
import { SHELLS } from "../manual/completion/shells.ts";
import { commandsOf } from "../manual/program.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { printText } from "../command-line/print.ts";
import type { Subcommands } from "../manual/subcommand.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

const NAMES = Object.keys(SHELLS);

export const manual: Manual = {
  name: "spawnbox completion",
  synopsis: ["bash|zsh|fish"],
  about: "Prints a script that lets the shell complete subcommands, options and their values.",
  options: {},
  notes: `It is in effect once the shell has read it: a line in ~/.bashrc or ~/.zshrc (there behind compinit), or a file that
packages bring along.`,
  exit: "0, or 2 for wrong usage.",
  examples: [
    "source <(spawnbox completion bash)",
    "source <(spawnbox completion zsh)",
    "spawnbox completion fish | source",
  ],
  operands: { words: NAMES },
};

export const run = (argv: string[], all: Subcommands): Promise<number> =>
  withOptions(manual, parse, argv, async (name) => {
    printText(SHELLS[name].completion(await commandsOf(all)));
    return 0;
  });

function parse(argv: string[]): keyof typeof SHELLS | undefined {
  const read = readWithOperands({}, argv);
  if (!read) return undefined;
  const [name, ...others] = read.positionals;
  if (name === undefined || others.length > 0)
    throw new UsageError(`name one shell: ${NAMES.join(", ")}`);
  if (name === "bash" || name === "zsh" || name === "fish") return name;
  throw new UsageError(`no completion for ${name}${suggestion(name, NAMES)}: ${NAMES.join(", ")}`);
}
