/** What is known of boards, by what they, their topics and files say. */
import { afterEach, describe, expect, setSystemTime, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { discoveryTopic } from "../../src/fleet/discovery.ts";
import { reasonOf } from "../../src/fleet/link.ts";
import { loadFleet, parseBroker, readSecrets } from "../../src/fleet/load.ts";
import { makeAuthority, makeClient } from "../../src/access/authority.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { countsOf, jsonOf, kindOf, replyOf, resultOf } from "../../src/fleet/outcome.ts";
import { Presence, SIGN, SIGN_EXPIRY, silenceOf } from "../../src/fleet/presence.ts";
import { isName, Topics } from "../../src/fleet/topics.ts";

afterEach(() => void setSystemTime());

describe("what is known of boards", () => {
  const note = (presence: Presence, what: string, payload: string, left?: number) => {
    const [board = "", kind = "", ...rest] = what.split("/");
    return presence.note(board, kind, rest, Buffer.from(payload), left);
  };
  test("is silent after two signs of life that did not come, and a minute", () => {
    setSystemTime(new Date(1_800_000_000_000));
    expect(SIGN).toBe(300_000);
    const heard = (ms: number) => silenceOf({ status: "online", heard: performance.now() - ms });
    const all = () => [heard(0), heard(659_000), heard(660_001), heard(779_000), heard(780_000)];
    expect(all()).toEqual([undefined, undefined, 11, 12, 13]);
    // Whatever becomes of the clock of this machine.
    for (const time of [0, 4_000_000_000_000]) {
      const since = performance.now();
      setSystemTime(new Date(time));
      expect(silenceOf({ status: "online", heard: since })).toBeUndefined();
    }
    expect(silenceOf({ status: "offline", heard: 0 })).toBeUndefined();
    expect(silenceOf({ status: "online" })).toBeUndefined();
  });
  test("its status, whether that is news, and since when, by what the broker keeps of it", () => {
    const presence = new Presence();
    const seen = () => presence.boards.get("b1");
    const begin = performance.now();
    /** ms before which it was heard, by one who looked at the begin of the test; later by what has passed since. */
    const before = () => begin - (seen()?.heard ?? NaN);
    expect(note(presence, "b1/status", "online", SIGN_EXPIRY - 1000)).toBe(true);
    expect([seen()?.status, presence.isOnline("b1")]).toEqual(["online", true]);
    expect(before()).toBeWithin(900_000, 1_000_001);
    expect(note(presence, "b1/status", "online", SIGN_EXPIRY)).toBe(false);
    expect(before()).toBeLessThanOrEqual(0);
    for (const left of [SIGN_EXPIRY + 1, undefined]) {
      note(presence, "b1/status", "online", left);
      expect(seen()?.heard).toBeUndefined();
      // Nor does anything else make it one of which signs are awaited.
      presence.hear("b1");
      expect(seen()?.heard).toBeUndefined();
      note(presence, "b1/status", "online", SIGN_EXPIRY);
    }
    note(presence, "b1/status", "online", 5);
    expect(note(presence, "b1/status", "offline", 5)).toBe(true);
    expect([seen()?.heard, presence.isOnline("b1"), presence.of("all")]).toEqual([
      undefined,
      false,
      ["b1"],
    ]);
    expect(note(presence, "b1/status", "")).toBe(true);
    expect([seen()?.status, presence.of("all")]).toEqual([undefined, []]);
    for (const other of [
      "b2/status/x",
      "b2/about/x",
      "b2/api",
      "b2/api/x/y",
      "b2/other",
      "b2/call/x",
    ])
      expect(note(presence, other, "online")).toBeUndefined();
    expect([...presence.boards.keys()]).toEqual(["b1"]);
  });
  test("what it says of itself: only what fits, as long as it is not too long, and its groups", () => {
    const presence = new Presence();
    const about = (value: unknown) =>
      note(presence, "b1/about", typeof value === "string" ? value : JSON.stringify(value));
    const seen = () => presence.boards.get("b1")?.about;
    const all = {
      ...{ version: "1", arch: "x64", start: "s", groups: ["g", "h"], apis: ["a"] },
      limits: { window: 1, largest: 2, expiry: 3 },
    };
    expect([about(all), about(all)]).toEqual([true, false]);
    expect(seen()).toEqual(all);
    const none = { groups: [], apis: [], limits: {} };
    expect(
      about({
        version: 1,
        arch: 1,
        start: 1,
        groups: "g",
        apis: {},
        limits: { window: "1", largest: "", expiry: null },
      }),
    ).toBe(true);
    expect(seen()).toEqual(none);
    expect([about([]), about("x"), about({ limits: 1 })]).toEqual([false, false, false]);
    for (const limit of [-5, 0, 0.5, 1e99])
      expect(about({ limits: { window: limit, largest: limit, expiry: limit } })).toBe(false);
    about({
      groups: Array.from({ length: 257 }, (_, i) => `g${i}`),
      apis: [...Array.from({ length: 1001 }, (_, i) => `a${i}`), 5],
    });
    expect([seen()?.groups.length, seen()?.apis.length]).toEqual([256, 1000]);
    about({ groups: [1, "g"] });
    expect(seen()?.groups).toEqual(["g"]);
    const long = (length: number) => `{"version":"v"}`.padEnd(length);
    about(long(64 << 10));
    expect(seen()?.version).toBe("v");
    about(long((64 << 10) + 1));
    expect(seen()).toEqual(none);
    for (const [board, groups] of [
      ["b3", ["g"]],
      ["b2", ["g", "h"]],
    ] as const) {
      note(presence, `${board}/about`, JSON.stringify({ groups }));
      note(presence, `${board}/status`, "offline");
    }
    expect([presence.of("g"), presence.of("h"), presence.of("all"), presence.of("x")]).toEqual([
      ...[["b2", "b3"], ["b2"], ["b2", "b3"], []],
    ]);
  });
  test("of its APIs so many, and so much, until somebody has taken that", () => {
    const presence = new Presence();
    const api = (name: string | number, payload: string) =>
      note(presence, `b1/api/${name}`, payload);
    expect([api("a", "[1]"), api("a", ""), api("a", "")]).toEqual([true, true, false]);
    for (let i = 0; i < 1000; i++) expect(api(i, "1")).toBe(true);
    expect(api("more", "1")).toBe(false);
    expect([
      presence.takeApis("b1").get("0"),
      presence.takeApis("b1").size,
      presence.takeApis("b2").size,
    ]).toEqual([1, 0, 0]);
    const [all] = [" ".repeat((4 << 20) - 1)];
    expect(note(presence, "b2/api/a", `${all}1`)).toBe(true);
    const half = " ".repeat((2 << 20) - 1);
    expect([api("x", `${half}1`), api("y", `${half}2`), api("z", "3")]).toEqual([
      true,
      true,
      false,
    ]);
    expect(presence.takeApis("b1").size).toBe(2);
    expect(api("z", "3")).toBe(true);
  });
});

test("no more boards are known than there can be", () => {
  const presence = new Presence();
  const note = (board: string) => presence.note(board, "status", [], Buffer.from("online"));
  note("b1");
  Object.defineProperty(presence.boards, "size", { value: 999_999, configurable: true });
  expect(note("b2")).toBe(true);
  Object.defineProperty(presence.boards, "size", { value: 1_000_000 });
  expect([note("b3"), note("b1")]).toEqual([undefined, false]);
});

test("topics, each with its levels", () => {
  const topics = new Topics("p/q");
  expect([
    ...[topics.status("b"), topics.about("b"), topics.api("b", "a"), topics.call("b", "o", "a/v")],
    ...[topics.groupCall("g", "o", "a/v"), topics.out("b", "o", "1"), topics.flow("b", "o", "1")],
  ]).toEqual([
    ...["p/q/b/status", "p/q/b/about", "p/q/b/api/a", "p/q/b/call/o/a/v"],
    ...["p/q/_group/g/call/o/a/v", "p/q/b/out/o/1", "p/q/b/flow/o/1"],
  ]);
  const flow = (topic: string) => topics.readFlow(topic, "b");
  expect(flow("p/q/b/flow/o/1")).toEqual({ operator: "o", id: "1" });
  for (const none of [
    "p/q/c/flow/o/1",
    "p/q/b/call/o/1",
    "p/q/b/flow/_o/1",
    "p/q/b/flow/o/",
    "p/q/b/flow/o/1/2",
    "p/q/b/flow/o",
    "x/q/b/flow/o/1",
  ])
    expect(flow(none)).toBeUndefined();
  expect(topics.readBoard("p/q/b/api/a")).toEqual({ board: "b", kind: "api", rest: ["a"] });
  for (const none of ["p/q/_group/x", "p/q/b", "p/q", "p/qq/b/status"])
    expect(topics.readBoard(none)).toBeUndefined();
  expect(["a", "A.b_c-d", "x".repeat(64)].map(isName)).toEqual([true, true, true]);
  expect(["", "_a", ".a", "a/b", "a+", "x".repeat(65)].map(isName)).toEqual(Array(6).fill(false));
  expect(discoveryTopic("b.1 x", { prefix: "ha" })).toMatch(
    /^ha\/device\/b_1_x_[0-9a-f]{8}\/config$/,
  );
});

test("what came of a call, as its answers tell", () => {
  const reply = (status: string, response?: unknown) =>
    ({ request: { status, info: "" }, response }) as never;
  const results = [
    [reply("success"), true],
    [reply("success", { status: { exit: 0 } }), true],
    [reply("success", { status: { exit: 1 } }), true],
    [reply("success", { status: { signal: "x" } }), true],
    [reply("success", { status: "x" }), true],
    [reply("timeout"), false],
    [reply("denied"), true],
    [reply("denied"), false],
  ] as const;
  expect(results.map(([one, isAccepted]) => resultOf(one, isAccepted))).toEqual([
    ...(["ok", "ok", "error", "error", "ok", "timeout", "error", "refused"] as const),
  ]);
  expect(countsOf(["ok", "ok", "error"].map((result) => ({ result: result as "ok" })))).toEqual({
    ok: 2,
    error: 1,
  });
  expect(["accepted", "event", "part", "reply", "other", 1].map(kindOf)).toEqual([
    ...(["accepted", "event", "part", "reply", undefined, undefined] as const),
  ]);
  expect([jsonOf("[1]"), jsonOf("[")]).toEqual([[1], undefined]);
  expect(replyOf('{"request":{"status":"x"}}')).toEqual({ request: { status: "x" } } as never);
  for (const none of [
    "1",
    "{}",
    '{"request":1}',
    '{"request":{"status":1}}',
    '{"request":{"status":"x","info":1}}',
  ])
    expect(replyOf(none)).toBeUndefined();
});

describe("a fleet file", () => {
  const within = <T>(run: (dir: string) => T): T => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-fleet-"));
    try {
      return run(dir);
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  const load = (content: object) =>
    within((dir) => {
      const file = join(dir, "fleet.json");
      writeFileSync(file, JSON.stringify(content));
      return loadFleet(file);
    });
  test("says all that is left open, and what is said stays", () => {
    expect(load({ broker: "mqtt://localhost", board: "b" })).toMatchObject({
      ...{ broker: { host: "localhost", port: 1883, tls: false }, board: "b", operator: undefined },
      ...{ groups: [], prefix: "sb/v1", expiry: 60, window: 64, largest: 262_144, keepalive: 30 },
      ...{ describe: true, homeassistant: undefined },
    });
    const given = {
      ...{
        board: "b",
        operator: "o",
        prefix: "x",
        expiry: 1,
        window: 2,
        largest: 2048,
        keepalive: 5,
      },
      ...{ describe: false, homeassistant: { operator: "ha", prefix: "y" } },
    };
    expect(load({ broker: "mqtt://localhost:7", groups: ["g", "h", "g"], ...given })).toMatchObject(
      {
        ...{ ...given, groups: ["g", "h"], broker: { port: 7 } },
      },
    );
    const home = load({ broker: "mqtt://localhost", homeassistant: { operator: "ha" } });
    expect(home.homeassistant).toEqual({ operator: "ha", prefix: "homeassistant" });
  });
  test("says what is wrong with it, all at once", () => {
    const problems = (content: object) => {
      try {
        load(content);
        return [];
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.problems.map(({ path, message, file }) => {
          expect(file).toEndWith("/fleet.json");
          return `${path}: ${message}`;
        });
      }
    };
    const plain = "certificates are for mqtts:";
    expect(problems({ broker: "http://x" })).toEqual([
      'broker: expected mqtts://HOST[:PORT], not "http://x"',
    ]);
    expect(problems({ broker: "mqtt://localhost", ca: "c" })).toEqual([`broker: ${plain}`]);
    expect(problems({ broker: "mqtt://localhost", cert: "c", key: "k" })).toEqual([
      `broker: ${plain}`,
    ]);
    expect(problems({ broker: "mqtt://localhost", cert: "c" })).toEqual([
      ...["key: cert and key go together", `broker: ${plain}`],
    ]);
    expect(problems({ broker: "mqtts://h", key: "k" })).toEqual(["cert: cert and key go together"]);
    expect(problems({ broker: "mqtt://localhost", groups: ["g", "+"], window: 0 })).toHaveLength(2);
    const [missing, ...more] = problems({ broker: "mqtts://h", password: "nowhere" });
    expect([missing?.startsWith(": "), missing?.includes("nowhere"), more]).toEqual([
      ...[true, true, []],
    ]);
    expect(problems({ board: "b" })).toHaveLength(1);
  });
  test("has numbers within their bounds, and texts that say something", () => {
    const broker = "mqtt://localhost";
    for (const [key, least, most] of [
      ["expiry", 1, 604_800],
      ["window", 1, 512],
      ["largest", 1024, 4 << 20],
      ["keepalive", 5, 3600],
    ] as const) {
      for (const value of [least, most]) expect(load({ broker, [key]: value })[key]).toBe(value);
      for (const value of [least - 1, most + 1])
        expect(() => load({ broker, [key]: value })).toThrow(key);
    }
    const files = (names: string) => ({ broker: "mqtts://h", ca: names, cert: names, key: names });
    const said = (content: object) => {
      try {
        load(content);
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    // There is none of that name.
    expect(said(files("x"))).toContain("/x");
    for (const key of ["ca", "cert", "key"]) expect(said(files(""))).toMatch(`${key}: `);
    expect(said({ broker, password: "" })).toContain("password: ");
    expect(said({ broker: "" })).not.toContain("mqtts://HOST[:PORT], not");
    // One letter is no broker either, but something was said.
    expect(said({ broker: "x" })).toContain('mqtts://HOST[:PORT], not "x"');
  });
  test("its certificate is one that its key fits", () => {
    const days = { from: new Date(), days: 1 };
    const [one, other] = ["a", "b"].map((name) =>
      makeClient(makeAuthority("x", days.from), name, days),
    );
    within((dir) => {
      const put = (name: string, text = "") => {
        writeFileSync(join(dir, name), text, { mode: 0o600 });
        return join(dir, name);
      };
      const [cert, key] = [put("a.pem", one?.cert), put("a.key", one?.key)];
      expect(readSecrets({ cert, key })).toMatchObject({
        ...{ cert: Buffer.from(one?.cert ?? ""), minVersion: "TLSv1.2" },
      });
      expect(() => readSecrets({ cert, key: put("b.key", other?.key) })).toThrow();
      expect(readSecrets({ ca: cert })).not.toHaveProperty("password");
    });
  });
  test("names a broker, and nothing besides", () => {
    expect([parseBroker("mqtts://h/").port, parseBroker("mqtts://h:1").port]).toEqual([8883, 1]);
    for (const more of ["mqtts://u@h", "mqtts://:p@h", "mqtts://h/x", "mqtts://h?x"])
      expect(() => parseBroker(more)).toThrow("nothing besides: names and files have keys");
    expect(() => parseBroker("mqtts://h:0")).toThrow("no broker is met at port 0");
  });
  test("its password is one line, which others cannot read", () => {
    const password = (text: string, mode = 0o640) =>
      within((dir) => {
        const file = join(dir, "password");
        writeFileSync(file, text);
        chmodSync(file, mode);
        return readSecrets({ password: file }).password;
      });
    expect(["p\n", "p\r\n", "p", "p\n\n", " p "].map((text) => password(text))).toEqual([
      ...["p", "p", "p", "p\n", " p "],
    ]);
    expect(password("x".repeat(4096))).toHaveLength(4096);
    expect(() => password("x".repeat(4097))).toThrow();
    for (const mode of [0o644, 0o641])
      expect(() => password("p", mode)).toThrow(
        /password: others can read or change this password: chmod o= \/.*password/,
      );
    expect(readSecrets({}).password).toBeUndefined();
  });
});

test("why a broker ends a connection, as far as people can do something about it", () => {
  expect([0x87, 0x8b, 0x8d, 0x8e, 0x95, 0x97, 0x80, undefined].map(reasonOf)).toEqual([
    "not authorized",
    "it is shutting down",
    "nothing was heard of this for too long",
    "another client has the same name: each board needs its own",
    "a packet was too large for it",
    "there was too much for it",
    "128",
    "undefined",
  ]);
});
