import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Access } from "../../src/access/access.ts";
import { type Accounts, loadAccess } from "../../src/access/load.ts";
import { ungranted, unneeded } from "../../src/access/notices.ts";
import { AccessFile } from "../../src/access/schema.ts";
import { hashOf, makeToken } from "../../src/access/token.ts";
import { fileJsonSchema } from "../../src/config/jsonschema.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { apiOf, shell } from "../api/harness.ts";
import { isRoot } from "../served.ts";

const made: string[] = [];
afterEach(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true });
});

const uid = process.geteuid?.() ?? 0;
const accounts: Accounts = {
  uid,
  user: (text) => ({ ann: 1001, 1002: 1002 })[text],
  group: (text) => ({ staff: 50 })[text],
};

function written(content: unknown, name = "access.json"): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-access-"));
  made.push(dir);
  const file = join(dir, name);
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  chmodSync(file, 0o640);
  return file;
}

function problems(file: string): string[] {
  try {
    loadAccess(file, accounts);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ file: place, path, message }) => {
      expect(place).toBe(file);
      return `${path}: ${message}`;
    });
  }
}

const hash = hashOf("t");

describe("an access file", () => {
  test("in its normal form, and as it may be written", () => {
    const anyone = { who: { kind: "anyone" }, privileges: new Set(["a"]) } as const;
    const loaded = (content: object) => loadAccess(written(content), accounts);
    expect(loaded({ grants: { anyone: true, privileges: "a" } })).toEqual({
      rules: [anyone],
      serviceOnly: false,
    });
    expect(loaded({ access: "Cynagora-Only" })).toEqual({ rules: [], serviceOnly: true });
    const grants = [
      { info: "panel", token: hash.toUpperCase().replace("SHA", "sha"), privileges: ["a", "b"] },
      { user: "ann", privileges: "*" },
      { user: 1002, privileges: ["b", "*"] },
      { group: "staff", privileges: [] },
      { certificate: "tablet", privileges: [] },
      { certificate: "x", privileges: [] },
      { certificate: "uri:spiffe://boat/x", privileges: [] },
      { certificate: "CN:DNS:x", privileges: [] },
      { certificate: "spiffe://boat/x", privileges: [] },
      { certificate: "bo@boat.example", privileges: [] },
    ];
    expect(loaded({ $schema: "x", grants }).rules).toEqual([
      { who: { kind: "token", hash }, privileges: new Set(["a", "b"]), info: "panel" },
      { who: { kind: "user", uid: 1001 }, privileges: "all" },
      { who: { kind: "user", uid: 1002 }, privileges: "all" },
      { who: { kind: "group", gid: 50 }, privileges: new Set() },
      { who: { kind: "certificate", names: ["CN:tablet", "DNS:tablet"] }, privileges: new Set() },
      { who: { kind: "certificate", names: ["CN:x", "DNS:x"] }, privileges: new Set() },
      { who: { kind: "certificate", names: ["URI:spiffe://boat/x"] }, privileges: new Set() },
      { who: { kind: "certificate", names: ["CN:DNS:x"] }, privileges: new Set() },
      { who: { kind: "certificate", names: ["URI:spiffe://boat/x"] }, privileges: new Set() },
      { who: { kind: "certificate", names: ["email:bo@boat.example"] }, privileges: new Set() },
    ]);
  });

  test("a certificate is named by what its authority looks at", () => {
    const named = (certificate: string) =>
      problems(written({ grants: [{ certificate, privileges: [] }] }));
    for (const text of ["IP:10.0.0.1", "10.0.0.1", "fd00::1"])
      expect(named(text)).toEqual([expect.stringContaining("give a name, CN:")]);
    for (const text of ["a\u200bb", "a\n"])
      expect(named(text)).toEqual([expect.stringContaining("cannot be seen")]);
    expect(named("")).toEqual([expect.stringContaining("expected")]);
    expect(named("a\u0000b")).toEqual([expect.stringContaining("NUL")]);
    expect(named("CN:")).toEqual([expect.stringContaining("no name after CN:")]);
    expect(named("")).toHaveLength(1);
  });

  test("every problem, with its place", () => {
    expect(
      problems(
        written({
          grants: [
            { privileges: "a" },
            { user: "ann", group: "staff", privileges: "a" },
            { user: "anne", privileges: "a" },
            { group: "stuff", privileges: "a" },
            { anyone: false, privileges: "a" },
            { token: "secret", privileges: "a" },
            { token: hash },
            { tokn: hash, privileges: "a" },
            { token: hash, privileges: ["a", ""] },
          ],
          grant: [],
        }),
      ),
    ).toEqual([
      "grant: unknown key `grant`; did you mean `grants`? valid keys: $schema, access, grants",
      "grants[5].token: is not sha256: and 64 hexadecimal digits, as in the second line of spawnbox token",
      "grants[6].privileges: missing key `privileges`: expected a list (what they may use)",
      "grants[7].tokn: unknown key `tokn`; did you mean `token`? valid keys: info, token, user, group, certificate, mqtt, anyone, privileges",
      'grants[8].privileges[1]: found "", expected a string, not empty (a privilege, or * for all)',
      "grants[0]: found none, expected one of token, user, group, certificate, mqtt, anyone",
      "grants[1]: found user and group, expected one of token, user, group, certificate, mqtt, anyone",
      'grants[2].user: this system has no user "anne"',
      'grants[3].group: this system has no group "stuff"',
      "grants[4].anyone: found false: a grant to nobody; remove it",
      "grants[7]: found none, expected one of token, user, group, certificate, mqtt, anyone",
    ]);
    expect(problems(written("{"))).toEqual([expect.stringContaining("line 1")]);
    expect(problems(written("[]"))).toEqual([
      ": found a list of 0, expected an object (a spawnbox access file)",
    ]);
    expect(problems(written("{}"))[0]).toStartWith("grants: missing key");
    expect(problems(written({ access: "cynagora" }))).toEqual([
      'access: found "cynagora", expected one of cynagora-only (cynagora-only: only the permission service (serve --cynagora) gives privileges, to root and the server\'s user too, and grants do nothing)',
    ]);
    expect(problems("/nowhere/access.json")).toEqual([expect.stringContaining("ENOENT")]);
    expect(problems("/dev/null")).toEqual([": /dev/null is not a regular file"]);
  });

  test("what does not fit is one problem, and so is a number that is no id", () => {
    expect(problems(written({ grants: { user: {}, privileges: "a" } }))).toEqual([
      expect.stringMatching(/^grants\[0\]\.user: found an object/),
    ]);
    const strict = {
      ...accounts,
      user: () => {
        throw new Error("is no id");
      },
    };
    const file = written({ grants: { user: "5", privileges: "a" } });
    expect(() => loadAccess(file, strict)).toThrow(`${file}: grants[0].user: is no id`);
    expect(problems(written({ grants: { certificate: "ip:x", privileges: "a" } }))).toEqual([
      "grants[0].certificate: addresses are nobody: give a name, CN:, DNS:, URI:, email:",
    ]);
    expect(problems(written({ grants: { certificate: "dns:", privileges: "a" } }))).toEqual([
      "grants[0].certificate: no name after dns:",
    ]);
    const { rules } = loadAccess(
      written({
        grants: ["dns:a", "EMAIL:b@c"].map((one) => ({ certificate: one, privileges: [] })),
      }),
      accounts,
    );
    expect(rules.map(({ who }) => who.kind === "certificate" && who.names)).toEqual([
      ...[["DNS:a"], ["email:b@c"]],
    ]);
  });

  test("others must not be able to change it, nor what leads to it", () => {
    const good = { grants: [] };
    const file = written(good);
    expect(problems(file)).toEqual([]);
    chmodSync(file, 0o660);
    expect(problems(file)).toEqual([expect.stringContaining(`chmod go-w ${file}`)]);
    chmodSync(file, 0o602);
    expect(problems(file)).toEqual([expect.stringContaining(`chmod go-w ${file}`)]);
    chmodSync(file, 0o600);
    const dir = join(file, "..");
    chmodSync(dir, 0o770);
    expect(problems(file)).toEqual([expect.stringContaining(`chmod go-w ${dir}`)]);
    // Nor by a link to it from a place of one's own.
    const link = join(tmpdir(), `spawnbox-link-${process.pid}`);
    symlinkSync(file, link);
    made.push(link);
    expect(problems(link)).toEqual([expect.stringContaining(`chmod go-w ${dir}`)]);
    chmodSync(dir, 0o700);
    expect(problems(file)).toEqual([]);
    mkdirSync(join(dir, "directory"));
    expect(problems(join(dir, "directory"))).toEqual([expect.stringContaining("regular file")]);
  });

  test.skipIf(!isRoot)("must belong to root or the server's user", () => {
    const file = written({ grants: [] });
    chownSync(file, 1234, 1234);
    expect(problems(file)).toEqual([
      `: ${file} belongs to uid 1234, who could change what this server does: chown it to root`,
    ]);
  });

  test("has a JSON Schema, in which a single grant or privilege is no list", () => {
    expect(fileJsonSchema("access", AccessFile)).toMatchObject({
      $id: "urn:spawnbox:access",
      properties: { grants: { then: { type: "array" }, else: { type: "object" } } },
    });
  });
});

describe("who has what", () => {
  const all = (privileges: string[]) => ({ privileges: new Set(privileges) });
  const access = new Access(
    [
      { who: { kind: "token", hash }, privileges: new Set(["a"]) },
      { who: { kind: "token", hash }, privileges: new Set(["b"]) },
      { who: { kind: "token", hash: hashOf("root") }, privileges: "all" },
      { who: { kind: "user", uid: 7 }, privileges: new Set(["u"]) },
      { who: { kind: "group", gid: 8 }, privileges: new Set(["g"]) },
      { who: { kind: "anyone" }, privileges: new Set(["z"]) },
    ],
    1000,
  );
  const user = (id: number, gids: number[] = [], confined = false) => ({ uid: id, gids, confined });

  test("all grants that fit count", () => {
    expect(access.of({})).toEqual(all(["z"]));
    expect(access.of({ token: "" })).toEqual(all(["z"]));
    expect(access.of({ token: "t" })).toEqual(all(["z", "a", "b"]));
    expect(access.of({ token: "T" })).toEqual({ ...all(["z"]), unknownToken: true });
    expect(access.of({ token: hash })).toEqual({ ...all(["z"]), unknownToken: true });
    expect(access.of({ token: "root" })).toEqual({ privileges: "all" });
    expect(access.of({ token: "t", user: user(7, [9, 8]) })).toEqual(
      all(["z", "a", "b", "u", "g"]),
    );
    const shown = (names: string[], until = Date.now() + 60_000) =>
      certified.of({ certificate: { names, until } });
    const certified = new Access(
      [{ who: { kind: "certificate", names: ["CN:t", "DNS:t"] }, privileges: new Set(["c"]) }],
      1000,
    );
    expect(shown(["CN:t"])).toEqual(all(["c"]));
    expect(shown(["URI:x", "DNS:t"])).toEqual(all(["c"]));
    for (const names of [["URI:t"], ["email:t"], ["CN:T"], ["CN:t "], ["t"], []])
      expect(shown(names)).toEqual(all([]));
    // Of a connection that outlives it.
    expect(shown(["CN:t"], Date.now() - 1)).toEqual(all([]));
    // A group's number is not a user's.
    expect(access.of({ user: user(8, [7]) })).toEqual(all(["z"]));
  });

  test("root and the server's user have everything, unless confined", () => {
    for (const id of [0, 1000]) {
      expect(access.of({ user: user(id), token: "wrong" })).toEqual({ privileges: "all" });
      expect(access.of({ user: user(id, [], true) })).toEqual(all(["z"]));
    }
    expect(new Access([], 1000).of({ user: user(1001) })).toEqual(all([]));
    const anyone = { who: { kind: "anyone" }, privileges: "all" } as const;
    for (const id of [0, 1000, 1001])
      expect(new Access([anyone], 1000, true).of({ user: user(id) })).toEqual(all([]));
  });

  test("a token is 256 bits, and never the same", () => {
    const tokens = Array.from({ length: 100 }, makeToken);
    expect(new Set(tokens).size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/);
    expect(hashOf("abc")).toBe(
      "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  test("notices: what nobody has, and what nothing needs", () => {
    const plans = [
      shell("one", "true", { privileges: ["a", "n"] }),
      shell("two", "true", { privileges: ["n"] }),
    ];
    const exec = shell("exec", "", { privileges: ["e"] });
    const api = apiOf(plans, { sandboxes: [{ uid: "s", plans, exec }] });
    const some = new Access([{ who: { kind: "anyone" }, privileges: new Set(["a"]) }], 1000);
    const told = ungranted(some, [api], 1000).map(({ path, message }) => `${path}: ${message}`);
    expect(told).toEqual([
      expect.stringMatching(
        /^sandboxes\[0\]\.commands\[0\]: the privilege `n`, needed by 2 verbs, is granted to nobody but root and uid 1000 /,
      ),
      expect.stringMatching(/^sandboxes\[0\]\.exec: the privilege `e`, needed by 1 verb, /),
    ]);
    const slip = new Access([{ who: { kind: "anyone" }, privileges: new Set(["a", "nn"]) }], 0);
    expect(unneeded(slip, "f", [api], ["m"])).toEqual([
      {
        file: "f",
        path: "grants[0].privileges",
        message: "no verb needs the privilege `nn`; did you mean `n`?",
      },
    ]);
    const open = new Access([{ who: { kind: "anyone" }, privileges: "all" }], 0);
    expect([...ungranted(open, [api], 0), ...unneeded(open, "f", [api], [])]).toEqual([]);
  });
});

test("no token looks like an option of a command line", () => {
  for (let i = 0; i < 2000; i++) expect(makeToken()).toMatch(/^\w[\w-]{42}$/);
});
