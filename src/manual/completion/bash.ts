/** Completion for bash(1), without the package bash-completion. */
import { type Command, optionsOf } from "../program.ts";

export function bashCompletion(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const options = optionsOf(command, commands);
    const words = options.flatMap(([name, { short }]) => [
      `--${name}`,
      ...(short === undefined ? [] : [`-${short}`]),
    ]);
    const values = options.flatMap(([name, option]) => {
      const { argument, omissible, short, words: known, path } = option;
      if (argument === undefined) return [];
      const pattern = short === undefined ? `--${name}` : `--${name}|-${short}`;
      const offer = `values="${(known ?? []).join(" ")}" paths=${path ?? "none"}`;
      // Where it may be left out, another option may follow.
      return [
        `        ${pattern}) ${omissible ? `[[ $current == -* ]] || { ${offer}; }` : offer} ;;`,
      ];
    });
    const { operands } = command.manual;
    return [
      `    ${command.name})`,
      `      words="${words.join(" ")}"`,
      `      operands="${(operands?.words ?? []).join(" ")}" files=${operands?.path ?? "none"}`,
      ...(values.length > 0 ? ["      case $option in", ...values, "      esac"] : []),
      "      ;;",
    ].join("\n");
  });
  return `# bash completion for spawnbox: made by spawnbox completion bash
_spawnbox() {
  local current=\${COMP_WORDS[COMP_CWORD]} option= at=$((COMP_CWORD - 1))
  local words= operands= files=none values= paths=unset
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "${commands.map(({ name }) => name).join(" ")} --help --version" -- "$current")
    return
  fi
  # = and : are words of their own: --access=FILE, --config A:B.
  case $current in =|:) current= at=$COMP_CWORD ;; esac
  while [ "$at" -gt 2 ] && [ "\${COMP_WORDS[at]}" = : ]; do at=$((at - 2)); done
  if [ "$at" -gt 2 ] && [ "\${COMP_WORDS[at]}" = = ]; then at=$((at - 1)); fi
  option=\${COMP_WORDS[at]}
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
    *) return ;;
  esac
  if [ "$paths" = unset ]; then
    case $current in
      -*) values=$words paths=none ;;
      *) values=$operands paths=$files ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
  case $paths in
    file) compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$current") ;;
  esac
}
complete -F _spawnbox spawnbox
`;
}
