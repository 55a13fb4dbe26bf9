import { describe, expect, test } from "bun:test";
import { expand, ExpandError, type Scope } from "../../src/config/expand.ts";
import { type Host, Variables } from "../../src/config/variables.ts";
import { pick, seeded } from "./random.ts";

const scope = (values: Record<string, string>): Scope => ({
  lookup: (name) => (Object.hasOwn(values, name) ? values[name] : undefined),
  names: () => Object.keys(values),
});

describe("expand", () => {
  const values = scope({ A: "1", AB: "2", HOME: "/root", EMPTY: "", LOOP: "$A" });
  test.each([
    ["$A", "1"],
    ["$AB", "2"],
    ["${A}B", "1B"],
    ["x$A-$AB.y", "x1-2.y"],
    ["[$EMPTY]", "[]"],
    ["$$A", "$A"],
    ["$$$A", "$1"],
    ["$LOOP", "$A"],
    ["cost: 5$", "cost: 5$"],
    ["$1 $( $? $-", "$1 $( $? $-"],
  ])("%s → %s", (text, result) => {
    expect(expand(text, values)).toBe(result);
  });

  test("every unset name is told, with the nearest one", () => {
    const attempt = () => expand("$HOEM and $NOTHING_LIKE_IT", values);
    expect(attempt).toThrow(ExpandError);
    expect(attempt).toThrow("the variable `$HOEM` is not set; did you mean `$HOME`");
    expect(attempt).toThrow("`$NOTHING_LIKE_IT` is not set; set it in the environment");
  });

  test.each(["${", "${}", "${A", "${A:-b}", "${1}"])("%s is malformed", (text) => {
    expect(() => expand(text, values)).toThrow("is not a variable");
  });

  test("inherited properties are not variables", () => {
    const variables = new Variables(host({})).api("p");
    for (const name of ["constructor", "__proto__", "toString"])
      expect(variables.lookup(name)).toBeUndefined();
  });

  test("fuzz: text is kept, values appear as they are", () => {
    const random = seeded(3);
    const pieces = ["a", "$$", "$A", "${V}", "$ ", "$1", "é", "%x%"] as const;
    const results: Record<string, string> = { $$: "$", $A: "$A$$", "${V}": "${A}" };
    const odd = scope({ A: "$A$$", V: "${A}" });
    for (let i = 0; i < 5000; i++) {
      // A separator that is no part of a name.
      const parts = Array.from({ length: Math.floor(random() * 8) }, () => pick(random, pieces));
      const expected = parts.map((part) => results[part] ?? part).join("/");
      expect(expand(parts.join("/"), odd)).toBe(expected);
    }
  });
});

function host(more: Partial<Host>): Host {
  let uuids = 0;
  return {
    env: {},
    uid: 1000,
    gid: 100,
    pid: 42,
    hostname: "board",
    rootdir: "/srv",
    now: () => new Date(2024, 8, 7, 12, 3, 4),
    uuid: () => `uuid-${uuids++}`,
    ...more,
  };
}

describe("variables", () => {
  test("what the server knows", () => {
    const { lookup } = new Variables(
      host({ user: { name: "ann", home: "/home/ann" }, config: "c.json" }),
    ).api("p");
    const names = [
      "LOGNAME",
      "HOME",
      "HOSTNAME",
      "AFB_ROOTDIR",
      "AFB_CONFIG",
      "CONFIG_DIR",
      "AFB_NAME",
      "SBINDIR",
      "SBIN",
    ];
    expect(names.map(lookup)).toEqual([
      "ann",
      "/home/ann",
      "board",
      "/srv",
      "c.json",
      "/srv",
      "spawnbox",
      "/usr/sbin",
      "/usr/sbin",
    ]);
    expect(["PID", "UID", "GID"].map(lookup)).toEqual(["42", "1000", "100"]);
    expect(lookup("TODAY")).toMatch(/^07-Sep-2024 12:03:04 \(.+\)$/);
    expect(["SANDBOX_UID", "COMMAND_UID", "API_NAME", "SBOXUSER"].map(lookup)).toEqual([
      undefined,
      undefined,
      "p",
      undefined,
    ]);
  });

  test("scopes add names, in both spellings", () => {
    const variables = new Variables(host({}));
    const sandbox = variables.sandbox({ api: "a", sandbox: "s", user: 2 });
    expect(["API_NAME", "APINAME", "SANDBOX", "SBOXUSER", "COMMAND"].map(sandbox.lookup)).toEqual([
      "a",
      "a",
      "s",
      "2",
      undefined,
    ]);
    const command = variables.command({ api: "a", sandbox: "s", command: "c" });
    expect(["SANDBOX_UID", "COMMAND_UID", "COMMAND", "SBOXUSER"].map(command.lookup)).toEqual([
      "s",
      "c",
      "c",
      undefined,
    ]);
  });

  test("the environment wins over the server's names, not over identities", () => {
    const env = { HOME: "/e", AFB_NAME: "e", SANDBOX_UID: "e", SANDBOX: "e", UID: "e", OTHER: "e" };
    const { lookup } = new Variables(host({ env })).sandbox({ api: "a", sandbox: "s" });
    expect(["HOME", "AFB_NAME", "SANDBOX_UID", "SANDBOX", "UID", "OTHER"].map(lookup)).toEqual([
      "/e",
      "e",
      "s",
      "s",
      "1000",
      "e",
    ]);
  });

  test("without an account its home is the root, and its name is not known", () => {
    const { lookup } = new Variables({ ...host({}), user: undefined }).api("p");
    expect(["HOME", "LOGNAME"].map(lookup)).toEqual(["/", "Unknown"]);
  });

  test("a name is tried in upper case last", () => {
    const { lookup } = new Variables(
      host({ env: { home: "lower", HOME: "upper", PATH: "p" } }),
    ).api("p");
    expect([lookup("home"), lookup("Home"), lookup("path")]).toEqual(["lower", "upper", "p"]);
  });

  test("one UUID per scope, another in the next", () => {
    const variables = new Variables(host({}));
    const [one, two] = [variables.api("p"), variables.api("p")];
    expect([one.lookup("UUID"), one.lookup("UUID"), two.lookup("UUID")]).toEqual([
      "uuid-0",
      "uuid-0",
      "uuid-1",
    ]);
  });

  test("suggestions come from what is set", () => {
    const known = new Variables(host({ env: { DIRTOLIST: "/" } })).api("p");
    expect(() => expand("$DIRTOLSIT", known)).toThrow("did you mean `$DIRTOLIST`");
    expect([...known.names()]).not.toContain("SANDBOX_UID");
  });
});

// Looking from each brace to the end of the text would take hours: the runner's time limit tells.
test("a text takes time in proportion, whatever is in it", () => {
  const values = scope({ A: "1" });
  for (const text of ["${", "${A", "$A${", "$B", "${ "]) {
    try {
      expand(text.repeat(1_000_000), values);
    } catch (error) {
      if (!(error instanceof ExpandError)) throw error;
      expect(error.faults.length).toBeLessThanOrEqual(20);
      continue;
    }
    throw new Error("it was expanded");
  }
  expect(expand("$A".repeat(1_000_000), values)).toHaveLength(1_000_000);
});
