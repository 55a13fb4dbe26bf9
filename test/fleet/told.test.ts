/** What a board tells of itself, and how it is described to others: to the letter. */
import { describe, expect, spyOn, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import type { ApiDescription } from "../../src/api/verb.ts";
import { Announcing } from "../../src/fleet/announcing.ts";
import { asyncApi } from "../../src/fleet/asyncapi.ts";
import { aboutOf, apisOf, buttons } from "../../src/fleet/describe.ts";
import { discovery, discoveryTopic } from "../../src/fleet/discovery.ts";
import { SIGN_EXPIRY } from "../../src/fleet/presence.ts";
import { Guarded } from "../../src/fleet/guarded.ts";
import { Inflow } from "../../src/fleet/inflow.ts";
import { Link, type Publish } from "../../src/fleet/link.ts";
import { PacketMeter } from "../../src/fleet/meter.ts";
import { Topics } from "../../src/fleet/topics.ts";
import { until } from "../served.ts";
import { version } from "../../src/version.ts";

const topics = new Topics("sb/v1");
const verb = (name: string, more: object = {}) => ({
  ...{ name, parameters: [], privileges: [], task: true },
  ...more,
});
const API = { api: "boat", verbs: [verb("horn")] } as ApiDescription;
const limits = { groups: ["dock"], window: 5, largest: 6, expiry: 7 };
const told = (one: object) =>
  JSON.parse(apisOf([{ ...API, ...one } as ApiDescription]).get("boat") ?? "null") as unknown;

describe("an API is told", () => {
  test("with what it has", () => {
    const horn = { name: "horn", task: true, arguments: expect.any(Object) as object };
    expect(told({})).toEqual({ api: "boat", verbs: [horn] });
    expect(told({ info: "i", version: "1" })).toEqual({
      ...{ api: "boat", info: "i", version: "1" },
      verbs: [horn],
    });
    const full = { info: "", privileges: ["p"], sample: [{ a: 1 }], confirm: "sure?" };
    expect(told({ verbs: [verb("horn", full)] })).toEqual({
      api: "boat",
      verbs: [{ ...horn, ...full }],
    });
    expect(
      told({ verbs: [verb("horn", { task: false, sample: [], confirm: undefined })] }),
    ).toEqual({ api: "boat", verbs: [{ name: "horn", arguments: true }] });
  });
  test("where its name can be a level of a topic", () => {
    const names = ["a".repeat(128), "a".repeat(129), "a+", "a#", "a/b", "a\0", "ok"];
    const all = names.map((api) => ({ ...API, api }) as ApiDescription);
    expect([...apisOf(all).keys()]).toEqual(["a".repeat(128), "ok"]);
  });
});

test("a board tells what it is, by which a change is seen", () => {
  const apis = apisOf([API]);
  const about = aboutOf(limits, apis);
  expect(about).toEqual({
    ...{ version, arch: process.arch, groups: ["dock"], apis: ["boat"] },
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    start: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    config: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    limits: { window: 5, largest: 6, expiry: 7 },
  });
  expect(aboutOf(limits, apis)).toEqual(about);
  const other = aboutOf(limits, apisOf([{ ...API, info: "i" }]));
  expect(other.config).not.toBe(about.config);
});

describe("Home Assistant", () => {
  const home = { operator: "ha", prefix: "h" };
  const all = [
    { ...API, verbs: [verb("horn", { info: "the horn" }), verb("look", { task: false })] },
    {
      api: "a.b",
      verbs: [
        verb("é/x"),
        verb("needs", { parameters: [{ name: "p", required: true }] }),
        verb("may", { parameters: [{ name: "p", required: false }] }),
      ],
    },
  ] as unknown as ApiDescription[];
  test("gets a button for each command without mandatory arguments", () => {
    expect(buttons(all).map(({ api, verb: { name } }) => `${api}/${name}`)).toEqual([
      ...["boat/horn", "a.b/é/x", "a.b/may"],
    ]);
    // Another board may be called b_1.
    const b1 = "b_1_705a9e96";
    expect(discoveryTopic("b.1", home)).toBe(`h/device/${b1}/config`);
    expect(discoveryTopic("b_1", home)).toBe("h/device/b_1/config");
    const button = (name: string, id: string, method: string) => ({
      ...{ platform: "button", name, unique_id: `spawnbox_${b1}_${id}`, payload_press: "{}" },
      ...{ command_topic: `sb/v1/b.1/call/ha/${method}`, qos: 0, retain: false },
    });
    expect(discovery("b.1", home, topics, all)).toEqual({
      device: { identifiers: [`spawnbox_${b1}`], name: "b.1", sw_version: version },
      origin: { name: "spawnbox", sw_version: version },
      availability_topic: "sb/v1/b.1/status",
      components: {
        boat_horn: button("the horn", "boat_horn", "boat/horn"),
        a_b___x: button("a.b é/x", "a_b___x", "a.b/é/x"),
        a_b_may: button("a.b may", "a_b_may", "a.b/may"),
      },
    });
  });
});

describe("Home Assistant, of names that are no ids", () => {
  const home = { operator: "ha", prefix: "h" };
  const verbs = ["light/on", "light_on", "ä", "ö", "c++", "#1"].map((name) => verb(name));
  const all = [
    { ...API, verbs },
    { ...API, api: "a+b", verbs: [verb("horn")] },
  ] as unknown as ApiDescription[];
  test("gets each that can be pressed, none twice and none in the place of another", () => {
    const found = Object.entries(discovery("b1", home, topics, all).components) as [
      string,
      { unique_id: string; command_topic: string },
    ][];
    expect(found.map(([, { command_topic: topic }]) => topic)).toEqual(
      ["light/on", "light_on", "ä", "ö"].map((name) => `sb/v1/b1/call/ha/boat/${name}`),
    );
    for (const [name, { unique_id: id }] of found) {
      expect(name).toMatch(/^boat_(light_on|_)_[0-9a-f]{8}$/);
      expect(id).toBe(`spawnbox_b1_${name}`);
    }
  });
});

describe("the broker is told", () => {
  /** With what is published, as it is; a topic that is refused is told so. */
  function announcing({ isDescribed = true, home = false, refuses = false } = {}) {
    let apis = [API];
    let isRefusing = refuses;
    const sent: (readonly [string, string, Publish])[] = [];
    const one = new Announcing({
      ...{ board: "b1", topics, registry: { describe: () => apis } },
      fleet: {
        ...{ ...limits, describe: isDescribed },
        homeassistant: home ? { operator: "ha", prefix: "h" } : undefined,
      },
      publish: async (topic, payload, how) => {
        sent.push([topic, payload, how]);
        if (isRefusing) throw new Error("refused");
      },
    });
    const topicsOf = () => sent.splice(0).map(([topic, payload]) => [topic, payload === ""]);
    const takes = () => (isRefusing = false);
    return { one, sent, topicsOf, takes, become: (all: ApiDescription[]) => (apis = all) };
  }
  test("that it is there, for as long as that may be believed", async () => {
    const { one, sent } = announcing();
    await one.online();
    expect(sent).toEqual([["sb/v1/b1/status", "online", { retain: true, expiry: SIGN_EXPIRY }]]);
    expect(SIGN_EXPIRY).toBe(604_800);
  });
  test("once in a while again", async () => {
    let now = 1000;
    using _ = spyOn(performance, "now").mockImplementation(() => now);
    const { one, sent } = announcing({ refuses: true });
    await one.online().catch(() => {});
    now += 299_999;
    one.sign();
    expect(sent).toHaveLength(1);
    now += 1;
    one.sign();
    expect(sent).toHaveLength(2);
    one.sign();
    expect(sent).toHaveLength(2);
  });
  test("all at first, and then what has changed, and what has gone", () => {
    const { one, topicsOf, sent, become } = announcing();
    one.describe(true);
    expect(sent.every(([, , how]) => how.retain === true)).toBe(true);
    const [ABOUT, BOAT] = [
      ["sb/v1/b1/about", false],
      ["sb/v1/b1/api/boat", false],
    ];
    expect(topicsOf()).toEqual([ABOUT, BOAT]);
    one.describe(false);
    expect(topicsOf()).toEqual([]);
    one.describe(true);
    expect(topicsOf()).toEqual([ABOUT, BOAT]);
    become([{ ...API, info: "i" }]);
    one.describe(false);
    expect(topicsOf()).toEqual([ABOUT, BOAT]);
    become([]);
    one.describe(false);
    expect(topicsOf()).toEqual([ABOUT, ["sb/v1/b1/api/boat", true]]);
  });
  test("what it did not take, after an hour, or where something else is told", async () => {
    let now = 1000;
    using _ = spyOn(performance, "now").mockImplementation(() => now);
    const { one, topicsOf, become, takes } = announcing({ refuses: true });
    const pass = async (ms: number) => {
      await Bun.sleep(0);
      now += ms;
      one.sign();
      await Bun.sleep(0);
      return topicsOf();
    };
    const [ABOUT, BOAT, STATUS] = [
      ["sb/v1/b1/about", false],
      ["sb/v1/b1/api/boat", false],
      ["sb/v1/b1/status", false],
    ];
    one.describe(true);
    expect(topicsOf()).toEqual([ABOUT, BOAT]);
    expect(await pass(3_600_000)).toEqual([STATUS]);
    expect(await pass(300_000)).toEqual([STATUS, ABOUT, BOAT]);
    expect(await pass(300_000)).toEqual([STATUS]);
    takes();
    one.describe(false);
    expect(topicsOf()).toEqual([ABOUT, BOAT]);
    expect(await pass(7_200_000)).toEqual([STATUS]);
    become([]);
    one.describe(false);
    expect(topicsOf()).toEqual([ABOUT, ["sb/v1/b1/api/boat", true]]);
  });
  test("nothing of its APIs where the fleet file says so, nor of buttons", () => {
    const { one, topicsOf } = announcing({ isDescribed: false, refuses: true });
    one.describe(true);
    expect(topicsOf()).toEqual([["sb/v1/b1/about", false]]);
    expect(one.homeTopic).toBeUndefined();
    one.forgetHome();
    one.wasTold('{"components": {"x": {}}}');
    expect(topicsOf()).toEqual([]);
  });
  test("of buttons that have gone, what was told before too; a thousand at once", () => {
    const { one, sent, become } = announcing({ home: true });
    expect(one.homeTopic).toBe("h/device/b1/config");
    one.describe(true);
    const components = () =>
      sent
        .splice(0)
        .filter(([topic]) => topic === one.homeTopic)
        .map(([, payload]) => (JSON.parse(payload) as { components: object }).components);
    expect(components().map(Object.keys)).toEqual([["boat_horn"]]);
    for (const odd of ["", "no JSON", "5", '{"components": 5}']) {
      one.wasTold(odd);
      expect(components().map(Object.keys)).toEqual([["boat_horn"]]);
    }
    one.wasTold('{"components": {"boat_old": {"name": "old"}, "boat_horn": {}}}');
    const [removed, now] = components() as Record<string, object>[];
    expect([removed?.["boat_old"], Object.keys(now ?? {})]).toEqual([
      { platform: "button" },
      ["boat_horn"],
    ]);
    expect(removed?.["boat_horn"]).toMatchObject({ unique_id: "spawnbox_b1_boat_horn" });
    const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`x${i}`, {}]));
    one.wasTold(JSON.stringify({ components: many }));
    expect(components().map((all) => Object.keys(all).length)).toEqual([1001, 1]);
    become([]);
    one.describe(false);
    expect(components()).toEqual([{ boat_horn: { platform: "button" } }, {}]);
    one.forgetHome();
    expect(sent.map(([topic, payload]) => [topic, payload])).toEqual([["h/device/b1/config", ""]]);
  });
});

describe("for other programs", () => {
  const of = (apis: readonly (readonly [string, unknown])[], tls = true) =>
    asyncApi("b1", new Map(apis), {
      ...{ broker: { host: "h", port: 8883, tls }, prefix: "sb/v1" },
    });
  const boat = (...verbs: unknown[]) => of([["boat", { verbs }]]);
  const mqtt = { qos: 1, bindingVersion: "0.2.0" };
  const operator = { description: "who calls, as the broker knows it" };
  const CALL = {
    contentType: "application/json",
    bindings: {
      mqtt: {
        responseTopic: { type: "string" },
        correlationData: { type: "string", maxLength: 256 },
        bindingVersion: "0.2.0",
      },
    },
  };
  const OUT = {
    address: "sb/v1/b1/out/{operator}/{id}",
    parameters: { operator, id: { description: "as the operator has chosen it" } },
    messages: {
      answer: {
        summary:
          "user properties: kind (accepted, event, part or reply) and seq, from 0 on without a gap; events are a line each",
        contentType: "application/json",
        bindings: { mqtt: { correlationData: { type: "string" }, bindingVersion: "0.2.0" } },
      },
    },
  };
  const STATUS = {
    address: "sb/v1/b1/status",
    messages: {
      status: {
        contentType: "text/plain",
        payload: { type: "string", enum: ["online", "offline"] },
      },
    },
  };
  const SENDS = {
    action: "send",
    channel: { $ref: "#/channels/status" },
    bindings: { mqtt: { ...mqtt, retain: true } },
  };
  test("a board without anything", () => {
    expect(of([], false)).toEqual({
      ...{ asyncapi: "3.0.0", info: { title: "spawnbox: b1", version } },
      defaultContentType: "application/json",
      servers: { broker: { host: "h:8883", protocol: "mqtt", protocolVersion: "5" } },
      channels: { out: OUT, status: STATUS },
      operations: { status: SENDS },
    });
    expect(of([])["servers"]).toMatchObject({ broker: { protocol: "secure-mqtt" } });
  });
  test("a verb, with what is told of it", () => {
    const payload = { type: "object" };
    const full = { name: "horn", info: "i", privileges: ["p"], arguments: payload };
    const channel = (call: object) => ({
      address: "sb/v1/b1/call/{operator}/boat/horn",
      ...{ parameters: { operator }, messages: { call } },
    });
    const operation = (more: object) => ({
      ...{ action: "receive", channel: { $ref: "#/channels/boat_horn" }, ...more },
      bindings: { mqtt: { ...mqtt, retain: false } },
      reply: {
        address: { location: "$message.header#/responseTopic" },
        channel: { $ref: "#/channels/out" },
      },
    });
    expect(boat(full)).toMatchObject({
      channels: { boat_horn: channel({ ...CALL, payload }), out: OUT, status: STATUS },
      operations: {
        boat_horn: operation({ summary: "i", "x-privileges": ["p"] }),
        status: SENDS,
      },
    });
    // Of what is told, any part may be anything.
    for (const odd of [
      { name: "horn" },
      { name: "horn", info: 5, privileges: "p", arguments: 5 },
      { name: "horn", privileges: [] },
    ]) {
      const { channels, operations } = boat(odd, { name: 5 }, null, "x") as Record<string, object>;
      expect(channels).toEqual({ boat_horn: channel(CALL), out: OUT, status: STATUS });
      expect(operations).toEqual({ boat_horn: operation({}), status: SENDS });
    }
    for (const odd of [undefined, 5, {}, { verbs: 5 }])
      expect(Object.keys(of([["boat", odd]])["channels"] as object)).toEqual(["out", "status"]);
  });
  test("names that would be the same are told apart", () => {
    const names = ["a/b", "a_b", "a b", "a_b_2"].map((name) => ({ name }));
    expect(Object.keys(boat(...names)["channels"] as object)).toEqual([
      ...["boat_a_b", "boat_a_b_2", "boat_a_b_3", "boat_a_b_2_2", "out", "status"],
    ]);
  });
});

test("what is missing is asked for, with what has come before it", async () => {
  const said: object[] = [];
  const flow = new Inflow({ window: 4, take: () => {}, say: (one) => said.push(one) });
  flow.ask();
  for (const seq of [0, 1]) {
    flow.message(seq, "event", Buffer.from("x"));
    await new Promise((resolve) => setImmediate(resolve));
    said.length = 0;
    flow.ask();
    expect(said).toEqual([{ seq, from: seq + 1 }]);
  }
});

test("of a connection that is given up the socket is closed", async () => {
  const closed = Promise.withResolvers<void>();
  using server = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data() {}, close: () => closed.resolve() },
  });
  const socket = connect({ host: "127.0.0.1", port: server.port });
  await new Promise((resolve) => socket.once("connect", resolve));
  const guarded = new Guarded(socket, new PacketMeter(1024), () => {});
  guarded.on("error", () => {});
  guarded.destroy(new Error("given up"));
  await closed.promise;
});

test("no more is under way than the broker takes", async () => {
  let published = 0;
  // It says how many, and confirms nothing.
  using server = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      data(socket, data) {
        for (let at = 0; at + 1 < data.length; at += 2 + (data[at + 1] ?? 0)) {
          // CONNECT, which is longer here than one byte tells, comes alone.
          if (data[at] === 0x10) {
            socket.write(Uint8Array.of(0x20, 6, 0, 0, 3, 0x21, 0, 3));
            return;
          }
          if ((data[at] ?? 0) >> 4 === 3) published++;
        }
      },
    },
  });
  let isConnected = false;
  const link = new Link({
    ...{ broker: { host: "127.0.0.1", port: server.port, tls: false }, secrets: {} },
    ...{ name: "b", clientId: "b", session: 60, keepalive: 30, largest: 1 << 18 },
    ...{ tell: () => {}, connected: () => (isConnected = true), message: () => {} },
  });
  link.start();
  await until("it is connected", () => isConnected);
  for (let i = 0; i < 5; i++) link.publish("t", "x").catch(() => {});
  expect(link.backlog).toBe(5);
  await until("some are published", () => published >= 3);
  // As what is sent later comes later.
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  expect([published, link.backlog]).toEqual([3, 5]);
  // Nothing is waited for where nobody is left to confirm it.
  server.stop(true);
  await until("that is known", () => !link.connected);
  await link.close();
});
