/** What is made of a small command line: pages of the manual, --help and completions, whole. */
import { expect, test } from "bun:test";
import { bashCompletion } from "../../src/manual/completion/bash.ts";
import { fishCompletion } from "../../src/manual/completion/fish.ts";
import { SHELLS } from "../../src/manual/completion/shells.ts";
import { zshCompletion } from "../../src/manual/completion/zsh.ts";
import { helpOf, type Manual } from "../../src/manual/manual.ts";
import { optionLines } from "../../src/manual/options.ts";
import { configPage, programPage } from "../../src/manual/pages.ts";
import type { Command } from "../../src/manual/program.ts";
import { entry, escaped, prose, verbatim } from "../../src/manual/troff.ts";
import { version } from "../../src/version.ts";

const manual: Manual = {
  name: "spawnbox one",
  synopsis: ["[--file FILE]", "--mode WORD"],
  about: "Does it.\n\nAnd more.",
  options: {
    file: { argument: "FILE", short: "f", path: "file", text: "it's `a` file" },
    dir: { argument: "DIR", path: "directory", repeatable: true, text: "where [x]: y" },
    mode: { argument: "WORD", words: ["a", "b:c"], text: "how" },
    ask: { argument: "AT", omissible: /^x/, path: "file", text: "whether" },
    quiet: { short: "q", text: "says nothing" },
  },
  notes: "A note.",
  exit: "0.",
  examples: ["spawnbox one -f .x", "spawnbox one"],
  operands: { words: ["w1", "w2"], path: "file" },
};
const serve: Manual = {
  ...{ name: "spawnbox serve", synopsis: [""], about: "Serves.", exit: "1." },
  options: { port: { argument: "N", text: "a port" } },
};
const commands: Command[] = [
  { name: "one", about: "the first's", manual },
  { name: "serve", about: "the other", manual: serve },
  { name: "early", about: "before", manual: { ...serve, name: "spawnbox early", options: {} } },
];

test("--help", () => {
  expect(helpOf(manual)).toMatchInlineSnapshot(`
    "usage: spawnbox one [--file FILE]
           spawnbox one --mode WORD

    Does it.

    And more.

      -f, --file FILE  it's \`a\` file
      --dir DIR        where [x]: y
      --mode WORD      how
      --ask [AT]       whether
      -q, --quiet      says nothing
      -h, --help       this text

    A note.

    Exit code: 0.

    Examples:
      spawnbox one -f .x
      spawnbox one"
  `);
  expect(helpOf(serve)).toMatchInlineSnapshot(`
    "usage: spawnbox serve

    Serves.

      --port N    a port
      -h, --help  this text

    Exit code: 1."
  `);
});

test("lines are as long as they may be", () => {
  const of = (length: number) =>
    optionLines({ x: { text: `${"w".repeat(length - 18)} end` } }).split("\n")[0];
  expect([of(120), of(121)].map((line) => line?.endsWith("end"))).toEqual([true, false]);
});

test("for bash", () => {
  const cases = bashCompletion(commands)
    .split("\n")
    .filter((line) => /^( {4}\w+\)| {6})/.test(line));
  expect(cases.join("\n")).toMatchInlineSnapshot(`
    "    one)
          words="--file -f --dir --mode --ask --quiet -q --help -h"
          operands="w1 w2" files=file
          case $option in
            --file|-f) values="" paths=file ;;
            --dir) values="" paths=directory ;;
            --mode) values="a b:c" paths=none ;;
            --ask) [[ $current == -* ]] || { values="" paths=file; } ;;
          esac
          ;;
        serve)
          words="--port --help -h"
          operands="" files=none
          case $option in
            --port) values="" paths=none ;;
          esac
          ;;
        early)
          words="--port --help -h"
          operands="" files=none
          case $option in
            --port) values="" paths=none ;;
          esac
          ;;
          -*) values=$words paths=none ;;
          *) values=$operands paths=$files ;;
        file) compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current") ;;
        directory) compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$current") ;;"
  `);
  expect(bashCompletion(commands)).toContain('compgen -W "one serve early --help --version"');
});

test("for fish", () => {
  expect(fishCompletion(commands)).toMatchInlineSnapshot(`
    "# fish completion for spawnbox: made by spawnbox completion fish
    complete -c spawnbox -f
    complete -c spawnbox -n __fish_use_subcommand -l help -d 'the subcommands'
    complete -c spawnbox -n __fish_use_subcommand -l version -d 'the version'
    complete -c spawnbox -n __fish_use_subcommand -a one -d 'the first\\'s'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -l file -s f -r -F -d 'it\\'s \`a\` file'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -l dir -r -F -d 'where [x]: y'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -l mode -x -a 'a b:c' -d 'how'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -l ask -d 'whether'
    complete -c spawnbox -n '__fish_seen_subcommand_from one; and __fish_prev_arg_in --ask' -F
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -l quiet -s q -d 'says nothing'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -l help -s h -d 'this text'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -a 'w1 w2'
    complete -c spawnbox -n '__fish_seen_subcommand_from one' -F
    complete -c spawnbox -n __fish_use_subcommand -a serve -d 'the other'
    complete -c spawnbox -n '__fish_seen_subcommand_from serve' -l port -x -d 'a port'
    complete -c spawnbox -n '__fish_seen_subcommand_from serve' -l help -s h -d 'this text'
    complete -c spawnbox -n __fish_use_subcommand -a early -d 'before'
    complete -c spawnbox -n '__fish_seen_subcommand_from early' -l port -x -d 'a port'
    complete -c spawnbox -n '__fish_seen_subcommand_from early' -l help -s h -d 'this text'
    "
  `);
});

test("for zsh", () => {
  expect(zshCompletion(commands)).toMatchInlineSnapshot(`
    "#compdef spawnbox
    # zsh completion for spawnbox: made by spawnbox completion zsh
    _spawnbox() {
      local -a subcommands
      subcommands=(
        'one:the first'\\''s'
        'serve:the other'
        'early:before'
      )
      if (( CURRENT == 2 )); then
        _describe subcommand subcommands
        return
      fi
      local subcommand=$words[2]
      shift words
      (( CURRENT-- ))
      case $subcommand in
        one)
          _arguments -s '(-f --file)'{-f+,--file=}'[it'\\''s \`a\` file]:FILE:_files' \\
            '*--dir=[where \\[x\\]: y]:DIR:_files -/' \\
            '--mode=[how]:WORD:(a b:c)' \\
            '--ask=[whether]::AT:_files' \\
            '(-q --quiet)'{-q,--quiet}'[says nothing]' \\
            '(-h --help)'{-h,--help}'[this text]' \\
            '*:argument:{_alternative "words\\:word\\:(w1 w2)" "files\\:file\\:_files"}'
          ;;
        serve)
          _arguments -s '--port=[a port]:N: ' \\
            '(-h --help)'{-h,--help}'[this text]' \\
            '*:argument: '
          ;;
        early)
          _arguments -s '--port=[a port]:N: ' \\
            '(-h --help)'{-h,--help}'[this text]' \\
            '*:argument: '
          ;;
      esac
    }
    if [ "$funcstack[1]" = _spawnbox ]; then
      _spawnbox "$@"
    elif (( $+functions[compdef] )); then
      compdef _spawnbox spawnbox
    fi
    "
  `);
});

test("where each shell looks for it", () => {
  expect(
    Object.entries(SHELLS).map(([name, { file, completion }]) => [name, file, completion]),
  ).toEqual([
    ["bash", "bash-completion/completions/spawnbox", bashCompletion],
    ["zsh", "zsh/site-functions/_spawnbox", zshCompletion],
    ["fish", "fish/vendor_completions.d/spawnbox.fish", fishCompletion],
  ]);
});

test("spawnbox(1), but for its guides", () => {
  const page = programPage(commands, "2030-01-02").replaceAll(version, "VERSION");
  const guides = page.slice(page.indexOf('.SH "GUIDES"'), page.indexOf('.SH "ENVIRONMENT"'));
  expect(guides).toContain(".TP\n.B spawnbox help config\n");
  expect(page.replace(guides, "")).toMatchInlineSnapshot(`
    ".TH SPAWNBOX 1 2030-01-02 "spawnbox VERSION"
    .SH "NAME"
    spawnbox \\- commands as REST and WebSocket verbs, each in a sandbox
    .SH "SYNOPSIS"
    .B spawnbox one
    [\\-\\-file FILE]
    .PP
    .B spawnbox one
    \\-\\-mode WORD
    .PP
    .B spawnbox serve

    .PP
    .B spawnbox early

    .SH "DESCRIPTION"
    spawnbox turns the commands named in a config, spawnbox.json(5), into
    verbs, and launches each of them in a sandbox. The first argument is a
    subcommand. Guides, by job, are shown by spawnbox help.
    .SH "SUBCOMMANDS"
    .SS "one: the first\\(aqs"
    Does it.
    .PP
    And more.
    .TP
    .B \\-f, \\-\\-file FILE
    it\\(aqs \\(gaa\\(ga file
    .TP
    .B \\-\\-dir DIR
    where [x]: y
    .TP
    .B \\-\\-mode WORD
    how
    .TP
    .B \\-\\-ask [AT]
    whether
    .TP
    .B \\-q, \\-\\-quiet
    says nothing
    .PP
    A note.
    .PP
    Exit code: 0.
    .PP
    Examples:
    .PP
    .in +4n
    .nf
    spawnbox one \\-f .x
    spawnbox one
    .fi
    .in
    .SS "serve: the other"
    Serves.
    .TP
    .B \\-\\-port N
    a port
    .PP
    Exit code: 1.
    .SS "early: before"
    Serves.
    .PP
    Exit code: 1.
    .SH "ENVIRONMENT"
    .TP
    .B AFB_SPAWN_CONFIG
    configs, where neither \\-\\-config nor \\-\\-plan is given
    .TP
    .B SPAWNBOX_TOKEN
    the token that spawnbox call presents, without \\-\\-token\\-file
    .TP
    .B CYNAGORA_SOCKET_CHECK
    where the permission service is that serve \\-\\-cynagora asks
    .TP
    .B SPAWNBOX_DEBUG
    tells the stack of what is unexpected, besides its line
    .TP
    .B PAGER, LESS, NO_COLOR
    how guides are shown on a terminal
    .SH "FILES"
    .TP
    .B /etc/spawnbox/spawn\\-*.json
    configs of the service
    .TP
    .B /etc/spawnbox/early.json and early\\-*.json
    configs of early boot, in /etc/spawnbox
    .TP
    .B /etc/spawnbox/access.json
    who may call verbs that need a privilege
    .SH "SEE ALSO"
    .BR spawnbox.json (5),
    .BR systemd.exec (5),
    .BR capabilities (7),
    .BR namespaces (7),
    .BR seccomp (2),
    .BR cgroups (7)
    "
  `);
});

test("spawnbox.json(5), where it begins, and one of its keys", () => {
  const page = configPage("2030-01-02").replaceAll(version, "VERSION");
  expect(page.slice(0, page.indexOf(".TP"))).toMatchInlineSnapshot(`
    ".TH SPAWNBOX.JSON 5 2030-01-02 "spawnbox VERSION"
    .SH "NAME"
    spawnbox.json \\- configs of spawnbox
    .SH "DESCRIPTION"
    A config names an API, the sandboxes of its commands, and the commands.
    It is JSON, checked by spawnbox check; a key that does not exist is
    refused. Where a list is wanted, one element may stand alone. $NAME is
    expanded where a key says so. In the names below, [] is each element of
    a list.
    .SH "EXAMPLE"
    .in +4n
    .nf
    {
      "metadata": { "uid": "mine", "api": "mine" },
      "sandboxes": {
        "uid": "files",
        "profile": "minimal",
        "commands": {
          "uid": "list",
          "encoder": "sync",
          "exec": { "cmdpath": "/bin/ls", "args": ["\\-l", "/usr/?dir?"] }
        }
      }
    }
    .fi
    .in
    .SH "KEYS"
    .SS "$schema"
    "
  `);
  expect(page).toContain('.SS "sandboxes"\n.TP\n.B sandboxes');
  expect(page).toContain(".B sandboxes[].caps[].mode\n");
  expect(page.match(/\.B sandboxes\[\]\.caps\[\]\.mode\n.*\n/)?.[0]).toMatchInlineSnapshot(`
    ".B sandboxes[].caps[].mode
    set or unset (set, unset, default "set")
    "
  `);
  expect(page.match(/^\.SS .*$/gm)).toMatchInlineSnapshot(`
    [
      ".SS "$schema"",
      ".SS "metadata"",
      ".SS "audit"",
      ".SS "history"",
      ".SS "plugins"",
      ".SS "sandboxes"",
      ".SS "onload"",
      ".SS "onstart"",
      ".SS "events"",
      ".SS "extra"",
      ".SS "imports"",
      ".SS "mcp"",
    ]
  `);
  expect(page).toEndWith(
    '.SH "SEE ALSO"\n.BR spawnbox (1);\nspawnbox help config, spawnbox help sandboxing\n',
  );
});

test("marks of troff are characters, and lines of it none", () => {
  expect(escaped("a\\b-c'd`e^f~g…h–i→jµ\n.k\nl.m")).toBe(
    "a\\eb\\-c\\(aqd\\(gae\\(haf\\(tig\\[u2026]h\\(eni\\(->j\\(mc\n\\&.k\nl.m",
  );
  expect(prose(`${"a".repeat(68)} bcd ef`)).toBe(`${"a".repeat(68)} bcd\nef`);
  expect(prose(`${"a".repeat(69)} bcd ef`)).toBe(`${"a".repeat(69)}\nbcd ef`);
  expect(entry("-x", ".y")).toBe(".TP\n.B \\-x\n\\&.y");
  expect(verbatim(["-a", ".b"])).toBe(".PP\n.in +4n\n.nf\n\\-a\n\\&.b\n.fi\n.in");
});
