/** Imports of configs: what is dialled and called there, what is worth knowing, and what does not go together. */
import { describe, expect, test } from "bun:test";
import { checkImports, importName } from "../../src/plan/compile-imports.ts";
import type { ApiPlan } from "../../src/plan/plan.ts";
import { board, ordinary } from "./board.ts";
import { compiled } from "./compiling.ts";
import { ConfigError } from "../../src/config/problem.ts";

const acls = { user: "pilot" };
const importing = (one: object, machine = board) =>
  compiled({ acls }, machine, { imports: [{ uri: "unix:/run/far", ...one }] });
const planned = (one: object) => importing(one).imports?.[0];
const told = (one: object, machine = board) =>
  importing(one, machine)
    .notices.filter(({ path }) => path.startsWith("imports"))
    .map(({ path, message }) => `${path}: ${message}`);
const refused = (one: object) => {
  try {
    importing(one);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
  return "it was accepted";
};

describe("what is called", () => {
  const quiet = { privilege: "urn:x" };
  test.each([
    [{}, { name: "far", remote: "far" }],
    [{ as: "near" }, { name: "near", remote: "near" }],
    [{ uri: "unix:/run/far?import=near@far" }, { name: "near", remote: "far" }],
    [
      { as: "near", api: "other" },
      { name: "near", remote: "other" },
    ],
    [{ api: "other" }, { name: "other", remote: "other" }],
    [{ uri: "tcp:board:1/far" }, { name: "far", remote: "far" }],
    [
      { uri: "tcp:board:1", api: "far" },
      { name: "far", remote: "far" },
    ],
  ])("of %j", (one, expected) => {
    expect(planned({ ...quiet, ...one })).toMatchObject(expected);
  });

  test("all that is said of it", () => {
    const uri = "unix:/run/far";
    expect(
      planned({ as: "near", protocol: "ws", info: "i", optional: true, verbs: ["a"], ...quiet }),
    ).toEqual({
      ...{ name: "near", remote: "near", speech: "ws", uri, info: "i", optional: true },
      address: { kind: "unix", path: "/run/far" },
      ...{ privileges: ["urn:x"], verbs: ["a"] },
    });
    expect(planned({ private: true })).toEqual({
      ...{ name: "far", remote: "far", speech: "rpc", uri, private: true, privileges: [] },
      address: { kind: "unix", path: "/run/far" },
    });
  });

  test("its name, where the URI tells", () => {
    expect(importName({ uri: "unix:/run/far" })).toBe("far");
    expect(importName({ uri: "nothing", as: "near" })).toBe("near");
    expect(importName({ uri: "nothing" })).toBeUndefined();
  });
});

describe("who may call all of it is told", () => {
  const why = (who: string) =>
    `imports[0]: whoever may call here may call all of far as ${who}: \`privilege\` asks callers for a permission, \`verbs\` names those that may be called, \`private\` leaves it to actions and extra verbs`;
  test("where nothing keeps callers from that", () => {
    expect(told({})).toEqual([why("root")]);
    expect(told({}, ordinary)).toEqual([why("the user of this server")]);
  });
  test.each([[{ privilege: "urn:x" }], [{ verbs: ["a"] }], [{ private: true }]])(
    "and not with %j",
    (one) => {
      expect(told(one)).toEqual([]);
    },
  );
});

test.each([
  [
    { private: true, privilege: "urn:x" },
    "imports[0].privilege: no client calls what is private: remove one of both",
  ],
  [{ uri: "nothing" }, 'imports[0].uri: "nothing": expected unix:PATH'],
  [
    { as: "near", uri: "unix:/run/far?import=a,b" },
    "imports[0].uri: one API each: give another entry for another",
  ],
  [
    { uri: "unix:/run/$HOME" },
    "imports[0].uri: its name here cannot come from a variable: give `as`",
  ],
])("%j is refused", (one, expected) => {
  expect(refused(one)).toEqual([expect.stringContaining(expected)]);
});

test("each API is called by one name, and is one", () => {
  const one = planned({ as: "near", privilege: "urn:x" });
  if (!one) throw new Error("nothing was planned");
  const api = (file: string, name: string, ...imports: (typeof one)[]): ApiPlan => ({
    ...{ file, uid: name, api: name, sandboxes: [], notices: [], imports },
  });
  expect(checkImports([api("a", "x", one), api("b", "y", { ...one })])).toEqual([]);
  expect(checkImports([api("a", "Near", one)])).toEqual([
    ...[{ file: "a", path: "imports[0]" }].map((at) => ({
      ...at,
      message: "an API `near` is here already: name it with `as`",
    })),
  ]);
  expect(checkImports([api("a", "x", { ...one, name: "monitor" })])).toHaveLength(1);
  expect(checkImports([api("a", "x", one), api("b", "y", one, { ...one, uri: "o" })])).toEqual([
    {
      ...{ file: "b", path: "imports[1]" },
      message:
        "`near` is imported otherwise at a: imports[0]: name it with `as`, or make both alike",
    },
  ]);
});
