/** Completion for zsh(1), by its _arguments. Works as a file of fpath, and sourced. */
import type { Option } from "../options.ts";
import { type Command, optionsOf } from "../program.ts";

export function zshCompletion(commands: readonly Command[]): string {
  const names = commands.map(({ name, about }) => `    ${quoted(`${colons(name)}:${about}`)}`);
  const cases = commands.map((command) => {
    const specs = optionsOf(command, commands).map(([name, option]) => spec(name, option));
    const { operands } = command.manual;
    // Those that are files are lists of them.
    const action = actionOf({ words: operands?.words, path: operands?.path, isList: true });
    specs.push(quoted(`*:argument:${action}`));
    return `    ${command.name})\n      _arguments -s ${specs.join(" \\\n        ")}\n      ;;`;
  });
  return `#compdef spawnbox
# zsh completion for spawnbox: made by spawnbox completion zsh
_spawnbox() {
  local -a subcommands
  subcommands=(
${names.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe subcommand subcommands
    return
  fi
  local subcommand=$words[2]
  shift words
  (( CURRENT-- ))
  case $subcommand in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _spawnbox ]; then
  _spawnbox "$@"
elif (( $+functions[compdef] )); then
  compdef _spawnbox spawnbox
fi
`;
}

function spec(name: string, option: Option): string {
  const { argument, omissible, short, repeatable, joined, text, words, path } = option;
  const colon = omissible ? "::" : ":";
  const value =
    argument === undefined
      ? ""
      : `${colon}${colons(argument)}:${actionOf({ words, path, isList: argument === LIST })}`;
  const about = `[${text.replaceAll(/[[\]\\]/g, "\\$&")}]${value}`;
  const equals = argument === undefined ? "" : "=";
  if (short !== undefined) {
    const [long, other] = [
      `--${name}${equals}`,
      argument === undefined ? `-${short}` : `-${short}+`,
    ];
    return `'(-${short} --${name})'{${other},${long}}${quoted(about)}`;
  }
  return quoted(`${repeatable || joined ? "*" : ""}--${name}${equals}${about}`);
}

/** Joined by colons. */
const LIST = "PATH[:PATH...]";

interface Values {
  readonly words?: readonly string[] | undefined;
  readonly path?: "file" | "directory" | undefined;
  readonly isList: boolean;
}

function actionOf({ words, path, isList }: Values): string {
  if (words && path)
    return `{_alternative "words\\:word\\:(${words.join(" ")})" "files\\:file\\:_files"}`;
  if (words) return `(${words.join(" ")})`;
  if (path === undefined) return " ";
  if (path === "directory") return "_files -/";
  return isList ? '{compset -P "*\\:"; _files}' : "_files";
}

const colons = (text: string): string => text.replaceAll(":", "\\:");
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
