/** Completions as the shells themselves answer them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SHELLS } from "../../src/manual/completion/shells.ts";
import { commandsOf, optionsOf } from "../../src/manual/program.ts";
import { SUBCOMMANDS } from "../../src/subcommands.ts";

const commands = await commandsOf(SUBCOMMANDS);
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-completion-"));
  for (const [name, { completion }] of Object.entries(SHELLS))
    writeFileSync(join(dir, name), completion(commands));
  writeFileSync(join(dir, "zsh-driver"), ZSH);
  const files = join(dir, "files");
  mkdirSync(join(files, "pages"), { recursive: true });
  for (const name of ["my config.json", "other.json"]) writeFileSync(join(files, name), "");
});
afterAll(() => rmSync(dir, { recursive: true }));

/** What is offered for the last word. */
type Offers = (...words: string[]) => string[];

function offered(command: string[]): string[] {
  const { stdout, stderr } = Bun.spawnSync(command, {
    cwd: join(dir, "files"),
    env: { PATH: "/usr/bin:/bin", HOME: dir, LC_ALL: "C.UTF-8", TERM: "dumb" },
  });
  expect(stderr.toString()).toBe("");
  return stdout.toString().split("\n").filter(Boolean);
}

/** As readline(3) breaks words: at = and : too. */
const bash: Offers = (...words) => {
  const broken = words.flatMap((word) => (word === "" ? [""] : word.split(/(?<=[=:])|(?=[=:])/)));
  const list = ["spawnbox", ...broken].map((word) => `'${word}'`).join(" ");
  return offered([
    "bash",
    "--norc",
    "-c",
    `set -u; source "$0"; COMP_WORDS=(${list}); COMP_CWORD=${broken.length}; _spawnbox; printf '%s\\n' "\${COMPREPLY[@]}"`,
    join(dir, "bash"),
  ]);
};

const fish: Offers = (...words) =>
  offered([
    "fish",
    "--no-config",
    "-c",
    `source ${join(dir, "fish")}; complete -C ${JSON.stringify(["spawnbox", ...words].join(" "))}`,
  ]).map((line) => line.split("\t")[0] ?? "");

/** A shell in a pseudo terminal, of which compadd tells what it is given. */
const ZSH = `
zmodload zsh/zpty
zpty shell zsh -f -i
say() { zpty -w shell "$1"; }
say "PROMPT=; unset zle_bracketed_paste; stty -echo; cd $PWD; autoload -Uz compinit; compinit -u -d ~/dump; source $1"
say "compadd() { local -a found; if [[ \\\${@[(r)-[OAD]]} = -[OAD] ]]; then builtin compadd \\"\\$@\\"; return; fi; builtin compadd -O found \\"\\$@\\"; print -rl -- \\\${found/#/OFFER:} >>$2; builtin compadd \\"\\$@\\"; }"
say "finish() { print done >>$2; exit }; zle -N finish; bindkey '^X' finish; bindkey '^I' complete-word"
zpty -w -n shell "$3"$'\\t'$'\\C-x'
for i in {1..200}; do
  zpty -t shell || break
  zpty -r -t shell output && :
  grep -q '^done$' $2 2>/dev/null && break
  sleep 0.05
done
zpty -d shell 2>/dev/null
sed -n 's/^OFFER://p' $2
`;

const zsh: Offers = (...words) => {
  const answers = join(dir, `zsh-${crypto.randomUUID()}`);
  const line = ["spawnbox", ...words].join(" ");
  const found = offered(["zsh", "-f", join(dir, "zsh-driver"), join(dir, "zsh"), answers, line]);
  // It tries several ways, of which some find the same.
  return [...new Set(found.map((word) => word.replace(/=$/, "")))];
};

const shells = { bash, fish, zsh } as const;

describe.each(Object.keys(shells) as (keyof typeof shells)[])("%s", (name) => {
  const offers = shells[name];
  const there = Bun.which(name) !== null;

  test.if(there)("the subcommands", () => {
    const found = offers("");
    for (const command of commands) expect(found).toContain(command.name);
    expect(offers("expl")).toContain("explain");
    expect(offers("expl")).not.toContain("serve");
  });

  test.if(there)("the options of each subcommand, and of no other", () => {
    const [probed = commands] = [name === "zsh" ? commands.slice(0, 3) : commands];
    for (const command of probed) {
      const found = offers(command.name, "--").filter((word) => word.startsWith("--"));
      const known = optionsOf(command, commands).map(([option]) => `--${option}`);
      expect([command.name, found.toSorted()]).toEqual([command.name, known.toSorted()]);
    }
  });

  test.if(there)("words, files and directories where an option or an argument takes them", () => {
    expect(offers("compile", "--arch", "").toSorted()).toEqual(["arm64", "x64"]);
    expect(offers("completion", "").toSorted()).toEqual(["bash", "fish", "zsh"]);
    expect(offers("help", "sand")).toContain("sandboxing");
    expect(offers("serve", "--config", "oth")).toContain("other.json");
    expect(offers("check", "oth")).toContain("other.json");
    expect(offers("serve", "--roothttp", "p").map((path) => path.replace(/\/$/, ""))).toEqual([
      "pages",
    ]);
    expect(offers("serve", "--access", "")).toContain("open");
    // Its argument may be left out.
    expect(offers("serve", "--cynagora", "oth")).toContain("other.json");
    expect(offers("serve", "--cynagora", "--por")).toContain("--port");
  });
});

describe("zsh", () => {
  test.if(Bun.which("zsh") !== null)("behind = and behind the colon of a list", () => {
    expect(zsh("serve", "--config=oth")).toContain("other.json");
    expect(zsh("serve", "--config=other.json:oth")).toContain("other.json");
    expect(zsh("serve", "--config", "other.json:oth")).toContain("other.json");
    expect(zsh("check", "other.json:oth")).toContain("other.json");
  });
});

describe("bash", () => {
  test("behind = and behind the colon of a list", () => {
    expect(bash("serve", "--config=oth")).toEqual(["other.json"]);
    expect(bash("serve", "--access=op")).toEqual(["open"]);
    expect(bash("serve", "--config", "other.json:m")).toEqual(["my config.json"]);
    expect(bash("serve", "--config=other.json:m")).toEqual(["my config.json"]);
  });
  test("nothing where a number is wanted, or for an unknown subcommand", () => {
    expect(bash("serve", "--port", "")).toEqual([]);
    expect(bash("sreve", "")).toEqual([]);
  });
});
