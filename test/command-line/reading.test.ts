/** What a command line says: calls, where a server is, as whom, whom to believe, and which configs; and what is told of what is wrong. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { configSpec, neededSource, sourceOf } from "../../src/command-line/config-option.ts";
import { connectionOf } from "../../src/command-line/connection.ts";
import { jsonErrorAt } from "../../src/command-line/json-error.ts";
import { tokenOf } from "../../src/command-line/token-option.ts";
import { trustOf } from "../../src/command-line/trust-option.ts";
import { parseCall, UsageError, withOptions } from "../../src/command-line/usage.ts";
import { certificatesIn } from "../rpc/certificates.ts";

const made: string[] = [];
afterEach(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true });
});
function file(text: string): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-reading-"));
  made.push(dir);
  writeFileSync(join(dir, "file"), text);
  return join(dir, "file");
}

describe("a call", () => {
  test.each<[string[], unknown]>([
    [["a/b"], null],
    [["a/b/c", "{}"], {}],
    [
      ["a/b", " [1, 2] "],
      [1, 2],
    ],
  ])("%p", (words, args) => {
    expect(parseCall(words)).toEqual({ method: words[0] ?? "", args });
  });
  test.each([
    [[], "say which verb: API/VERB"],
    [["a"], '"a" is not API/VERB'],
    [["/a"], '"/a" is not API/VERB'],
    [["a/"], '"a/" is not API/VERB'],
    [["a/b", "1", "2"], "too many arguments: quote the JSON"],
    [["a/b", ""], "the argument is not JSON: at character 1: it ends too early"],
    [["a/b", "[1"], "the argument is not JSON: at character 3: it ends too early"],
    [["a/b", "{a:1}"], "the argument is not JSON: at character 2: unexpected a:1}"],
    [
      ["a/b", `x${"y".repeat(30)}`],
      `the argument is not JSON: at character 1: unexpected x${"y".repeat(19)}`,
    ],
  ])("%p is none", (words, why) => {
    expect(() => parseCall(words)).toThrow(new UsageError(why));
  });
  test("numbers stay as they are written", () => {
    expect(JSON.stringify(parseCall(["a/b", "9007199254740993"]).args)).toBe("9007199254740993");
  });
});

test.each<[string, number | undefined]>([
  ["1", undefined],
  [" {} ", undefined],
  ['{"a" : [1 , {}], "b":"\\u00e9"}', undefined],
  ["[[[]]]", undefined],
  ["-1.5e+3", undefined],
  ["", 0],
  [" ", 1],
  ["01", 1],
  ["{", 1],
  ["{a", 1],
  ['{"a"}', 4],
  ['{"a":}', 5],
  ['{"a":1,}', 7],
  ['{"a":1', 6],
  ["[1,]", 3],
  ["[1 2]", 3],
  ["[1}", 2],
  ["[]]", 2],
  ['"a', 0],
  ['"\\x"', 0],
  ["tru", 0],
  ["null x", 5],
])("%j stops being JSON at %p", (text, at) => {
  expect(jsonErrorAt(text)).toBe(at as number);
});

describe("where a server is", () => {
  const of = (url?: string) => connectionOf({ url, token: "t" } as never).url;
  test.each<[string | undefined, string]>([
    [undefined, "ws://localhost:1234/api"],
    ["http://h:1", "ws://h:1/api"],
    ["HTTPS://h/", "wss://h/api"],
    ["http://h/base", "ws://h/base/api"],
    ["http://h/base/api/", "ws://h/base/api"],
    ["ws://h", "ws://h/api"],
    ["ws://h/x", "ws://h/x"],
    ["wss://h/x/", "wss://h/x/"],
    ["unix:/run/x", "ws+unix:///run/x:/api"],
    ["unix:///run/x", "ws+unix:///run/x:/api"],
    ["ws+unix:/run/x:/base/", "ws+unix:///run/x:/base/api"],
    ["unix:x", `ws+unix://${resolve("x")}:/api`],
  ])("%p", (url, expected) => {
    expect(of(url)).toBe(expected);
  });
  test.each([
    ["ftp://h", '"ftp://h" is not a URL such as ws://localhost:1234/api'],
    ["h", '"h" is not a URL such as ws://localhost:1234/api'],
    ["unix:/a:b:c", '"unix:/a:b:c" is not a URL such as unix:/run/spawnbox.sock'],
    ["unix::b", '"unix::b" is not a URL such as unix:/run/spawnbox.sock'],
  ])("%s is none", (url, why) => {
    expect(() => of(url)).toThrow(new UsageError(why));
  });
});

test("a token: of the command line, of a file, of the environment", () => {
  const env = { SPAWNBOX_TOKEN: "e" };
  expect(tokenOf("o", undefined, env)).toBe("o");
  expect(tokenOf(undefined, file(" f \nsha256:x\n"), env)).toBe("f");
  expect(tokenOf(undefined, undefined, env)).toBe("e");
  expect(tokenOf(undefined, undefined, {})).toBeUndefined();
  expect(tokenOf(undefined, undefined, { SPAWNBOX_TOKEN: "" })).toBeUndefined();
  expect(() => tokenOf("a", "b", {})).toThrow(
    new UsageError("give either --token or --token-file, not both"),
  );
  for (const bad of ["a b", "é", "", "a\n"])
    expect(() => tokenOf(bad, undefined, {})).toThrow(
      new UsageError("the token is not one line of visible ASCII characters"),
    );
  expect(() => tokenOf(undefined, "/nowhere/token", {})).toThrow(
    /^--token-file \/nowhere\/token: .*ENOENT/,
  );
});

test("whom it believes, and what it shows", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-reading-"));
  made.push(dir);
  const { server } = certificatesIn(dir);
  const { cert, key } = server;
  const of = (given: object, url = "wss://h/api") => trustOf(given as never, url);
  expect(of({})).toBeUndefined();
  expect(of({}, "ws://h")).toBeUndefined();
  const text = { ca: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  expect(of({ ca: cert })).toEqual({ ca: text.ca });
  expect(of({ cert, key })).toEqual({ cert: text.ca, key: text.key });
  for (const given of [{ ca: cert }, { cert, key }])
    expect(() => of(given, "ws://h")).toThrow(
      new UsageError("--ca, --cert and --key are for a server with TLS: --url https://…"),
    );
  for (const given of [{ cert }, { key }])
    expect(() => of(given)).toThrow(new UsageError("--cert and --key go together"));
  expect(() => of({ ca: key })).toThrow(`--ca ${key}: there is no certificate (PEM) in it`);
  expect(() => of({ cert, key: cert })).toThrow(
    `--key ${cert}: there is no private key (PEM) in it`,
  );
  expect(() => of({ cert: key, key })).toThrow(
    `--cert ${key}: there is no certificate (PEM) in it`,
  );
  expect(() => of({ ca: "/nowhere/ca" })).toThrow(/^--ca \/nowhere\/ca: .*ENOENT/);
});

test("which configs, or plans", () => {
  const env = { AFB_SPAWN_CONFIG: "/e" };
  expect([configSpec("o", env), configSpec("", env), configSpec(undefined, {})]).toEqual([
    ...["o", "/e", undefined],
  ]);
  expect(sourceOf("c", undefined, env)).toEqual({ kind: "config", path: "c" });
  expect(sourceOf(undefined, "p", env)).toEqual({ kind: "plan", path: "p" });
  expect(sourceOf(undefined, undefined, env)).toEqual({ kind: "config", path: "/e" });
  expect(sourceOf(undefined, undefined, {})).toBeUndefined();
  expect(() => sourceOf("c", "p", {})).toThrow(
    new TypeError("give either configs or --plan FILE, not both"),
  );
  expect(neededSource("c", undefined, {})).toEqual({ kind: "config", path: "c" });
  expect(() => neededSource(undefined, undefined, {})).toThrow(
    new TypeError("no config: give --config PATH, or set AFB_SPAWN_CONFIG"),
  );
});

describe("how a subcommand begins", () => {
  const manual = {
    ...{ name: "spawnbox x", synopsis: ["[--config PATH]"], about: "About.", exit: "0." },
    options: { config: { argument: "PATH", text: "where" } },
  } as const;
  async function begun(parse: () => object | undefined) {
    using said = spyOn(console, "error").mockImplementation(() => {});
    using printed = spyOn(console, "log").mockImplementation(() => {});
    const code = await withOptions(manual, parse, [], () => 5);
    return { code, said: said.mock.calls.flat(), printed: printed.mock.calls.flat() };
  }
  const help =
    "usage: spawnbox x [--config PATH]\n\nAbout.\n\n  --config PATH  where\n  -h, --help     this text\n\nExit code: 0.";
  test("with its options, or its help", async () => {
    expect(await begun(() => ({}))).toEqual({ code: 5, said: [], printed: [] });
    expect(await begun(() => undefined)).toEqual({ code: 0, said: [], printed: [help] });
  });
  test.each<[Error, string]>([
    [new UsageError("why"), "why"],
    [new TypeError("why"), "why"],
    [
      new TypeError("Unknown option '-1'. To specify"),
      "unknown option -1; as an argument, it stands after --",
    ],
    [
      new TypeError("Unknown option '-.5'"),
      "unknown option -.5; as an argument, it stands after --",
    ],
    [new TypeError("Unknown option '--confg'"), "unknown option --confg; did you mean `--config`?"],
    [new TypeError("Unknown option '--zzzzzz'"), "unknown option --zzzzzz"],
    [
      new TypeError("Unexpected argument 'a\nb'. This command does not take"),
      "unexpected argument a\nb; did you mean `--config a\nb`?",
    ],
  ])("wrongly: %s", async (error, why) => {
    const { code, said, printed } = await begun(() => {
      throw error;
    });
    expect([code, said, printed]).toEqual([
      2,
      [`spawnbox x: ${why}\n\nusage: spawnbox x [--config PATH]\n--help tells more.`],
      [],
    ]);
  });
  test("with a mistake of ours", () => {
    const parse = () => {
      throw new RangeError("bug");
    };
    expect(withOptions(manual, parse, [], () => 0)).rejects.toThrow("bug");
  });
});
