import { describe, expect, test } from "bun:test";
import { type RegistryOptions } from "../../src/api/registry.ts";
import { compileParams } from "../../src/config/params.ts";
import { openApi } from "../../src/server/openapi.ts";
import { Log } from "../../src/log.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import type { ActionPlan, ActionPlans, Plan } from "../../src/plan/plan.ts";
import type { PluginFunction } from "../../src/plugins/plugin.ts";
import { parseReference } from "../../src/plugins/reference.ts";
import { apiOf, connecting, granting, shell, TestClient } from "./harness.ts";

const make = connecting();

const action = (uid: string, reference: string, more: Partial<ActionPlan> = {}): ActionPlan => ({
  uid,
  action: reference,
  target: parseReference(reference),
  required: false,
  ...more,
});

const echo = (verb: string, overrides: Partial<Plan> = {}) =>
  shell(verb, "", {
    argv: parseTemplate("/bin/echo", ["?text?"], (text) => text),
    encoder: { name: "sync", opts: {} },
    ...overrides,
  });

function connect(
  actions: Partial<ActionPlans>,
  functions: Record<string, PluginFunction> = {},
  more: Partial<RegistryOptions> & { plans?: Plan[] } = {},
) {
  const none = { onload: [], onstart: [], events: [], extra: [] };
  const lines: string[] = [];
  const made = make([], {
    apis: [
      apiOf(more.plans ?? [echo("echo")], {
        plugins: [{ uid: "plug", files: [] }],
        actions: { ...none, ...actions },
      }),
    ],
    log: new Log((line) => lines.push(line)),
    loadPlugin: ({ uid }) => ({
      uid,
      encoders: new Map(),
      functions: new Map(Object.entries(functions)),
      open() {},
      close() {},
      end() {},
    }),
    ...more,
  });
  return { ...made, lines };
}

const told = async (client: TestClient) =>
  ((await client.call("info")).response as { actions: object[] }).actions;

describe("onload and onstart", () => {
  test("in order, one after the other; a failure is logged, in info, and stops nothing", async () => {
    const order: string[] = [];
    const step: PluginFunction = async (args) => {
      order.push(`${String(args)} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${String(args)} ends`);
    };
    const fail = () => Promise.reject(new Error("no sensor"));
    const { registry, client, lines } = connect(
      {
        onstart: [action("s", "plugin://plug#step", { args: "onstart" })],
        onload: [
          action("a", "plugin://plug#step", { args: "onload" }),
          action("b", "plugin://plug#fail"),
          action("c", "api://p#echo", { args: "nonsense" }),
          action("x", "api://p#echo", { args: { nonsense: 1 } }),
          action("d", "api://P#Echo"),
        ],
      },
      { step, fail },
    );
    expect((await told(client))[0]).toEqual({
      uid: "a",
      when: "onload",
      action: "plugin://plug#step",
      calls: 0,
      failures: 0,
    });
    await registry.start();
    expect(order).toEqual(["onload begins", "onload ends", "onstart begins", "onstart ends"]);
    expect(lines).toEqual([
      "error: p: onload b: plugin://plug#fail: no sensor",
      "error: p: onload c: api://p#echo: the command expects an object with the keys text",
      "notice: p: onload x: api://p#echo: ignored: `nonsense`; known arguments: text",
    ]);
    expect(JSON.stringify(await told(client))).toBe(
      '[{"uid":"a","when":"onload","action":"plugin://plug#step","calls":1,"failures":0},' +
        '{"uid":"b","when":"onload","action":"plugin://plug#fail","calls":1,"failures":1,"failure":"no sensor"},' +
        '{"uid":"c","when":"onload","action":"api://p#echo","calls":1,"failures":1,"failure":"the command expects an object with the keys text"},' +
        '{"uid":"x","when":"onload","action":"api://p#echo","calls":1,"failures":0},' +
        '{"uid":"d","when":"onload","action":"api://P#Echo","calls":1,"failures":0},' +
        '{"uid":"s","when":"onstart","action":"plugin://plug#step","calls":1,"failures":0}]',
    );
  });

  test("one that is required and fails stops the start", async () => {
    const fail = () => {
      throw new Error("no sensor");
    };
    const required = action("b", "plugin://plug#fail", { required: true });
    const { registry } = connect({ onload: [required] }, { fail });
    await expect(registry.start()).rejects.toThrow("p: onload b: required, and failed: no sensor");
  });

  test("the server may do what callers may not", async () => {
    const plans = [echo("secret", { privileges: ["urn:x"] })];
    const { registry, client } = connect(
      { onload: [action("a", "api://p#secret", { required: true })] },
      {},
      { plans, granted: granting() },
    );
    await registry.start();
    expect((await client.call("secret")).request.status).toBe("insufficient-scope");
    const forged = await registry.call({
      api: "p",
      verb: "secret",
      args: {},
      session: { uuid: "server" },
    });
    expect(forged.request.status).toBe("insufficient-scope");
  });
});

describe("events", () => {
  test("are done with their data, in order", async () => {
    const seen: unknown[] = [];
    const done = Promise.withResolvers<void>();
    const note: PluginFunction = (args) => {
      seen.push(args);
      if (JSON.stringify(args).includes("final-event")) done.resolve();
    };
    const plans = [shell("seq", "seq 1 3", { encoder: { name: "line", opts: {} } })];
    const args = { data: "%data%", list: ["<%data%>"], n: 1 };
    const { client } = connect(
      { events: [action("P/SEQ", "plugin://plug#note", { args })] },
      { note },
      { plans },
    );
    const reply = await client.call("seq");
    const { pid } = reply.response as { pid: number };
    await done.promise;
    const data = { type: "data", pid, stdout: "1" };
    expect(seen[0]).toEqual({ data, list: [`<${JSON.stringify(data)}>`], n: 1 });
    expect(JSON.stringify(seen)).toMatch(/"1".*"2".*"3".*final-event/);
  });

  test("without args a command gets of the data what it declares, checked, and nothing else", async () => {
    const params = compileParams(
      {
        pid: { type: "integer" },
        text: { type: "string", default: "none" },
        stdout: { enum: ["1", "3"] },
      },
      "params",
      (at, message) => expect.unreachable(`${at}: ${message}`),
    );
    const argv = parseTemplate("/bin/echo", ["%pid%", "?text?", "?stdout?"], (text) => text);
    const plans = [
      shell("seq", "seq 1 3", { encoder: { name: "line", opts: {} } }),
      echo("strict", { argv, params }),
      echo("lenient", { argv }),
    ];
    const events = [
      action("seq", "api://p#strict"),
      action("seq", "api://p#lenient"),
      action("seq", "api://p#strict", { args: "%data%" }),
      action("seq", "plugin://plug#pass"),
    ];
    const { client, lines } = connect(
      { events },
      { pass: (args, { call }) => call("p", "strict", args) },
      { plans },
    );
    await client.call("seq");
    await client.until("final-event");
    const done = async () => {
      const all = (await told(client)) as { calls: number; failures: number }[];
      return all.map(({ calls, failures }) => [calls, failures]);
    };
    while ((await done()).some(([calls]) => calls !== 4)) await Bun.sleep(10);
    await Bun.sleep(100);
    // Of three lines and an end: one line is none of the enumeration. What is written in the config, or by a plugin, is meant.
    expect(await done()).toEqual([
      [4, 1],
      [4, 0],
      [4, 4],
      [4, 4],
    ]);
    const said = lines.filter((line) => line.startsWith("error"));
    expect(said[0]).toContain("unknown argument");
    expect(said.filter((line) => line.includes("argument `stdout`"))).toHaveLength(1);
    // As a client's call it would be refused.
    const refused = await client.call("strict", { pid: 1, type: "data" });
    expect(refused.request.info).toContain("`type`");
  });

  test("too many are left out and told; the task does not wait", async () => {
    const gate = Promise.withResolvers<void>();
    const plans = [shell("seq", "seq 1 100", { encoder: { name: "line", opts: {} } })];
    const { client, lines } = connect(
      { events: [action("seq", "plugin://plug#slow")] },
      { slow: () => gate.promise },
      { plans },
    );
    await client.call("seq");
    await client.until("final-event");
    gate.resolve();
    expect(lines[0]).toBe(
      "error: p: events seq: plugin://plug#slow: an event was left out: 64 are waiting already",
    );
    const [slow] = (await told(client)) as { failures: number }[];
    // 101 events: one under way at most, 64 waiting.
    expect(slow?.failures).toBeWithin(36, 38);
  });

  test("a client that goes", async () => {
    const gone = Promise.withResolvers<unknown>();
    const { client } = connect(
      { events: [action("monitor/disconnected", "plugin://plug#gone", { args: "%data%" })] },
      { gone: (args) => gone.resolve(args) },
    );
    await client.call("ping");
    client.disconnect();
    expect(await gone.promise).toEqual({ uuid: "test-session" });
  });
});

describe("extra", () => {
  const extra = [
    action("say", "api://p#echo", { info: "says hi", args: { text: "hi" } }),
    action("any", "api://p#echo"),
    action("call", "plugin://plug#call"),
    action("bad", "plugin://plug#bad"),
    action("own", "plugin://plug#own"),
  ];
  const functions: Record<string, PluginFunction> = {
    call: async (args, { api, call }) => ({ api, pong: await call("p", "ping"), args }),
    bad: (_args, { call }) => call("p", "nothing"),
    own: () => {
      throw Object.assign(new Error("too hot"), { status: "overheated", code: -1001 });
    },
  };

  test("verbs that stand for others, with the config's arguments first", async () => {
    const { client } = connect({ extra }, functions);
    const output = async (verb: string, args?: unknown) =>
      ((await client.call(verb, args)).response as { stdout: string[] }).stdout;
    expect(await output("say", { text: "other" })).toEqual(["hi"]);
    expect(await output("ANY", { text: "other" })).toEqual(["other"]);
    expect((await client.call("call", [1])).response).toEqual({
      api: "p",
      pong: "pong=1",
      args: [1],
    });
  });

  test("their errors are replies, also those of a plugin", async () => {
    const { client } = connect({ extra }, functions);
    expect((await client.call("bad")).request.status).toBe("unknown-verb");
    await client.call("own");
    expect(client.wire.at(-1)).toBe(
      '[4,"2",{"jtype":"afb-reply","request":{"status":"overheated","info":"too hot","code":-1001}}]',
    );
  });

  test("are described by the verbs they stand for, without what the config gives", () => {
    const more = action("part", "api://p#echo", { args: { else: 1 } });
    const { registry } = connect({ extra: [...extra, more] }, functions);
    const [api] = registry.describe();
    const of = (name: string) => {
      const { parameters = [], task } = api?.verbs.find((verb) => verb.name === name) ?? {};
      return { names: parameters.map((parameter) => parameter.name), task };
    };
    expect(of("echo")).toEqual({ names: ["text"], task: true });
    expect(of("any")).toEqual(of("echo"));
    expect(of("part")).toEqual({ names: ["text"], task: undefined });
    expect(of("say")).toEqual({ names: [], task: undefined });
    expect(of("call")).toEqual({ names: [], task: undefined });
  });

  test("give nobody a privilege", async () => {
    const plans = [echo("echo", { privileges: ["urn:x"] })];
    const { client } = connect({ extra }, functions, { plans, granted: granting() });
    expect((await client.call("say")).request.status).toBe("insufficient-scope");
  });

  test("ask a person where the verb they stand for does, and that is told wherever verbs are described", async () => {
    const plans = [echo("echo", { confirm: true }), echo("free")];
    const more = [...extra.slice(0, 2), action("other", "api://p#free")];
    const { client, registry } = connect({ extra: more }, functions, { plans });
    const asking = ["echo", "say", "any"];
    const [api] = registry.describe();
    const described = api?.verbs.filter(({ confirm }) => confirm).map(({ name }) => name);
    expect(described).toEqual(asking);
    const { groups } = (await client.call("info")).response as {
      groups: { verbs: { uid: string; confirm?: unknown }[] }[];
    };
    const told = groups.flatMap(({ verbs }) => verbs).filter(({ confirm }) => confirm === true);
    expect(told.map(({ uid }) => uid)).toEqual(asking);
    const about = JSON.stringify(await client.call("get", { apis: "p" }, { api: "monitor" }));
    expect(about.match(/"x-confirm":true/g)).toHaveLength(3);
    const { paths } = openApi(registry.describe(), "1") as { paths: object };
    expect(JSON.stringify(paths).match(/"x-confirm":true/g)).toHaveLength(3 * 3);
  });

  test("are in info and in the list", async () => {
    const { client, registry } = connect({ extra: extra.slice(0, 1) }, functions);
    expect(registry.list()[0]?.verbs).toEqual(["ping", "info", "echo", "say"]);
    expect(JSON.stringify((await client.call("info")).response)).toContain(
      '{"uid":"extra","verbs":[{"uid":"say","verb":"say","info":"says hi","usage":{},"action":"api://p#echo"}]}',
    );
  });
});
