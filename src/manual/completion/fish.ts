/** Completion for fish(1). */
import type { Option } from "../options.ts";
import { type Command, optionsOf } from "../program.ts";

export function fishCompletion(commands: readonly Command[]): string {
  const lines = [
    "# fish completion for spawnbox: made by spawnbox completion fish",
    "complete -c spawnbox -f",
    `complete -c spawnbox -n __fish_use_subcommand -l help -d ${quoted("the subcommands")}`,
    `complete -c spawnbox -n __fish_use_subcommand -l version -d ${quoted("the version")}`,
  ];
  for (const command of commands) {
    const { name, about, manual } = command;
    lines.push(`complete -c spawnbox -n __fish_use_subcommand -a ${name} -d ${quoted(about)}`);
    const here = `complete -c spawnbox -n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
    for (const [long, option] of optionsOf(command, commands)) {
      lines.push(`${here} -l ${long}${rest(option)}`);
      if (!option.omissible || !option.path) continue;
      // One that may be left out, fish takes for a part of the option only.
      const behind = `__fish_seen_subcommand_from ${name}; and __fish_prev_arg_in --${long}`;
      lines.push(`complete -c spawnbox -n ${quoted(behind)} -F`);
    }
    const { operands } = manual;
    if (operands?.words) lines.push(`${here} -a ${quoted(operands.words.join(" "))}`);
    if (operands?.path) lines.push(`${here} -F`);
  }
  return `${lines.join("\n")}\n`;
}

function rest({ argument, omissible, short, text, words, path }: Option): string {
  const parts = short === undefined ? [] : [`-s ${short}`];
  // -r wants a value, -x one that is no file.
  if (argument !== undefined && !omissible) parts.push(path ? "-r -F" : "-x");
  if (words) parts.push(`-a ${quoted(words.join(" "))}`);
  parts.push(`-d ${quoted(text)}`);
  return ` ${parts.join(" ")}`;
}

const quoted = (text: string): string =>
  `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
