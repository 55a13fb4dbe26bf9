/** What is wrong with command lines, told before anything is done: of each subcommand, in its words, with 2. */
import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import { SUBCOMMANDS } from "../../src/subcommands.ts";

// Whoever runs the tests may have configs.
const { AFB_SPAWN_CONFIG: own } = process.env;
beforeAll(() => void delete process.env["AFB_SPAWN_CONFIG"]);
afterAll(() => {
  if (own !== undefined) process.env["AFB_SPAWN_CONFIG"] = own;
});

/** What is said first of a command line that is wrong. */
async function told(words: readonly string[]): Promise<string> {
  const [name = "", ...argv] = words;
  const { run } = (await import(`../../src/cli/${name}.ts`)) as {
    run: (argv: string[]) => Promise<number>;
  };
  using said = spyOn(console, "error").mockImplementation(() => {});
  const code = await run(argv);
  const [first = ""] = said.mock.calls.flat() as string[];
  expect([code, first]).toEqual([2, expect.stringContaining("\n\nusage: spawnbox ")]);
  return first.split("\n\n")[0] ?? "";
}

const DAYS = "expected days, from 1 to";
const LETTERS = "letters, digits and . _ -, at most 64";
const TIME = "expected a time such as 30s, 5m or 1h, at most 7d";
const TWICE = "give the configs either behind --config or without, not both";
const id = "0123456789abcde";
test.each<[string[], string]>([
  [["cert"], "say which directory: DIR"],
  [["cert", ""], "say which directory: DIR"],
  [["cert", "/nowhere", "x"], "say which directory: DIR"],
  ...["0", "7300", "x", "01", ""].map((days): [string[], string] => [
    ["cert", "/nowhere", `--days=${days}`],
    `--days ${days}: ${DAYS} 7299`,
  ]),
  ...["-x", ".x", "a b", "x".repeat(65), ""].map((name): [string[], string] => [
    ["cert", "/nowhere", `--client=${name}`],
    `--client ${name}: expected letters, digits and . _ -, at most 64`,
  ]),
  ...["ca", "client-ca", "server"].map((name): [string[], string] => [
    ["cert", "/nowhere", "--client", name],
    `--client ${name}: the files of this name are others`,
  ]),
  [["cert", "/nowhere", "--client", "a", "--name", "b"], "--name is for the server"],
  [
    ["cert", "/nowhere", "--name", "a b"],
    "--name a b: expected a name such as boat.example, or an address",
  ],
  [["check", "--config", "a", "b"], TWICE],
  [["check"], "no config file named"],
  [["compile", "--config", "a", "b", "-o", "/nowhere/x"], TWICE],
  [["compile", "-o", "/nowhere/x"], "no config file named"],
  [["compile", "a"], "say where to write: -o FILE"],
  [["compile", "a", "-o", "/nowhere/x", "--arch", "mips"], "--arch mips: expected x64 or arm64"],
  [["completion"], "name one shell: bash, zsh, fish"],
  [["completion", "bash", "zsh"], "name one shell: bash, zsh, fish"],
  [["completion", "fsh"], "no completion for fsh; did you mean `zsh`?: bash, zsh, fish"],
  [["explain"], "no config: give --config PATH, or set AFB_SPAWN_CONFIG"],
  [["explain", "--config", "a", "b", "c"], "name one sandbox or one verb"],
  [["fleet"], "say what: ls, call, watch, cert, asyncapi"],
  [["fleet", "lst"], "say what: ls, call, watch, cert, asyncapi"],
  ...["timeout", "queue", "stages", "max-failed"].map((name): [string[], string] => [
    ["fleet", "ls", `--${name}`, "1"],
    `--${name} is for call`,
  ]),
  [["fleet", "watch", "--detach"], "--detach is for call"],
  [["fleet", "call", "b", "a/b", "--group", "g"], "--group is for ls, watch"],
  [["fleet", "ls", "--host", "h"], "--host is for cert"],
  [["fleet", "call", "b", "a/b", "--days", "5"], "--days is for cert"],
  [["fleet", "ls", "x"], "unexpected argument x"],
  [["fleet", "watch", "x"], "unexpected argument x"],
  [["fleet", "ls", "--group", "a b"], `--group a b: expected ${LETTERS}`],
  [["fleet", "asyncapi"], "say which board"],
  [["fleet", "asyncapi", "a", "b"], "say which board"],
  [["fleet", "asyncapi", "a b"], `BOARD a b: expected ${LETTERS}`],
  [["fleet", "call"], "say which board, or which @GROUP"],
  [["fleet", "call", "a b"], `a b: expected BOARD or @GROUP, ${LETTERS}`],
  [["fleet", "call", "b"], "say which verb: API/VERB"],
  [["fleet", "call", "b", "x"], '"x" is not API/VERB'],
  ...["5", "8d", "0s", "x"].flatMap((time): [string[], string][] => [
    [["fleet", "call", "b", "a/b", "--timeout", time], `--timeout ${time}: ${TIME}`],
    [["fleet", "call", "b", "a/b", "--queue", time], `--queue ${time}: ${TIME}`],
  ]),
  [["fleet", "call", "b", "a/b", "--stages", "1"], "--stages is for a @GROUP"],
  [["fleet", "call", "@g", "a/b", "--max-failed", "1"], "--max-failed is for --stages"],
  [["fleet", "cert"], "say which directory: DIR"],
  [["fleet", "cert", "/nowhere"], "say names of boards and operators, or --host"],
  [["fleet", "cert", "/nowhere", "a", "--days", "0"], `--days 0: ${DAYS} 7299`],
  [["fleet", "cert", "/nowhere", "a", "--days", "7300"], `--days 7300: ${DAYS} 7299`],
  [
    ["fleet", "cert", "/nowhere", "--host", "a b"],
    "--host a b: expected a name such as broker.example, or an address",
  ],
  [["fleet", "cert", "/nowhere", "a b"], `NAME a b: expected ${LETTERS}`],
  [["fleet", "cert", "/nowhere", "ca"], "ca: the files of this name are others"],
  [["fleet", "cert", "/nowhere", "broker"], "broker: the files of this name are others"],
  [["help", "a", "b"], "name one subject"],
  [
    ["install", "--early", "--uninstall"],
    "--uninstall removes early boot too, without --early or --initramfs",
  ],
  [
    ["install", "--initramfs", "--uninstall"],
    "--uninstall removes early boot too, without --early or --initramfs",
  ],
  [["install", "--root", "/nowhere/x"], "--root /nowhere/x: no such directory"],
  [["install", "--root", "/dev/null"], "--root /dev/null: no such directory"],
  [["mcp", "--audit", "stderr"], "--audit is for --config: the server has an audit of its own"],
  [
    ["mcp", "--config", "a", "--url", "http://h"],
    "give either a server (--url) or configs (--config, --plan), not both",
  ],
  ...["0", "1001", "x", "-1"].map((limit): [string[], string] => [
    ["ps", `--limit=${limit}`],
    `--limit ${limit}: expected a number from 1 to 1000`,
  ]),
  [["stop", "--signal", "TREM", id], "--signal TREM: no such signal"],
  [["stop"], "say which task: its ID, as spawnbox ps shows it"],
  [["token", ""], "a privilege is not empty"],
  ...["x", "-1", "1".repeat(16)].map((from): [string[], string] => [
    ["watch", `--from=${from}`, id],
    `--from ${from}: expected the number of an event`,
  ]),
  [["watch"], "say which task: its ID, as spawnbox ps shows it"],
  [["call"], "say which verb: API/VERB"],
])("%j", async (words, why) => {
  const found = await told(words);
  expect(found.slice(0, `spawnbox ${words[0]}: ${why}`.length)).toBe(
    `spawnbox ${words[0]}: ${why}`,
  );
});

const CONFIG = ["--config", "/nowhere.json"];
test.each<[string[], string]>([
  [["--port", "65536"], "--port 65536: expected a number from 0 to 65535"],
  [["--port", "x"], "--port x: expected a number from 0 to 65535"],
  [["--concurrency", "0"], "--concurrency 0: expected a number of tasks, from 1 to 999999"],
  [
    ["--concurrency", "1000000"],
    "--concurrency 1000000: expected a number of tasks, from 1 to 999999",
  ],
  [["--unix-mode", "888"], "--unix-mode 888: expected an octal mode such as 0660"],
  [["--unix-mode", "66"], "--unix-mode 66: expected an octal mode such as 0660"],
  [["--unix", ""], "--unix: expected a path"],
  [["--roothttp", ""], "--roothttp: expected a directory"],
  [["--alias", "x"], "--alias x: expected /PREFIX:DIR"],
  [["--alias", "/api:/x"], "--alias /api:/x: /api is where the verbs are"],
  [["--access", ""], "--access: expected a file, none, or open"],
  [["--audit-max", "1M"], "--audit-max is for --audit FILE"],
  [["--audit", "/x/"], "--audit: expected a file, stderr, journal or syslog"],
  [
    ["--audit", "/x", "--audit-files", "0"],
    "--audit-files 0: expected a number of files, from 1 to",
  ],
  [["--fleet", ""], "--fleet: expected a file, or none"],
  [["--history", ""], "--history: expected a file"],
  [["--history-max", "5"], "--history-max is for --history FILE"],
  [["--tls-cert", "/c"], "--tls-cert and --tls-key go together: spawnbox cert DIR makes both"],
  [["--tls-key", "/c"], "--tls-cert and --tls-key go together: spawnbox cert DIR makes both"],
  [["--tls-cert", "", "--tls-key", "/k"], "--tls-…: expected a file"],
  [
    ["--tls-client-ca", "/c"],
    "--tls-client-ca: only TLS shows certificates: say --tls-cert, --tls-key",
  ],
  [["--host", "0.0.0.0"], "--host 0.0.0.0"],
  [["x"], "unexpected argument x; did you mean `--config x`?"],
  [["--prot", "5"], "unknown option --prot; did you mean `--port`?"],
])("serve %j", async (words, why) => {
  const found = await told(["serve", ...CONFIG, ...words]);
  expect(found.slice(0, `spawnbox serve: ${why}`.length)).toBe(`spawnbox serve: ${why}`);
});

test("each says what its options are", async () => {
  for (const name of Object.keys(SUBCOMMANDS)) {
    using printed = spyOn(console, "log").mockImplementation(() => {});
    const { run } = (await import(`../../src/cli/${name}.ts`)) as {
      run: (argv: string[]) => Promise<number>;
    };
    expect([name, await run(["--help"])]).toEqual([name, 0]);
    const [help] = printed.mock.calls.flat() as string[];
    expect(help).toStartWith(`usage: spawnbox ${name}`);
    expect(help).toContain("\n\nExit code: ");
  }
});
