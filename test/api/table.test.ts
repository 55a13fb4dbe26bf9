/** Which verbs there are, and what is said of one that is not there. */
import { describe, expect, test } from "bun:test";
import { Table } from "../../src/api/table.ts";
import type { Verb } from "../../src/api/verb.ts";
import { AfbError } from "../../src/errors.ts";
import { said } from "./harness.ts";

const verb = (name: string): Verb => ({ name, call: () => name });
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `v${10 + i}`);
const foreign = (known: string[], isPrivate = false) => ({
  ...{ isPrivate, known },
  find: (name: string) => {
    if (name === "no") throw new AfbError("insufficient-scope", "not for you");
    if (name === "bug") throw new RangeError("bug");
    return verb(name);
  },
});

describe("a name that is none", () => {
  const missing = (names: string[], word = "zzzzzz") => {
    const table = new Table();
    table.addApi("p");
    for (const name of names) table.addVerb("p", verb(name));
    return said(() => table.find({ api: "p", verb: word }));
  };
  test("is told with those that there are, some of them", () => {
    expect(missing(["a", "b"])).toBe("unknown-verb: no verb `zzzzzz` (there is a, b)");
    const twenty = numbered(20).join(", ");
    expect(missing(numbered(20))).toBe(`unknown-verb: no verb \`zzzzzz\` (there is ${twenty})`);
    expect(missing(numbered(21))).toBe(
      `unknown-verb: no verb \`zzzzzz\` (there is ${twenty}, and 1 more)`,
    );
    expect(missing(["hello"], "helo")).toBe(
      "unknown-verb: no verb `helo`; did you mean `hello`? (there is hello)",
    );
    expect(missing(["a"], "x".repeat(81))).toBe(
      `unknown-verb: no verb \`${"x".repeat(80)}\` (there is a)`,
    );
  });
  test("of an API, without those that nobody may call", () => {
    const table = new Table();
    for (const name of ["one", "two"]) table.addApi(name);
    table.addApi("hidden", {}, foreign([], true));
    expect(said(() => table.find({ api: "zzzzzz", verb: "v" }))).toBe(
      "unknown-api: no API `zzzzzz` (there is one, two)",
    );
  });
});

test("names are found in any case, once each", () => {
  const table = new Table();
  table.addApi("Api");
  table.addVerb("api", verb("Verb"));
  expect([table.hasApi("Api"), table.hasApi("none")]).toEqual([true, false]);
  expect([table.nameOf("aPI"), table.nameOf("None")]).toEqual(["Api", "None"]);
  expect(table.lookup({ api: "API", verb: "VERB" })?.name).toBe("Verb");
  expect(table.verb("API", "VERB")?.name).toBe("Verb");
  expect(table.find({ api: "API", verb: "VERB" }).name).toBe("Verb");
  expect([table.lookup({ api: "x", verb: "v" }), table.verb("x", "v")]).toEqual([
    undefined,
    undefined,
  ]);
  expect(() => table.addApi("Api")).toThrow(new Error("two APIs are named Api"));
  expect(() => table.addVerb("Api", verb("Verb"))).toThrow(
    new Error("two verbs are named Api/Verb"),
  );
  expect(() => table.addVerb("none", verb("v"))).toThrow(new Error("no API none"));
});

test("of another binder, verbs are those that are called, and listed as far as they are known", () => {
  const table = new Table();
  const about = { info: "i", version: "2", http: "afb" as const, mcp: ["v"] };
  table.addApi("own", about);
  table.addVerb("own", verb("v"));
  table.addApi("far", {}, foreign(["a"]));
  table.addApi("hidden", {}, foreign(["b"], true));
  expect(table.lookup({ api: "FAR", verb: "any" })?.name).toBe("any");
  expect(table.verb("far", "any")?.name).toBe("any");
  expect(table.find({ api: "far", verb: "any" }).name).toBe("any");
  expect(table.lookup({ api: "far", verb: "no" })).toBeUndefined();
  expect(said(() => table.find({ api: "far", verb: "no" }))).toBe(
    "insufficient-scope: not for you",
  );
  expect(() => table.lookup({ api: "far", verb: "bug" })).toThrow(RangeError);
  expect(["own", "far", "hidden", "none"].map((name) => table.isPrivate(name))).toEqual([
    ...[false, false, true, false],
  ]);
  expect(table.list()).toEqual([
    { api: "own", verbs: ["v"] },
    { api: "far", verbs: ["a"] },
  ]);
  const described = table.describe();
  expect(described.map(({ verbs, ...rest }) => [rest, verbs.map(({ name }) => name)])).toEqual([
    [{ api: "own", ...about }, ["v"]],
    [{ api: "far", foreign: true }, ["a"]],
  ]);
  expect(table.describe()).toBe(described);
});
