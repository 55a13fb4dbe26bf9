/** Parts of the API that need no task: each refusal in its words, each bound on both sides. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Admission, type Place, type Waiting } from "../../src/api/admission.ts";
import { Action } from "../../src/api/actions.ts";
import { declaredOf } from "../../src/api/declared.ts";
import { EventActions } from "../../src/api/event-actions.ts";
import { parsePiece } from "../../src/api/feeding.ts";
import { Lossy, SHARE, TOTAL } from "../../src/api/lossy.ts";
import { Patience } from "../../src/api/patience.ts";
import { createRegistry } from "../../src/api/registry.ts";
import { wireStatus } from "../../src/api/status.ts";
import { getVerbosity, setVerbosity } from "../../src/api/verbosity.ts";
import { Backlog } from "../../src/backlog.ts";
import { Log } from "../../src/log.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import { asUser, compiled } from "../plan/compiling.ts";
import {
  apiOf,
  connecting,
  granting,
  paramsOf,
  registryOf,
  said,
  shell,
  spawnLaunch,
} from "./harness.ts";

const connect = connecting();

describe("a piece of input", () => {
  const of = (args: unknown, body?: string) => {
    const found = said(() =>
      parsePiece(
        { action: "input", args } as never,
        body === undefined ? undefined : Buffer.from(body),
      ),
    );
    if (typeof found === "string") return found;
    const { piece, target } = found as ReturnType<typeof parsePiece>;
    return [String(piece.data), piece.end, target.args];
  };
  test.each<[unknown, string | undefined, unknown]>([
    [{ pid: 1, data: "é" }, undefined, ["é", false, { pid: 1 }]],
    [{ id: "x", data: "" }, undefined, ["", false, { id: "x" }]],
    [{ pid: 1, base64: "YWI=" }, undefined, ["ab", false, { pid: 1 }]],
    [{ pid: 1, base64: "" }, undefined, ["", false, { pid: 1 }]],
    [{ pid: 1, end: true }, undefined, ["", true, { pid: 1 }]],
    [{ pid: 1, end: "true", data: "a" }, undefined, ["a", true, { pid: 1 }]],
    [{ pid: 1, end: false }, undefined, ["", false, { pid: 1 }]],
    [{ pid: 1 }, "body", ["body", false, { pid: 1 }]],
    [
      ...(["x", undefined] as const),
      'invalid-request: input needs {"pid":N,"data":"TEXT"}, or "base64" for bytes; "end":true ends it',
    ],
    [{ pid: 1 }, undefined, "invalid-request: input needs data, base64, a body or end"],
    [{ pid: 1 }, "", "invalid-request: input needs data, base64, a body or end"],
    [{ data: "a" }, undefined, "invalid-request: input needs pid or id"],
    [
      { pid: 1, data: "a", base64: "" },
      undefined,
      "invalid-request: give one of data, base64 and a body",
    ],
    [{ pid: 1, data: "a" }, "b", "invalid-request: give one of data, base64 and a body"],
    [
      { pid: 1, data: 5 },
      undefined,
      "invalid-request: data must be a text, not 5; bytes go into base64",
    ],
    [{ pid: 1, data: "\ud800" }, undefined, expect.stringContaining("data must be a text, not")],
    ...["a", "YWI", "YW I", "Y===", "é"].map((base64): [unknown, undefined, unknown] => [
      { pid: 1, base64 },
      undefined,
      `invalid-request: base64 must be a text as RFC 4648 has it, not "${base64}"`,
    ]),
    [
      { pid: 1, base64: 5 },
      undefined,
      "invalid-request: base64 must be a text as RFC 4648 has it, not 5",
    ],
  ])("%j with the body %j", (args, body, expected) => {
    expect(of(args, body) as unknown).toEqual(expected);
  });
});

describe("arguments that a command does not have", () => {
  const declared = (args: unknown, names: string[], params?: object, offered = false) => {
    const argv = parseTemplate(
      "/x",
      names.map((name) => `%${name}%`),
      (text) => text,
    );
    return declaredOf(
      { argv, ...(params && { params: paramsOf(params as Record<string, unknown>) }) },
      args,
      offered,
    );
  };
  type Given = [args: unknown, names: string[], params?: object, offered?: boolean];
  test.each<[string, Given, unknown, string[]]>([
    ["all there", [{ a: 1 }, ["a"]], { a: 1 }, []],
    ["a start", [true, []], undefined, []],
    ["in a word", ["START", []], undefined, []],
    ["which is a value where there are arguments", ["start", ["a"]], "start", []],
    ["others", ["stop", []], "stop", []],
    [
      "one more",
      [{ a: 1, zzz: 2 }, ["a", "b"]],
      { a: 1 },
      ["ignored: `zzz`; known arguments: a, b"],
    ],
    [
      "none left",
      [{ fil: 2 }, ["file"]],
      undefined,
      ["ignored: `fil`; did you mean `file`?; known arguments: file"],
    ],
    ["of none", [{ x: 2 }, []], undefined, ["ignored: `x`; the command takes no arguments"]],
    [
      "five",
      [{ p: 1, q: 1, r: 1, s: 1, t: 1 }, []],
      undefined,
      ["ignored: `p`, `q`, `r`, `s`, `t`; the command takes no arguments"],
    ],
    [
      "six",
      [{ p: 1, q: 1, r: 1, s: 1, t: 1, u: 1 }, []],
      undefined,
      ["ignored: `p`, `q`, `r`, `s`, `t`, and 1 more; the command takes no arguments"],
    ],
    [
      "a long one",
      [{ ["n".repeat(40)]: 1 }, []],
      undefined,
      [`ignored: \`${"n".repeat(40)}\`; the command takes no arguments`],
    ],
    [
      "a longer one",
      [{ ["n".repeat(41)]: 1 }, []],
      undefined,
      [`ignored: \`${"n".repeat(40)}…\`; the command takes no arguments`],
    ],
    [
      "where a config says what there is",
      [{ x: 1 }, ["a"], { a: { type: "string" } }],
      { x: 1 },
      [],
    ],
    [
      "but for what is only offered",
      [{ zzz: 1 }, ["a"], { a: { type: "string" } }, true],
      undefined,
      ["ignored: `zzz`; known arguments: a"],
    ],
  ])("%s", (_what, given, args, notices) => {
    expect(declared(...given)).toEqual({ args, notices });
  });
});

test("an outcome on the wire has its keys in order, and those alone that it has", () => {
  const usage = { wall: 1, user: 2, system: 3, maxrss: 4 };
  expect(JSON.stringify(wireStatus({ exit: 0, usage }))).toBe(
    `{"exit":0,"usage":${JSON.stringify(usage)}}`,
  );
  const all = {
    exit: 1,
    signal: 9,
    cause: "timeout",
    others: 2,
    usage,
    syscall: "x",
    denied: { a: 1 },
    logged: { b: 2 },
  };
  expect(JSON.stringify(wireStatus(all as never))).toBe(
    `{"exit":1,"signal":"Killed","info":"timeout","cause":"timeout","others":2,"usage":${JSON.stringify(usage)},"syscall":"x","denied":{"a":1},"logged":{"b":2}}`,
  );
  expect(wireStatus({ signal: 15, cause: "stopped", usage } as never)).toEqual({
    ...{ signal: "Terminated", cause: "stopped", usage },
  });
});

describe("a client that has not read", () => {
  const isPlace = (given: Place | Waiting): given is Place => "leave" in given;
  const asking = (peer: string) => ({ from: { peer, connection: {} }, session: { uuid: peer } });
  test("[protection] starts nothing until it has, and others do; nor is the server held back", async () => {
    const backlog = new Backlog(1000, 0);
    // By nothing else: no launch that hangs gives others their turn.
    const admission = new Admission({ backlog, slow: 3_600_000, patience: 3_600_000 });
    const plan = shell("v", "");
    backlog.add("slow", 900);
    const held = admission.enter(plan, asking("slow"));
    if (isPlace(held)) throw new Error("it was let in");
    const entered: string[] = [];
    void held.place.then(() => entered.push("slow"));
    backlog.add("", 90);
    for (const peer of ["other", ""]) {
      const given = admission.enter(plan, asking(peer));
      if (!isPlace(given)) await given.place;
    }
    expect([entered, admission.load]).toEqual([[], { running: 2, waiting: 1 }]);
    backlog.add("slow", -900);
    await held.place;
    expect([entered, admission.load]).toEqual([["slow"], { running: 3, waiting: 0 }]);
    backlog.add("", -90);
    // And so it is the next time.
    backlog.add("slow", 900);
    const again = admission.enter(plan, asking("slow"));
    if (isPlace(again)) throw new Error("it was let in");
    backlog.add("slow", -900);
    await again.place;
  });
});

test("patience is given back, a twentieth of the time that goes by, and no more than there was", async () => {
  let now = 0;
  const patience = new Patience(() => now);
  expect(patience.over).toBe(false);
  // All of it is used up by one who reads a second later.
  const ready = Promise.withResolvers<void>();
  const waited = patience.wait(ready.promise);
  now = 1000;
  ready.resolve();
  await waited;
  expect(patience.over).toBe(true);
  now += 19;
  expect(patience.over).toBe(true);
  now += 1;
  expect(patience.over).toBe(false);
  now += 1e9;
  const again = patience.wait(Promise.resolve());
  now += 990;
  await again;
  expect(patience.over).toBe(false);
  const last = patience.wait(Promise.resolve());
  now += 200;
  await last;
  expect(patience.over).toBe(true);
  // Of a moment more than that nothing is used up.
  now += 30;
  const moment = patience.wait(Promise.resolve());
  now += 5;
  await moment;
  expect(patience.over).toBe(true);
  // A turn of the event loop it has all the same.
  await patience.wait(new Promise(() => {}));
});

test("events to one that nothing waits for: full as long as it has not taken what it was sent", async () => {
  const gate = Promise.withResolvers<void>();
  const client = { backlog: 0, send: (): void | Promise<void> => gate.promise };
  const told: string[] = [];
  const lossy = new Lossy(client as never, "e", () => void told.push("resumed"));
  expect([lossy.full, lossy.stalled]).toEqual([false, undefined]);
  lossy.send({});
  client.backlog = SHARE - 1;
  expect(lossy.full).toBe(false);
  client.backlog = SHARE;
  expect(lossy.full).toBe(true);
  lossy.send({});
  gate.resolve();
  await lossy.stalled;
  expect([lossy.full, lossy.stalled, told]).toEqual([false, undefined, ["resumed"]]);
  client.send = () => undefined;
  lossy.send({});
  expect(lossy.stalled).toBeUndefined();
});

test("events to many that nothing waits for: full once all together have what they may", async () => {
  // A sum of its own: others in this process may have clients that never read.
  const own = join(import.meta.dir, "../../src/api/lossy.ts?own");
  const { Lossy } = (await import(own)) as typeof import("../../src/api/lossy.ts");
  const gate = Promise.withResolvers<void>();
  const of = (backlog: number) => {
    const lossy = new Lossy({ backlog, send: () => gate.promise } as never, "e", () => {});
    lossy.send({});
    return lossy;
  };
  const all = Array.from({ length: TOTAL / SHARE - 1 }, () => of(SHARE));
  const other = of(SHARE - 1);
  expect(other.full).toBe(false);
  const last = of(1);
  expect([other.full, last.full]).toEqual([true, true]);
  gate.resolve();
  await Promise.all([...all, other, last].map(({ stalled }) => stalled));
  expect(of(SHARE - 1).full).toBe(false);
});

test("levels: of the server, of an API, of all", () => {
  const log = new Log(() => {});
  const apis = ["a", "b"];
  setVerbosity("debug", apis, log);
  expect(getVerbosity(true, apis, log)).toEqual({ "": "debug", a: "debug", b: "debug" });
  setVerbosity({ a: "Error", "": "notice" }, apis, log);
  expect(getVerbosity("true", apis, log)).toEqual({ "": "notice", a: "error", b: "debug" });
  for (const value of [false, "false"])
    expect(getVerbosity(value, apis, log)).toEqual({ "": "notice" });
  expect(getVerbosity("b", apis, log)).toEqual({ b: "debug" });
  expect(getVerbosity(["a", ""], apis, log)).toEqual({ a: "error", "": "notice" });
  expect(said(() => setVerbosity({ b: "info", a: "debgu" }, apis, log))).toMatch(
    /^invalid-request: unknown level "debgu"; did you mean `debug`\? \(.*debug.*\)$/,
  );
  expect(said(() => setVerbosity(5, apis, log))).toMatch(/^invalid-request: unknown level 5 \(/);
  // Nothing of it was done.
  expect(getVerbosity("b", apis, log)).toEqual({ b: "debug" });
});

describe("events that wait for an action", () => {
  const make = (uid: string) => {
    const done: unknown[] = [];
    const failed: string[] = [];
    const gate = Promise.withResolvers<void>();
    const action = {
      plan: { uid },
      deps: { api: "p" },
      run: async (args: unknown) => {
        done.push(args);
        await gate.promise;
      },
      failed: (error: Error) => void failed.push(error.message),
    } as unknown as Action;
    return { action, done, failed, gate };
  };
  test("are done one after the other, in their order, and no more than so many wait", async () => {
    const { action, done, failed, gate } = make("V");
    const actions = new EventActions([action], ["p/v"]);
    expect([actions.empty, new EventActions([], []).empty]).toEqual([false, true]);
    actions.tell("p/other", 0);
    actions.tell("p/v", 1);
    expect(done).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.resolve();
    expect(done).toEqual([1]);
    for (let n = 2; n <= 66; n++) actions.tell("p/v", n);
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(done).toEqual([1]);
    expect(failed).toEqual(["an event was left out: 64 are waiting already"]);
    gate.resolve();
    while (done.length < 65) await new Promise((resolve) => setImmediate(resolve));
    expect(done).toEqual(Array.from({ length: 65 }, (_one, n) => n + 1));
  });
  test("of another API, by its full name in any case; and of what ends", async () => {
    const [full, gone] = [make("Q/W"), make("monitor/disconnected")];
    const actions = new EventActions([full.action, gone.action], ["q/w"]);
    full.gate.resolve();
    gone.gate.resolve();
    actions.tell("q/w", { a: 1 });
    actions.tell("monitor/disconnected", 5);
    while (full.done.length + gone.done.length < 2)
      await new Promise((resolve) => setImmediate(resolve));
    expect([full.done, gone.done]).toEqual([[{ a: 1 }], [5]]);
  });
});

describe("what cannot be served", () => {
  test("an encoder that is not there, of a plugin or of none", () => {
    const served = (encoder: object) => () =>
      createRegistry({
        ...{ apis: [apiOf([shell("v", "", { encoder } as never)])], launch: spawnLaunch },
        log: new Log(() => {}),
      });
    expect(served({ name: "none", opts: {} })).toThrow(new Error("p/v: no encoder none"));
    expect(served({ name: "none", plugin: "plug", opts: {} })).toThrow(
      new Error("p/v: no encoder none of the plugin plug"),
    );
  });
  test("an API of another binder by a name that is taken", () => {
    const foreign = [{ name: "p", remote: "x", info: "far", privileges: [], isPrivate: false }];
    expect(() => registryOf([shell("v", "")], { foreign: foreign as never })).toThrow(
      "p: an API of that name is here already: import it as OTHER@p",
    );
  });
});

test("who wants to hear of other verbs hears of them, until it does not any more", () => {
  const registry = registryOf([shell("v", "")]);
  const told: string[] = [];
  const forget = registry.onChange?.(() => void told.push("changed"));
  registry.replace([apiOf([shell("w", "")])]);
  registry.recheck();
  expect(told).toEqual(["changed", "changed"]);
  forget?.();
  registry.recheck();
  expect(told).toHaveLength(2);
});

test("what is no name is none, and a mistake of ours is not taken for that", () => {
  const registry = registryOf([shell("v", "")]);
  expect(registry.isFed?.({ api: "none", verb: "v" })).toBe(false);
  const broken = {
    api: "p",
    get verb(): string {
      throw new RangeError("bug");
    },
  };
  expect(() => registry.isFed?.(broken)).toThrow(new RangeError("bug"));
});

describe("sandboxes in words", () => {
  const commands = [
    { uid: "c", exec: { cmdpath: "/bin/sh" } },
    { uid: "d", privilege: "x", exec: { cmdpath: "/bin/sh" } },
  ];
  const apis = () => [compiled({ uid: "s", commands }, asUser)];
  const explain = async (args: unknown, ...granted: string[]) => {
    const { client } = connect([], { apis: apis(), granted: granting(...granted) });
    const { request, response } = await client.call("explain", args, { api: "monitor" });
    return request.status === "success" ? response : `${request.status}: ${request.info}`;
  };
  test("of whom it is told, and of which", async () => {
    const verbs = async (...given: Parameters<typeof explain>) =>
      ((await explain(...given)) as { verbs: string[] }[]).map((one) => one.verbs);
    expect(await verbs(undefined)).toEqual([["c"]]);
    expect(await verbs(null, "x")).toEqual([["c", "d"]]);
    expect(await verbs({ api: "T", sandbox: "S" }, "x")).toEqual([["c", "d"]]);
    for (const other of [{ api: "u" }, { sandbox: "u" }]) expect(await verbs(other)).toEqual([]);
    expect(await explain(5)).toBe('invalid-request: expects {"api":NAME,"sandbox":UID}');
    expect(await explain({ apis: "t" })).toBe('invalid-request: unknown key "apis" (api, sandbox)');
    expect(await explain({ api: 5 })).toBe("invalid-request: api: expected a name");
  });
  test("found out once", async () => {
    const { client } = connect([], { apis: apis() });
    const ask = async () => (await client.call("explain", {}, { api: "monitor" })).response;
    const first = await ask();
    expect(first).toEqual([
      {
        ...{ api: "t", sandbox: "s", verbs: ["c"] },
        steps: expect.any(Array),
        exposure: expect.any(Object),
        improvements: expect.any(Array),
      },
    ]);
    expect(await ask()).toEqual(first);
  });
});
