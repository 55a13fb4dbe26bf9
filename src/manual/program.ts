/** All that is known of the command line, for what is generated from it: completions and the page of the manual. */
import type { Manual } from "./manual.ts";
import { HELP, type Option, type Options } from "./options.ts";
import { manualsOf, type Subcommands } from "./subcommand.ts";

export interface Command {
  readonly name: string;
  /** One line. */
  readonly about: string;
  readonly manual: Manual;
}

export async function commandsOf(all: Subcommands): Promise<Command[]> {
  const manuals = await manualsOf(all);
  return [...manuals].map(([name, manual]) => ({ name, about: all[name]?.about ?? "", manual }));
}

/** What a command line may have: `early` takes what `serve` takes. */
export function optionsOf(command: Command, commands: readonly Command[]): [string, Option][] {
  const inherited = command.name === "early" ? serving(commands) : {};
  return Object.entries({ ...command.manual.options, ...inherited, help: HELP });
}

const serving = (commands: readonly Command[]): Options =>
  commands.find(({ name }) => name === "serve")?.manual.options ?? {};
