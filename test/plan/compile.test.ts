/** Whole configs: what they call themselves, what they need of each other, and what is refused of all of them at once. */
import { describe, expect, test } from "bun:test";
import { normalize } from "../../src/config/normalize.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { compile } from "../../src/plan/compile.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { board } from "./board.ts";

const sandboxes = {
  uid: "s",
  acls: { user: "pilot" },
  commands: { uid: "c", exec: { cmdpath: "/bin/sh" } },
};
function apisOf(...configs: object[]) {
  const loaded = configs.map((one, i) => {
    const file = `${i}.json`;
    const { config, problems } = normalize({ sandboxes, ...one }, file);
    if (!config) throw new ConfigError(problems);
    return { file, config };
  });
  return compile(loaded, {
    machine: { ...thisMachine(), ...board },
    checkEncoder: (_, __, opts) => ({ problems: [], notices: [], opts }),
  });
}
function problemsOf(...configs: object[]) {
  try {
    apisOf(...configs);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ file, path, message }) => `${file}: ${path}: ${message}`);
    throw error;
  }
  return [];
}
const named = (api: string, more: object = {}) => ({ metadata: { uid: api, api, ...more } });

describe("metadata", () => {
  test("is the API's, as far as it is said", () => {
    const [plain, full] = apisOf(
      named("a"),
      named("b", { info: "i", version: "1", author: "w", http: "afb" }),
    );
    expect(plain).toMatchObject({ file: "0.json", uid: "a", api: "a", notices: [] });
    for (const key of ["info", "version", "author", "http", "plugins", "actions"])
      expect(plain).not.toHaveProperty(key);
    expect(full).toMatchObject({
      file: "1.json",
      info: "i",
      version: "1",
      author: "w",
      http: "afb",
    });
    expect(apisOf(named("a", { http: "rest" }))[0]).not.toHaveProperty("http");
    const [dated] = apisOf(named("a", { date: "2026-11-28" }));
    expect(dated?.notices).toEqual([
      { path: "metadata.date", message: "not used, here or in `info`" },
    ]);
  });
  test("APIs that it requires are served with it, by whatever case, or built in", () => {
    expect(problemsOf(named("a", { require: ["b", "B", "a", "monitor"] }), named("b"))).toEqual([]);
    expect(problemsOf(named("a", { require: ["b", "engine"] }), named("engines"))).toEqual([
      '0.json: metadata.require[0]: no API "b" is loaded',
      '0.json: metadata.require[1]: no API "engine" is loaded; did you mean `engines`?',
    ]);
  });
});

test("problems of all configs are told at once", () => {
  const nobody = { sandboxes: { ...sandboxes, acls: { user: "ghost" } } };
  expect(
    problemsOf({ ...named("a"), ...nobody }, { ...named("b"), ...nobody }).map((one) =>
      one.slice(0, 30),
    ),
  ).toEqual(["0.json: sandboxes[0].acls.user", "1.json: sandboxes[0].acls.user"]);
});

test("what only a server can compile is refused where there is none", () => {
  const action = { uid: "x", action: "api://a#c" };
  const plugin = { uid: "p", libs: ["x.ts"] };
  expect(
    problemsOf({
      ...named("a"),
      plugins: plugin,
      onload: action,
      onstart: action,
      events: action,
      extra: action,
    }),
  ).toEqual(
    ["plugins", "onload", "onstart", "events", "extra"].map(
      (key) => `0.json: ${key}: cannot be compiled here`,
    ),
  );
  expect(problemsOf({ ...named("a"), plugins: [], onload: [] })).toEqual([]);
});

test("a sandbox has its words, and its commands their own variables", () => {
  const commands = [1, 2].map((i) => ({
    uid: `c${i}`,
    exec: { cmdpath: "/bin/sh", args: "$API_NAME $SANDBOX_UID $COMMAND_UID" },
  }));
  const [api] = apisOf({ ...named("a"), sandboxes: { ...sandboxes, info: "words", commands } });
  expect(api?.sandboxes[0]).toMatchObject({ uid: "s", info: "words" });
  expect(apisOf(named("a"))[0]?.sandboxes[0]).not.toHaveProperty("info");
  const texts = api?.sandboxes[0]?.plans.map(({ argv }) =>
    argv.elements[1]?.map((piece) => (piece.kind === "text" ? piece.text : "")).join(""),
  );
  expect(texts?.map((text) => text?.split(" "))).toEqual([
    ["a", "s", "c1"],
    ["a", "s", "c2"],
  ]);
});
