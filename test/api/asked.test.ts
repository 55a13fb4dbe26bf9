/** What is asked of a verb and of the list of tasks, and what is kept of a call: each refusal, each bound. */
import { describe, expect, test } from "bun:test";
import { type Caller, SERVER_SESSION } from "../../src/api/client.ts";
import {
  attemptedQuery,
  parseQuery,
  parseTarget,
  parseVerbose,
  queryOf,
} from "../../src/api/query.ts";
import { placeholder } from "../../src/plan/secrets.ts";
import { callerRecord, hasSecrets, keptOf, keptOfRefused } from "../../src/api/record.ts";
import { isCaller, matches, parseFilter } from "../../src/api/task-filter.ts";
import { AfbError } from "../../src/errors.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import { paramsOf, shell } from "./harness.ts";

const said = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    expect(error.status).toBe("invalid-request");
    return error.message;
  }
};
const ID = "0123456789abcde";

describe("of a query", () => {
  test.each<[unknown, string]>([
    [
      { action: "stp" },
      'unknown action "stp"; did you mean `stop`? (start, stop, subscribe, unsubscribe)',
    ],
    [{ action: 5 }, "unknown action 5 (start, stop, subscribe, unsubscribe)"],
    [{ action: "start", args: "{x" }, expect.stringMatching(/^args is not JSON: \S/) as never],
    [{ verbose: 5 }, "verbose must be a whole number from 0 to 4, not 5"],
    [{ verbose: -1 }, "verbose must be a whole number from 0 to 4, not -1"],
    [{ verbose: 0.5 }, "verbose must be a whole number from 0 to 4, not 0.5"],
    [{ verbose: "10" }, 'verbose must be a whole number from 0 to 4, not "10"'],
    [{ wait: "yes" }, 'wait must be true or false, not "yes"'],
  ])("%j is none", (query, why) => {
    expect(said(() => parseQuery(query))).toEqual(why);
  });
  test("how much it tells", () => {
    expect([undefined, 0, 4, "4", "0"].map(parseVerbose)).toEqual([0, 0, 4, 4, 0]);
    const wait = (value: unknown) => parseQuery({ wait: value }).wait;
    expect(["1", 1, "TRUE", "0", 0, "False", undefined].map(wait)).toEqual([
      ...[true, true, true, false, false, false, false],
    ]);
  });
  test("that has failed: a start of which nothing is known", () => {
    expect(attemptedQuery({ action: "stp" })).toEqual({
      ...{ action: "start", args: undefined, unread: true },
    });
    expect(attemptedQuery({ action: "stop" })).toMatchObject({ action: "stop" });
  });
  test("as a schema", () => {
    const target = {
      type: "object",
      properties: {
        ...{
          pid: { type: ["integer", "string"] },
          id: { type: "string", pattern: expect.any(String) },
        },
        ...{ signal: { type: ["integer", "string"] }, lossless: { type: "boolean" } },
        from: { type: "integer", minimum: 0 },
      },
      additionalProperties: false,
    };
    const fed = {
      ...{ data: { type: "string" }, base64: { type: "string", contentEncoding: "base64" } },
      end: { type: "boolean" },
    };
    const of = (actions: string[], about: object) => ({
      type: "object",
      properties: {
        action: { type: "string", enum: actions, default: "start" },
        args: { anyOf: [true, about] },
        verbose: { type: "integer", minimum: 0, maximum: 4 },
        wait: { type: "boolean" },
      },
      additionalProperties: false,
    });
    const actions = ["start", "stop", "subscribe", "unsubscribe"];
    expect(queryOf(true) as object).toEqual(of(actions, target));
    expect(queryOf(true, true) as object).toEqual(
      of([...actions, "input"], { ...target, properties: { ...target.properties, ...fed } }),
    );
  });
});

describe("of a task", () => {
  const of = (args: unknown, action = "subscribe") =>
    said(() => parseTarget({ action, args } as never));
  test.each<[unknown, object]>([
    [undefined, {}],
    [{}, {}],
    [{ pid: 1 }, { pid: 1 }],
    [{ pid: "4194304" }, { pid: 4_194_304 }],
    [{ id: ID }, { id: ID }],
    [
      { id: ID, from: 0 },
      { id: ID, from: 0 },
    ],
    [
      { pid: 5, from: "7" },
      { pid: 5, from: 7 },
    ],
    [{ lossless: "true" }, { lossless: true }],
    [{ signal: "term" }, { signal: 15 }],
    [{ signal: 9 }, { signal: 9 }],
  ])("%j", (args, target) => {
    expect(of(args)).toEqual(target);
  });
  const FROM = "from must be the number of an event, from 1 on, not";
  test.each<[unknown, string, string]>([
    ["x", "stop", 'args must be {"pid":N,"signal":"NAME"}, both optional'],
    [{ pids: 1 }, "stop", 'unknown key "pids" in args (pid, id, signal, lossless, from)'],
    [{ pid: 1, id: ID }, "stop", "say pid or id, not both"],
    [{ id: 5 }, "stop", "invalid id 5: expected that of a task, as monitor/tasks has it"],
    [{ id: "x" }, "stop", 'invalid id "x": expected that of a task, as monitor/tasks has it'],
    [{ pid: 1, from: 1 }, "stop", "from is for subscribe"],
    [{ from: 1 }, "subscribe", "from needs pid or id: events count by task"],
    [{ pid: 1, from: -1 }, "subscribe", `${FROM} -1`],
    [{ pid: 1, from: 0.5 }, "subscribe", `${FROM} 0.5`],
    [{ pid: 1, from: "x" }, "subscribe", `${FROM} "x"`],
    [{ pid: 1, from: "1".repeat(16) }, "subscribe", `${FROM} "${"1".repeat(16)}"`],
    [{ lossless: true }, "stop", "lossless is for subscribe"],
    [{ lossless: "x" }, "subscribe", 'lossless must be true or false, not "x"'],
    ...[0, -1, 1.5, 4_194_305, "x", "12345678901", null].map((pid): [unknown, string, string] => [
      ...([{ pid }, "stop", `invalid pid ${JSON.stringify(pid)}`] as const),
    ]),
    [
      ...([{ signal: "SIGTREM" }, "stop"] as const),
      'unknown signal "SIGTREM"; did you mean `SIGTERM`? (a name such as SIGTERM, or 1 to 64)',
    ],
    [{ signal: 0 }, "stop", "unknown signal 0 (a name such as SIGTERM, or 1 to 64)"],
  ])("%j of %s is none", (args, action, why) => {
    expect(of(args, action)).toBe(why);
  });
});

describe("of the list of tasks", () => {
  const none = { state: "all", limit: 100 };
  const given = (args: unknown) => {
    const found = said(() => parseFilter(args));
    return typeof found === "string" ? found : JSON.parse(JSON.stringify(found));
  };
  test.each<[unknown, object]>([
    [undefined, none],
    [null, none],
    [
      { state: "ENDED", pid: "7", limit: "5", follow: "True" },
      { state: "ended", pid: 7, limit: 5, follow: true },
    ],
    [
      { follow: "false", pid: 2 ** 31 },
      { ...none, follow: false, pid: 2 ** 31 },
    ],
    [
      { api: "a", verb: "v", caller: 5, follow: true },
      { ...none, api: "a", verb: "v", caller: "5", follow: true },
    ],
    [
      { state: "running", pid: 1, limit: 1 },
      { ...none, state: "running", pid: 1, limit: 1 },
    ],
    [
      { id: ID, before: ID, limit: 1000 },
      { ...none, id: ID, before: ID, limit: 1000 },
    ],
  ])("%j", (args, filter) => {
    expect(given(args)).toEqual(filter);
  });
  const keys = "api, verb, state, caller, pid, id, before, limit, follow";
  test.each<[unknown, unknown]>([
    [[], `expects an object with any of ${keys}`],
    ["x", `expects an object with any of ${keys}`],
    [{ apis: "a" }, `unknown key "apis"; did you mean \`api\`? (${keys})`],
    [{ ["k".repeat(81)]: 1 }, `unknown key "${"k".repeat(80)}" (${keys})`],
    [{ api: 5 }, "api: found 5, expected a text"],
    [{ verb: true }, "verb: found true, expected a text"],
    [{ caller: true }, "caller: found true, expected a text"],
    [
      { state: "runing" },
      'state: found "runing"; did you mean `running`? (all, waiting, running, ended)',
    ],
    [{ state: 5 }, "state: found 5 (all, waiting, running, ended)"],
    [{ pid: 0 }, "pid: found 0, expected a whole number from 1 to 2147483648"],
    [{ pid: 2 ** 31 + 1 }, "pid: found 2147483649, expected a whole number from 1 to 2147483648"],
    [{ id: "x" }, 'id: found "x", expected the id of a task, of 15 letters'],
    [{ before: 5 }, "before: found 5, expected a text"],
    [{ limit: 0 }, "limit: found 0, expected a whole number from 1 to 1000"],
    [{ limit: 1001 }, "limit: found 1001, expected a whole number from 1 to 1000"],
    [{ limit: 1.5 }, "limit: found 1.5, expected a whole number from 1 to 1000"],
    [
      { limit: "12345678901" },
      'limit: found "12345678901", expected a whole number from 1 to 1000',
    ],
    [{ follow: 5 }, "follow: found 5, expected true or false"],
  ])("%j is none", (args, why) => {
    expect(given(args)).toEqual(why as never);
  });
  test("which tasks are meant", () => {
    const record = {
      api: "A",
      verb: "v/w",
      state: "ended",
      pid: 5,
      id: "b",
      caller: { info: "ann" },
    };
    const meant = (filter: object) =>
      matches({ state: "all", limit: 1, ...filter } as never, record as never);
    const yes = [
      {},
      { api: "a" },
      { verb: "V/W" },
      { state: "ended" },
      { caller: "ann" },
      { pid: 5 },
      { id: "b" },
      { before: "c" },
    ];
    const no = [
      { api: "b" },
      { verb: "v" },
      { state: "running" },
      { caller: "bob" },
      { pid: 6 },
      { id: "a" },
      { before: "b" },
    ];
    expect(yes.map(meant)).toEqual(yes.map(() => true));
    expect(no.map(meant)).toEqual(no.map(() => false));
  });
  test("who is meant", () => {
    const who = {
      info: "i",
      address: "10.0.0.1",
      uid: 5,
      certificate: "CN:tablet:x",
      operator: "o",
      via: "rest",
    } as const;
    for (const name of ["i", "10.0.0.1", "5", "CN:tablet:x", "tablet:x", "o"])
      expect(isCaller(who, name)).toBe(true);
    for (const name of ["rest", "CN", "x", "", "undefined"])
      expect(isCaller(who, name)).toBe(false);
    expect(isCaller({ via: "rest" }, "undefined")).toBe(false);
  });
});

describe("what is kept of a call", () => {
  const session = { uuid: "s" };
  const who = (caller: Caller | undefined, own: object = session) =>
    callerRecord({ session: own, ...(caller && { caller }) } as never, ({ token }) => token);
  test("who has called", () => {
    expect(who(undefined)).toEqual({ via: "local" });
    expect(who(undefined, SERVER_SESSION)).toEqual({ via: "server" });
    expect(who({ token: "t" }, SERVER_SESSION)).toEqual({ via: "server" });
    expect(
      who({
        ...{ token: "t", address: "h", program: "p", operator: "o", via: "mqtt" },
        user: { uid: 0, gids: [], confined: false },
        certificate: { names: ["CN:a", "DNS:b"], until: 5 },
      }),
    ).toEqual({
      ...{
        info: "t",
        uid: 0,
        address: "h",
        certificate: "CN:a",
        program: "p",
        operator: "o",
        via: "mqtt",
      },
    });
    expect(who({ certificate: { names: [], until: 5 } })).toEqual({
      certificate: "",
      via: "local",
    });
  });

  const template = (...args: string[]) => parseTemplate("/x", args, (text) => text);
  const secret = paramsOf({ key: { type: "string", writeOnly: true }, other: { type: "string" } });
  const plan = (more: object = {}) =>
    shell("v", "", { argv: template("%key%", "?other?"), ...more });
  test("arguments, and the line of them; no secret", () => {
    expect(keptOf(plan(), { key: "k" }, ["/x", "k", ""])).toEqual({
      ...{ args: { key: "k" }, argv: ["/x", "k", ""] },
    });
    expect(keptOf(plan(), undefined, ["/x"])).toEqual({ argv: ["/x"] });
    const { argv } = plan();
    const reading = plan({ argv: { ...argv, files: ["/run/key"] } });
    expect(keptOf(reading, undefined, ["/x", `-k=${placeholder("/run/key")}`])).toEqual({
      argv: ["/x", "-k=</run/key>"],
    });
    expect(keptOf(plan({ discreet: true }), { key: "k" }, ["/x"])).toEqual({ hidden: true });
    const hidden = keptOf(plan({ params: secret }), { key: "k", other: "o" }, ["/x", "k", "o"]);
    expect(hidden).toEqual({
      ...{ args: { key: "***", other: "o" }, argv: ["/x", "***", "o"], hidden: true },
    });
    for (const key of [undefined, null])
      expect(
        keptOf(plan({ params: secret }), { key, other: "o" }, ["/x", "", "o"]).hidden,
      ).toBeUndefined();
    // What stands for a secret is longer than that: here longer than an argument can be.
    const joined = plan({ argv: template("%other%%key%"), params: secret });
    const other = "o".repeat((128 << 10) - 2);
    const kept = keptOf(joined, { key: "k", other }, ["/x", `${other}k`]);
    expect(kept).toEqual({ cut: JSON.stringify({ key: "***", other }).length, hidden: true });
    expect([
      hasSecrets(plan()),
      hasSecrets(plan({ discreet: true })),
      hasSecrets(plan({ params: secret })),
    ]).toEqual([...[false, true, true]]);
    expect(hasSecrets(plan({ params: paramsOf({ other: { type: "string" } }) }))).toBe(false);
  });
  test("of one that was refused", () => {
    expect(keptOfRefused(plan(), { any: 1 })).toEqual({ args: { any: 1 } });
    expect(keptOfRefused(plan({ discreet: true }), { any: 1 })).toEqual({ hidden: true });
    const of = (args: unknown) => keptOfRefused(plan({ params: secret }), args);
    expect(of({ key: "k", kye: "k", other: "o" })).toEqual({
      ...{ args: { key: "***", other: "o" }, hidden: true },
    });
    expect(of("k")).toEqual({ hidden: true });
    expect(of(JSON.rawJSON("5"))).toEqual({ hidden: true });
  });
  test("so much of it", () => {
    const most = 64 << 10;
    const line = (length: number) => ["/x", "y".repeat(length - 4)];
    expect(keptOf(plan(), {}, line(most))).toEqual({ args: {}, argv: line(most) });
    const cut = keptOf(plan(), {}, line(most + 1));
    expect(cut).toEqual({ argv: line(most + 1), cut: most + 1 });
    expect(keptOf(plan(), {}, ["/x", "y".repeat(most), "z"])).toEqual({
      ...{ argv: ["/x", `${"y".repeat(most - 3)}…`], cut: most + 6 },
    });
    expect(keptOf(plan(), {}, ["y".repeat(most), "z"])).toEqual({
      ...{ argv: ["y".repeat(most)], cut: most + 3 },
    });
    expect(keptOfRefused(plan(), "y".repeat(most - 2))).toEqual({ args: "y".repeat(most - 2) });
    expect(keptOfRefused(plan(), "y".repeat(most - 1))).toEqual({ cut: most + 1 });
    expect(keptOfRefused(plan(), undefined)).toEqual({});
  });
});
