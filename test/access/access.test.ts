/** What each caller may do, by all that it shows of itself; and what is worth knowing of grants and configs together. */
import { describe, expect, spyOn, test } from "bun:test";
import { Access, type Rule } from "../../src/access/access.ts";
import { ungranted, unneeded, unshown } from "../../src/access/notices.ts";
import { hashOf } from "../../src/access/token.ts";
import type { Caller, CertificateNames } from "../../src/api/client.ts";
import { apiOf, shell } from "../api/harness.ts";

const rule = (who: Rule["who"], privileges: string[] | "all", info?: string): Rule => ({
  ...{ who, privileges: privileges === "all" ? privileges : new Set(privileges) },
  ...(info !== undefined && { info }),
});
const rules = [
  rule({ kind: "anyone" }, ["any"], "anybody"),
  rule({ kind: "token", hash: hashOf("T") }, ["t"]),
  rule({ kind: "token", hash: hashOf("T") }, ["t2"], "the panel"),
  rule({ kind: "user", uid: 7 }, ["u"], "ann"),
  rule({ kind: "group", gid: 50 }, ["g"], "staff"),
  rule({ kind: "certificate", names: ["CN:c", "DNS:d"] }, ["c"], "the tablet"),
  rule({ kind: "operator", name: "op" }, ["o"], "the operator"),
  rule({ kind: "operator", name: "*" }, ["every"]),
];
const access = new Access(rules, 1000);
const LATER = Date.now() + 1e9;
const certificate = (names: string[], until = LATER): CertificateNames => ({ names, until });
const user = (uid: number, more: object = {}) => ({ pid: 1, uid, gids: [], ...more }) as never;

describe("may do", () => {
  test.each<[string, Caller, string[]]>([
    ["anybody", {}, ["any"]],
    ["who shows an empty token", { token: "" }, ["any"]],
    ["who shows a token", { token: "T" }, ["any", "t", "t2"]],
    ["a user", { user: user(7) }, ["any", "u"]],
    ["a user of a group", { user: user(8, { gids: [49, 50] }) }, ["any", "g"]],
    ["a user with a token", { token: "T", user: user(7) }, ["any", "t", "t2", "u"]],
    ["who shows a certificate", { certificate: certificate(["DNS:d"]) }, ["any", "c"]],
    ["by another name", { certificate: certificate(["CN:other"]) }, ["any"]],
    ["when it has expired", { certificate: certificate(["CN:c"], 5) }, ["any"]],
    ["an operator", { operator: "op" }, ["o", "every"]],
    ["another operator, and not what anybody here may", { operator: "other" }, ["every"]],
  ])("%s", (_, caller, privileges) => {
    expect(access.of(caller)).toEqual({ privileges: new Set(privileges) });
  });

  test("who shows a token that is none, and that is told", () => {
    expect(access.of({ token: "X" })).toEqual({
      ...{ privileges: new Set(["any"]), unknownToken: true },
    });
  });

  test("root and the server's user everything, but not from where privileges cannot grow", () => {
    for (const uid of [0, 1000]) {
      expect(access.of({ user: user(uid) })).toEqual({ privileges: "all" });
      expect(access.of({ user: user(uid, { confined: true }) })).toEqual({
        privileges: new Set(["any"]),
      });
    }
  });

  test("everything, whom one of its rules lets do that", () => {
    const open = new Access([...rules, rule({ kind: "user", uid: 7 }, "all")], 1000);
    expect(open.of({ user: user(7) })).toEqual({ privileges: "all" });
    expect(open.of({ user: user(8) })).toEqual({ privileges: new Set(["any"]) });
  });

  test("nothing by the file where a service alone is asked, also root", () => {
    const service = new Access(rules, 1000, true);
    for (const caller of [{ user: user(0) }, { token: "T" }, { operator: "op" }, {}])
      expect(service.of(caller)).toEqual({ privileges: new Set() });
    expect(service.grants("any")).toBe(false);
    expect([service.hasOperators, service.knows("op")]).toEqual([false, false]);
  });
});

test.each<[Caller, string | undefined]>([
  [{}, undefined],
  [{ token: "T" }, "the panel"],
  [{ token: "" }, undefined],
  [{ token: "X" }, undefined],
  [{ user: user(7) }, "ann"],
  [{ user: user(8, { gids: [50] }) }, undefined],
  [{ certificate: certificate(["CN:c"]) }, "the tablet"],
  [{ certificate: certificate(["CN:c"], 5) }, undefined],
  [{ operator: "op" }, "the operator"],
  [{ operator: "other" }, undefined],
  [{ token: "T", user: user(7) }, "the panel"],
])("%#: who calls is named %p", (caller, name) => {
  expect(access.nameOf(caller)).toBe(name);
});

test("which operators are known, and what anybody is granted at all", () => {
  expect([access.hasOperators, access.knows("op"), access.knows("other")]).toEqual([
    ...[true, true, true],
  ]);
  const named = new Access(rules.slice(0, -1), 1000);
  expect([named.knows("op"), named.knows("other")]).toEqual([true, false]);
  const none = new Access(rules.slice(0, -2), 1000);
  expect([none.hasOperators, none.knows("op")]).toEqual([false, false]);
  expect([access.grants("c"), access.grants("z")]).toEqual([true, false]);
  expect(new Access([rule({ kind: "anyone" }, "all")], 1000).grants("z")).toBe(true);
});

test("one operator is some, and one name of a certificate counts until its time", () => {
  const two = [
    rule({ kind: "operator", name: "op" }, ["o"]),
    rule({ kind: "certificate", names: ["CN:c"] }, ["c"]),
  ];
  const one = new Access(two, 1000);
  expect(one.hasOperators).toBe(true);
  const now = 1_900_000_000_000;
  using _clock = spyOn(Date, "now").mockImplementation(() => now);
  const has = (until: number) => one.of({ certificate: certificate(["CN:c"], until) });
  expect(has(now + 1)).toEqual({ privileges: new Set(["c"]) });
  expect(has(now)).toEqual({ privileges: new Set() });
});

describe("is worth knowing", () => {
  const plan = (verb: string, ...privileges: string[]) => shell(verb, "", { privileges });
  const extra = (...privileges: string[]) => ({
    actions: {
      ...{ onload: [], onstart: [], events: [] },
      extra: [
        {
          ...{ uid: "x", action: "api://p#a", required: false, privileges },
          target: { kind: "api", api: "p", verb: "a" } as const,
        },
      ],
    },
  });
  const apis = [
    apiOf([], {
      sandboxes: [
        {
          uid: "a",
          plans: [plan("one", "any"), plan("two", "rare", "rare"), plan("three", "rare")],
        },
        { uid: "b", plans: [], exec: plan("exec", "raw") },
      ],
      ...extra("further"),
    }),
  ];
  const why = (name: string, verbs: string, who: string) =>
    `the privilege \`${name}\`, needed by ${verbs}, is granted to nobody but ${who} over a unix socket: ` +
    "grant it in a file for --access FILE (spawnbox token makes a token), or give everybody everything with --access open";

  test("what verbs need and nobody has", () => {
    expect(ungranted(access, apis, 1000)).toEqual([
      {
        ...{ file: "spawn-p.json", path: "sandboxes[0].commands[1]" },
        message: why("rare", "2 verbs", "root and uid 1000"),
      },
      {
        ...{ file: "spawn-p.json", path: "sandboxes[1].exec" },
        message: why("raw", "1 verb", "root and uid 1000"),
      },
      {
        ...{ file: "spawn-p.json", path: "extra[0]" },
        message: why("further", "1 verb", "root and uid 1000"),
      },
    ]);
    expect(ungranted(access, apis, 0)[0]?.message).toBe(why("rare", "2 verbs", "root"));
  });

  test("what is granted and no verb needs", () => {
    const granted = new Access(
      [
        rule({ kind: "anyone" }, ["any", "rar"]),
        rule({ kind: "user", uid: 7 }, "all"),
        rule({ kind: "user", uid: 8 }, ["own"]),
      ],
      1000,
    );
    expect(unneeded(granted, "f", apis, ["own"])).toEqual([
      {
        ...{ file: "f", path: "grants[0].privileges" },
        message: "no verb needs the privilege `rar`; did you mean `rare`?",
      },
    ]);
    expect(unneeded(new Access([], 1000, true), "f", apis, [])).toEqual([]);
    expect(unneeded(new Access(rules, 1000, true), "f", apis, [])).toEqual([
      {
        ...{ file: "f", path: "grants" },
        message: "does nothing: access is cynagora-only, and the permission service alone is asked",
      },
    ]);
  });

  test("certificates that nobody can show", () => {
    expect(unshown(access, "f")).toEqual([
      {
        ...{ file: "f", path: "grants[5].certificate" },
        message: "nobody can show a certificate: say serve --tls-client-ca FILE, with TLS",
      },
    ]);
  });
});
