/** What an API says of itself, whole; and names and patterns by which others are meant. */
import { describe, expect, test } from "bun:test";
import { infoVerb, pingVerb } from "../../src/api/builtin.ts";
import { globOf } from "../../src/api/glob.ts";
import { Hub } from "../../src/api/hub.ts";
import { openapi } from "../../src/api/openapi.ts";
import { namesIn } from "../../src/api/select.ts";
import { unavailableVerb } from "../../src/api/unavailable.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import { apiOf, connecting, paramsOf, said, shell } from "./harness.ts";

const connect = connecting();

describe("info", () => {
  const ALONE = { needed: () => [], confirms: () => false };
  const told = (
    api: Parameters<typeof infoVerb>[0],
    more: Partial<Parameters<typeof infoVerb>[1]> = {},
    stands: Parameters<typeof infoVerb>[2] = ALONE,
    changed?: Parameters<typeof infoVerb>[3],
  ) => {
    const verb = infoVerb(api, { actions: [], imports: [], ...more }, stands, changed);
    expect([verb.name, verb.isLong]).toEqual(["info", true]);
    return verb.call({} as never) as Promise<Record<string, unknown>>;
  };

  test("of next to nothing", async () => {
    const api = apiOf([shell("v", "")]);
    expect(await told(api)).toEqual({
      groups: [
        {
          uid: "sb",
          verbs: [{ uid: "v", verb: "v", usage: { action: ["start", "stop"] }, encoder: "text" }],
        },
      ],
      metadata: { uid: "demo", api: "p" },
    });
  });

  test("of all that there is, each where it belongs", async () => {
    const plan = shell("v", "", {
      ...{ label: "L", info: "I", sample: [{ a: 1 }], usage: { a: "b" }, timeout: 1500 },
      ...{ stop: { signal: 15, grace: 2500 }, input: "body", confirm: true, privileges: ["x"] },
      argv: parseTemplate("/x", ["%a%"], (text) => text),
      params: paramsOf({ a: { type: "string" } }),
      pool: { size: 3 },
      policy: { families: { names: ["AF_INET"] }, pty: { columns: 80, rows: 24 } },
    } as never as Partial<Plan>);
    const unavailable = [
      { command: "u", verb: "u", privileges: ["y"], reason: "gone", info: "U" },
      { command: "w", verb: "w", privileges: [], reason: "gone" },
    ];
    const exec = shell("exec", "", { privileges: ["e"] });
    const notice = (path: string) => ({ path, message: path });
    const api = apiOf([], {
      ...{ info: "AI", version: "1.2", author: "A" },
      sandboxes: [
        { uid: "s", info: "SI", plans: [plan], unavailable, exec },
        { uid: "t", plans: [] },
      ],
      notices: ["sandboxes[0]", "sandboxes[0].x", "sandboxes[01]", "sandboxes[1].y", "mcp"].map(
        notice,
      ),
      actions: {
        ...{ onload: [], onstart: [], events: [] },
        extra: [
          { uid: "more", info: "MI", action: "api://p#v", required: false },
          { uid: "plain", action: "api://p#v", required: false },
        ],
      },
    } as never);
    const actions = [{ describe: () => ({ uid: "act" }) }] as never;
    const imports = [
      {
        name: "far",
        info: "there",
        state: "connected",
        isPrivate: true,
        privileges: ["z"],
        verbs: ["a"],
      },
      {
        name: "near",
        info: "here",
        state: "gone",
        isPrivate: false,
        privileges: [],
        verbs: undefined,
      },
    ] as never;
    const stands = {
      needed: ({ uid }: { uid: string }) => (uid === "more" ? ["m"] : []),
      confirms: ({ uid }: { uid: string }) => uid === "more",
    };
    expect(await told(api, { actions, imports }, stands as never)).toEqual({
      groups: [
        {
          ...{ uid: "s", info: "SI", families: ["AF_INET"], exec: true, privileges: ["e"] },
          verbs: [
            {
              ...{ uid: "v", verb: "v", label: "L", info: "I", sample: [{ a: 1 }] },
              usage: { action: ["start", "stop"], args: { a: "b" } },
              ...{ encoder: "text", timeout: 1.5, stop: { signal: "SIGTERM", grace: 2.5 } },
              ...{ input: "body", confirm: true, names: ["a"], privileges: ["x"] },
              ...{ params: { a: { type: "string" } }, pool: 3, pty: { cols: 80, rows: 24 } },
            },
            { uid: "u", verb: "u", info: "U", usage: {}, privileges: ["y"], unavailable: "gone" },
            { uid: "w", verb: "w", usage: {}, unavailable: "gone" },
          ],
          notices: [notice("sandboxes[0]"), notice("sandboxes[0].x")],
        },
        { uid: "t", verbs: [], notices: [notice("sandboxes[1].y")] },
        {
          uid: "extra",
          verbs: [
            {
              ...{ uid: "more", verb: "more", info: "MI", usage: {}, action: "api://p#v" },
              ...{ confirm: true, privileges: ["m"] },
            },
            { uid: "plain", verb: "plain", usage: {}, action: "api://p#v" },
          ],
        },
      ],
      metadata: { uid: "demo", info: "AI", version: "1.2", author: "A", api: "p" },
      notices: [notice("mcp")],
      actions: [{ uid: "act" }],
      imports: [
        {
          api: "far",
          info: "there",
          state: "connected",
          private: true,
          privileges: ["z"],
          verbs: ["a"],
        },
        { api: "near", info: "here", state: "gone" },
      ],
    });
  });

  test("with what the machine has become meanwhile", async () => {
    const api = apiOf([], { notices: [{ path: "a", message: "m" }] });
    const changed = async () => [{ path: "b", message: "n" }];
    expect((await told(api, {}, ALONE, changed))["notices"]).toEqual([
      { path: "a", message: "m" },
      { path: "b", message: "n" },
    ]);
  });
});

test("what the monitor is, and what each of its verbs takes", async () => {
  const { client } = connect([shell("v", "true")]);
  const { response } = await client.call("info", undefined, { api: "monitor" });
  const { groups, metadata } = response as {
    groups: { uid: string; info: string; verbs: { uid: string; verb: string; usage: object }[] }[];
    metadata: object;
  };
  expect(metadata).toEqual({ uid: "monitor", info: "what goes on in this server", api: "monitor" });
  expect(groups.map(({ uid, info }) => [uid, info])).toEqual([
    ["monitor", "what goes on in this server"],
  ]);
  const usage = Object.fromEntries(groups[0]?.verbs.map((one) => [one.verb, one.usage]) ?? []);
  expect(usage["explain"]).toEqual({ api: false, sandbox: false });
  expect(Object.keys(usage["tasks"] ?? {})).toEqual([
    ...["api", "verb", "state", "caller", "pid", "id", "before", "limit", "follow"],
  ]);
  expect(groups[0]?.verbs.map((one) => "info" in one && one.info !== "")).not.toContain(false);
  // Nobody has to say any of it.
  expect(Object.values(usage).flatMap((one) => Object.values(one).filter(Boolean))).toEqual([]);
  const names = (verb: string) => Object.keys(usage[verb] ?? {});
  expect(["get", "set", "trace", "apis", "session", "subscribe"].map(names)).toEqual([
    ...[["apis", "verbosity"], ["verbosity"], ["add", "drop"], [], [], []],
  ]);
  expect(groups[0]?.verbs.every(({ uid, verb }) => uid === verb)).toBe(true);
});

test("ping counts, and answers while all else is tried", () => {
  let count = 4;
  const verb = pingVerb(() => ++count);
  expect([verb.name, verb.isUntried, verb.call({} as never)]).toEqual(["ping", true, "pong=5"]);
});

test("a verb that cannot be had says why, and hides what it was called with", () => {
  const verb = unavailableVerb({
    verb: "v",
    command: "c",
    info: "I",
    privileges: ["x"],
    reason: "gone",
  });
  expect([verb.name, verb.privileges, verb.describe?.()]).toEqual([
    ...["v", ["x"], { info: "I", parameters: [], unavailable: true }],
  ] as never);
  expect(said(() => verb.call({} as never))).toBe("not-available: gone");
  expect(verb.refused?.({ args: { action: "stop", args: {} } } as never)).toEqual({
    ...{ action: "stop", hidden: true },
  });
  const plain = unavailableVerb({ verb: "v", command: "c", privileges: [], reason: "gone" });
  expect(plain.describe?.()).toEqual({ parameters: [], unavailable: true });
});

test("an API as pages read it", () => {
  const verb = (more: object) => ({ name: "v", parameters: [], privileges: [], ...more });
  const of = (more: object) =>
    (openapi({ api: "a", verbs: [verb(more)] }).paths as Record<string, { get: object }>)["/v"]
      ?.get;
  const responses = { "200": { description: "afb-reply" } };
  expect(openapi({ api: "a", info: "I", version: "2", verbs: [] }) as object).toEqual({
    ...{ openapi: "3.1.0", info: { title: "a", version: "2", description: "I" }, paths: {} },
  });
  expect(openapi({ api: "a", verbs: [] }).info as object).toEqual({ title: "a", version: "0" });
  expect(of({})).toEqual({ responses });
  expect(of({ privileges: ["x"], info: "I", confirm: true })).toEqual({
    ...{ description: "I", "x-permissions": { permission: "x" }, "x-confirm": true, responses },
  });
  expect(of({ privileges: ["x", "y"] })).toEqual({
    ...{ "x-permissions": { allOf: [{ permission: "x" }, { permission: "y" }] }, responses },
  });
  const parameters = [
    { name: "n", required: true, schema: { type: "integer" } },
    { name: "o", required: false },
  ];
  expect(of({ parameters })).toEqual({
    parameters: [
      { in: "query", name: "n", required: true, schema: { type: "integer" } },
      { in: "query", name: "o", required: false, schema: {} },
    ],
    responses,
  });
});

describe("names of APIs", () => {
  const APIS = ["one", "Two"];
  const names = (value: unknown, special?: string[]) =>
    said(() => namesIn(value, APIS, "what", special));
  test.each<[unknown, unknown]>([
    ["ONE", ["one"]],
    [
      ["two", "one", "TWO"],
      ["Two", "one"],
    ],
    ["*", APIS],
    [["one", "*"], APIS],
    [{ one: true, Two: false }, ["one"]],
    [{ one: null, two: 0 }, ["Two"]],
    ["", "unknown-api: no API `` (there is one, Two)"],
    ["oen", "unknown-api: no API `oen`; did you mean `one`? (there is one, Two)"],
    ["n".repeat(81), `unknown-api: no API \`${"n".repeat(80)}\` (there is one, Two)`],
    [5, "invalid-request: what: expected names of APIs, not 5"],
    [[null], "invalid-request: what: expected names of APIs, not null"],
  ])("%j", (value, expected) => {
    expect(names(value)).toEqual(expected);
  });
  test("and others that are meant there", () => {
    expect(names(["", "one"], [""])).toEqual(["", "one"]);
  });
});

test.each<[string, string[], string[]]>([
  ["*", ["", "a"], []],
  ["A?c", ["abc", "A*C"], ["ac", "abcd"]],
  ["a*", ["a", "ab"], ["ba", ""]],
  ["*a", ["a", "ba", "aba"], ["ab", ""]],
  ["a*b*c", ["abc", "axbxc", "abbcc", "abcbc"], ["abcd", "acb", "ab"]],
  ["**a", ["a", "xa"], ["ax"]],
  ["a**", ["a"], ["b"]],
  ["", [""], ["a"]],
  ["!(a|b*)", ["c", ""], ["a", "b", "bc"]],
  ["!()", ["a"], [""]],
])("the pattern %j", (pattern, yes, no) => {
  const glob = globOf(pattern);
  expect([yes.filter(glob), no.filter(glob)]).toEqual([yes, []]);
});

test("who listens hears, until it does not any more", () => {
  const hub = new Hub();
  const heard: unknown[] = [];
  hub.emit("e", 0);
  const forget = hub.listen((event, data) => void heard.push(event, data));
  hub.emit("e", 1);
  forget();
  hub.emit("e", 2);
  expect(heard).toEqual(["e", 1]);
});
