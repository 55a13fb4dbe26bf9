/** The parts of a fleet, each by itself. */
import { describe, expect, test } from "bun:test";
import { Ajv } from "ajv";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Answered } from "../../src/fleet/answered.ts";
import { Inflow } from "../../src/fleet/inflow.ts";
import type { Message } from "../../src/fleet/link.ts";
import { loadFleet, parseBroker } from "../../src/fleet/load.ts";
import { PacketMeter } from "../../src/fleet/meter.ts";
import { type Kind, Outflow, PIECE, WINDOW_BYTES } from "../../src/fleet/outflow.ts";
import { askedOf, placeOf } from "../../src/fleet/request.ts";
import { asyncApi } from "../../src/fleet/asyncapi.ts";
import { Pace } from "../../src/fleet/pace.ts";
import { isTooMuch, parseAmount, parseStages, staged } from "../../src/fleet/stages.ts";
import { Topics } from "../../src/fleet/topics.ts";
import { ConfigError } from "../../src/config/problem.ts";

const topics = new Topics("sb/v1");
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("topics", () => {
  test("of a call are those of this board and its groups alone", () => {
    const read = (topic: string) => topics.readCall(topic, "b1", ["dock"]);
    expect(read("sb/v1/b1/call/op1/demo/a/b")).toEqual({
      ...{ operator: "op1", api: "demo", verb: "a/b", group: undefined },
    });
    expect(read("sb/v1/_group/dock/call/op1/demo/ping")?.group).toBe("dock");
    expect(read("sb/v1/_group/all/call/op1/demo/ping")?.group).toBe("all");
    for (const topic of [
      ...["sb/v1/b2/call/op1/demo/ping", "sb/v1/_group/other/call/op1/demo/ping"],
      ...["sb/v1/b1/call/op1/demo", "sb/v1/b1/call/op1/demo/", "sb/v1/b1/call//demo/ping"],
      ...["sb/v1/b1/call/_x/demo/ping", "sb/v1/b1/call/*/demo/ping", "sb/v2/b1/call/op1/demo/ping"],
      ...["sb/v1/b1/flow/op1/x", "sb/v1/_group/_group/call/op1/demo/ping"],
    ])
      expect(read(topic)).toBeUndefined();
  });

  test("to which a board subscribes do not overlap, whatever its groups", () => {
    const all = topics.ofBoard("b1", ["all", "dock", "dock"]);
    expect(new Set(all).size).toBe(all.length);
    expect(all).toHaveLength(4);
  });
});

describe("what comes in", () => {
  const who = { board: "b1", groups: [], homeassistant: { operator: "ha", prefix: "h" } };
  const limits = { expiry: 60, largest: 1024, window: 64 };
  const message = (given: Partial<Message>): Message => ({
    ...{ topic: "sb/v1/b1/call/op1/demo/ping", payload: "{}", qos: 1, retain: false, dup: false },
    properties: { responseTopic: "sb/v1/b1/out/op1/x1", messageExpiryInterval: 10 },
    ...given,
  });
  const ask = (given: Partial<Message>) => {
    const one = message(given);
    return askedOf(one, placeOf(one, topics, who), limits);
  };

  test("is a call with its place for answers", () => {
    expect(placeOf(message({}), topics, who)).toMatchObject({ operator: "op1", id: "x1" });
    expect(ask({ payload: "" }).args).toBeUndefined();
    expect(ask({ payload: "[1]" })).toMatchObject({ args: [1], expiry: 10, window: 64 });
  });

  test("is none where it is retained, or its answer would go elsewhere, or has no id", () => {
    const response = (responseTopic: string) =>
      message({ properties: { responseTopic, messageExpiryInterval: 10 } });
    for (const one of [
      message({ retain: true }),
      message({ properties: { messageExpiryInterval: 10 } }),
      ...["sb/v1/b1/out/op2/x1", "sb/v1/b2/out/op1/x1", "x1", "sb/v1/b1/out/op1/x/1", "", "#"].map(
        response,
      ),
      response(`sb/v1/b1/out/op1/${"x".repeat(65)}`),
      message({
        properties: { correlationData: Buffer.alloc(300, "a"), messageExpiryInterval: 1 },
      }),
      message({ properties: { correlationData: Buffer.from("a/b"), messageExpiryInterval: 1 } }),
    ])
      expect(() => placeOf(one, topics, who)).toThrow();
  });

  test("is refused where it has no expiry, a long one, or none left", () => {
    const expiring = (messageExpiryInterval?: number) => ({
      properties: {
        responseTopic: "sb/v1/b1/out/op1/x1",
        ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
      },
    });
    expect(() => ask(expiring())).toThrow("needs a Message Expiry");
    expect(() => ask(expiring(61))).toThrow("up to 60 s");
    expect(() => ask(expiring(0))).toThrow("expired");
    expect(ask(expiring(60)).expiry).toBe(60);
  });

  test("is refused where it is too large, no JSON, or says of itself what cannot be", () => {
    const user = (userProperties: Record<string, string | string[]>) => ({
      properties: {
        ...{ responseTopic: "sb/v1/b1/out/op1/x1", messageExpiryInterval: 10, userProperties },
      },
    });
    expect(() => ask({ payload: " ".repeat(1025) })).toThrow("1025 bytes");
    expect(() => ask({ payload: "{" })).toThrow("not JSON");
    expect(() => ask({ payload: Buffer.of(0x22, 0xff, 0x22) })).toThrow("not JSON");
    for (const wrong of [{ timeout: "0" }, { timeout: "1e3" }, { window: "-1" }, { detach: "yes" }])
      expect(() => ask(user(wrong))).toThrow("user property");
    expect(() => ask(user({ token: ["a", "b"] }))).toThrow("more than once");
    expect(ask(user({ window: "1000", timeout: "50", detach: "false", token: "t" }))).toMatchObject(
      {
        ...{ window: 64, timeout: 50, detach: false, token: "t" },
      },
    );
  });

  test("may be a button of Home Assistant, only where no broker keeps it", () => {
    const press = { topic: "sb/v1/b1/call/ha/demo/ping", properties: {} };
    expect(placeOf(message({ ...press, qos: 0 }), topics, who).isMute).toBe(true);
    expect(() => placeOf(message({ ...press, qos: 1 }), topics, who)).toThrow("without an id");
    expect(() => placeOf(message({ qos: 0, properties: {} }), topics, who)).toThrow(
      "without an id",
    );
    expect(() => placeOf(message({ ...press, qos: 0, retain: true }), topics, who)).toThrow();
  });
});

describe("what goes out", () => {
  const start = (window: number) => {
    const sent: { seq: number; kind: Kind; text: string }[] = [];
    let [isAway, now] = [false, 0];
    const flow = new Outflow({
      window,
      put: (seq, kind, payload) => sent.push({ seq, kind, text: payload.toString() }),
      isAway: () => isAway,
      now: () => now,
    });
    const away = (value: boolean) => (isAway = value);
    return { flow, sent, away, later: (ms: number) => (now += ms) };
  };

  test("events of one turn are one message", async () => {
    const { flow, sent } = start(8);
    for (const text of ["1", "2", "3"]) expect(flow.event(text)).toBeUndefined();
    await turn();
    flow.say("reply", "done");
    expect(sent).toEqual([
      { seq: 0, kind: "event", text: "1\n2\n3" },
      { seq: 1, kind: "reply", text: "done" },
    ]);
  });

  test("waits for what was not confirmed, and who sends waits for it", async () => {
    const { flow, sent, later } = start(2);
    let waits: void | Promise<void> = undefined;
    for (let i = 0; i < 5; i++) {
      waits = flow.event("x".repeat(40 << 10));
      await turn();
    }
    expect(sent).toHaveLength(2);
    expect(flow.blockedSince).toBe(0);
    expect(waits).toBeInstanceOf(Promise);
    let isReleased = false;
    void (waits as Promise<void>).then(() => (isReleased = true));
    later(100);
    flow.confirm(0);
    await turn();
    expect([sent.length, isReleased]).toEqual([3, false]);
    flow.confirm(2);
    await turn();
    expect([sent.length, isReleased]).toEqual([5, true]);
    expect(flow.isConfirmed).toBe(false);
    flow.confirm(99);
    expect(flow.isConfirmed).toBe(true);
  });

  test("what is long comes in parts, and a few long ones fill the window too", () => {
    const { flow, sent } = start(64);
    const text = "é".repeat(2 << 20);
    flow.say("reply", text);
    expect(sent.length).toBeGreaterThan(2);
    expect(sent.length * PIECE).toBeLessThan(WINDOW_BYTES + 2 * PIECE);
    while (!flow.isSent) flow.confirm(sent.length - 1);
    expect(sent.slice(0, -1).every(({ kind }) => kind === "part")).toBe(true);
    expect(sent.at(-1)?.kind).toBe("reply");
  });

  test("is sent again where it was lost, not what is under way just now", () => {
    const { flow, sent, later } = start(8);
    flow.say("accepted", "a");
    flow.say("reply", "b");
    flow.resend(0);
    expect(sent).toHaveLength(2);
    later(2000);
    flow.resend(1);
    expect(sent.map(({ seq }) => seq)).toEqual([0, 1, 1]);
  });

  test("stays while there is no connection, and is let go with its call", async () => {
    const { flow, sent, away } = start(8);
    away(true);
    flow.say("reply", "a");
    expect(sent).toEqual([]);
    away(false);
    flow.goOn();
    expect(sent).toHaveLength(1);
    away(true);
    const waits = flow.event("x".repeat(100 << 10));
    flow.drop();
    await waits;
    expect([flow.isConfirmed, flow.event("more")]).toEqual([true, undefined]);
  });
});

describe("what an operator gets", () => {
  const start = (take: (kind: string, text: string) => void | Promise<void>) => {
    const said: object[] = [];
    return { said, flow: new Inflow({ window: 4, take, say: (one) => said.push(one) }) };
  };
  const bytes = (text: string) => Buffer.from(text);

  test("is in order, each once, whatever order and copies come", async () => {
    const got: string[] = [];
    const { flow, said } = start((kind, text) => void got.push(`${kind} ${text}`));
    flow.message(1, "event", bytes("b"));
    expect(said).toEqual([{ from: 0 }]);
    flow.message(1, "event", bytes("b"));
    flow.message(0, "accepted", bytes("a"));
    flow.message(0, "accepted", bytes("a"));
    flow.message(3, "reply", bytes("long"));
    flow.message(2, "part", bytes("very "));
    await turn();
    expect(got).toEqual(["accepted a", "event b", "reply very long"]);
    expect(said.at(-1)).toEqual({ seq: 3 });
  });

  test("copies take no room from what is to come", async () => {
    const got: string[] = [];
    const { flow } = start((_, text) => void got.push(text.slice(0, 1)));
    const large = bytes("a".repeat(1 << 20));
    for (let copy = 0; copy < 2; copy++) {
      for (let seq = 0; seq < 12; seq++) flow.message(seq, "event", large);
      await turn();
    }
    expect(got.splice(0)).toHaveLength(12);
    // Early, twelve times, and what it waits for.
    for (let i = 0; i < 12; i++) flow.message(13, "event", bytes("c".repeat(1 << 20)));
    flow.message(14, "event", bytes("d"));
    flow.message(12, "event", bytes("b"));
    await turn();
    expect(got).toEqual(["b", "c", "d"]);
  });

  test("is confirmed once it was taken, and a slow reader is not gone", async () => {
    const gate = Promise.withResolvers<void>();
    const { flow, said } = start(() => gate.promise);
    for (let seq = 0; seq < 4; seq++) flow.message(seq, "event", bytes("x"));
    await turn();
    expect(said).toEqual([]);
    flow.alive();
    expect(said).toEqual([{}]);
    gate.resolve();
    await turn();
    expect(said.at(-1)).toEqual({ seq: 3 });
  });
});

describe("calls that were taken", () => {
  test("are known until no copy of them can come", () => {
    let now = 0;
    const answered = new Answered<string>(() => now);
    answered.add("op1", "x", "d", 10, "call");
    answered.keep("op1", "x", { seq: 1, text: "reply" });
    answered.release("op1", "x");
    now = 69_000;
    answered.sweep();
    expect(answered.find("op1", "x")?.answer?.text).toBe("reply");
    expect(answered.find("op2", "x")).toBeUndefined();
    now = 70_000;
    answered.sweep();
    expect(answered.find("op1", "x")).toBeUndefined();
  });

  test("of one operator leave room for those of others, and of many only some answers are kept", () => {
    const answered = new Answered<string>(() => 0);
    for (let i = 0; i < 10_000; i++) {
      answered.add("op1", String(i), "d", 10, "call");
      if (i < 400) answered.keep("op1", String(i), { seq: 0, text: "x".repeat(15 << 10) });
    }
    expect(() => answered.add("op1", "more", "d", 10, "call")).toThrow("too many calls");
    answered.add("op2", "x", "d", 10, "call");
    expect(answered.find("op1", "0")).toMatchObject({ answer: undefined });
    expect(answered.find("op1", "399")?.answer).toBeDefined();
  });
});

describe("packets of a broker", () => {
  const fits = (most: number, ...chunks: number[][]) => {
    const meter = new PacketMeter(most);
    return chunks.map((chunk) => meter.fits(Uint8Array.from(chunk)));
  };

  test("are measured before they are there, in whatever pieces", () => {
    expect(fits(2, [0x30, 2, 1, 2, 0xd0, 0, 0x30, 2, 1], [2, 0x30], [3])).toEqual([
      ...[true, true, false],
    ]);
    expect(fits(200, [0x30, 0xc8], [0x01, ...Array<number>(200).fill(0)], [0xd0, 0])).toEqual([
      ...[true, true, true],
    ]);
    expect(fits(1 << 20, [0x30, 0xff, 0xff, 0xff, 0x7f])).toEqual([false]);
    expect(fits(2 ** 32, [0x30, 0x80, 0x80, 0x80, 0x80])).toEqual([false]);
  });

  test("are those that a broker sends, of QoS 0 or 1", () => {
    const kinds = Array.from({ length: 16 }, (_, kind) => kind);
    expect(kinds.filter((kind) => fits(9, [kind << 4, 0])[0])).toEqual([2, 3, 4, 9, 11, 13, 14]);
    expect([0x32, 0x3b, 0x34, 0x36].map((head) => fits(9, [head, 0])[0])).toEqual([
      ...[true, true, false, false],
    ]);
  });
});

describe("the pace of what comes in", () => {
  /** So many messages that cost `cost` ms each: ms that they took, and turns that others had. */
  const taken = (cost: number, count: number, idle = 0) => {
    let now = 0;
    let turns = 0;
    const pace = new Pace(
      () => now,
      (next, ms) => {
        turns++;
        now += ms;
        next();
      },
    );
    for (let i = 0; i < count; i++) {
      now += idle;
      pace.arrived();
      now += cost;
      let isNext = false;
      pace.taken(() => (isNext = true));
      expect(isNext).toBe(true);
    }
    return { ms: now, turns };
  };

  test("[protection] is half of the time at most, however many come and whatever they cost", () => {
    for (const cost of [0.05, 0.3, 7]) {
      const { ms, turns } = taken(cost, 1000);
      expect(ms / (cost * 1000)).toBeGreaterThan(1.8);
      expect(ms / (cost * 1000)).toBeLessThan(2.2);
      expect(turns).toBeGreaterThan((cost * 1000) / 10);
    }
  });

  test("does not hold what comes now and then", () => {
    expect(taken(0.3, 1000, 5)).toEqual({ ms: expect.closeTo(5300, 3), turns: 0 });
  });
});

test("verbs are described as AsyncAPI 3, whatever a board tells of them", async () => {
  const schema: unknown = await Bun.file(
    join(import.meta.dir, "../../node_modules/@asyncapi/specs/schemas/3.0.0.json"),
  ).json();
  // It has that of JSON Schema within itself.
  const ajv = new Ajv({
    meta: false,
    validateSchema: false,
    strict: false,
    validateFormats: false,
  });
  const validate = ajv.compile(schema as object);
  const verbs = [
    {
      name: "horn",
      info: "a horn",
      privileges: ["p"],
      arguments: { type: "object", required: ["a"] },
    },
    { name: "lights/on", arguments: true },
    { name: "lights_on", arguments: "none" },
    { name: "a{b}\u202e", info: 5, privileges: 7, arguments: null },
    { info: "without a name" },
    "no verb",
  ];
  const apis = new Map<string, unknown>([
    ["boat", { verbs }],
    ["odd", null],
    ["odder", { verbs: "none" }],
  ]);
  const broker = { host: "broker.example", port: 8883, tls: true };
  const document = asyncApi("boat-1", apis, { broker, prefix: "sb/v1" });
  validate(document);
  expect(validate.errors ?? []).toEqual([]);
  // None takes the place of another.
  const addresses = Object.values(document["channels"] as Record<string, { address: string }>);
  expect(addresses.map(({ address }) => address)).toEqual([
    ...["horn", "lights/on", "lights_on", "a{b}\u202e"].map(
      (name) => `sb/v1/boat-1/call/{operator}/boat/${name}`,
    ),
    ...["sb/v1/boat-1/out/{operator}/{id}", "sb/v1/boat-1/status"],
  ]);
  expect(ajv.validate(schema as object, { ...document, channels: { x: { messages: 5 } } })).toBe(
    false,
  );
});

describe("stages", () => {
  test("are numbers of boards or parts of them", () => {
    const boards = Array.from({ length: 40 }, (_, i) => i);
    const sizes = (text: string) => staged(boards, parseStages(text)).map((part) => part.length);
    expect(sizes("1,10%,100%")).toEqual([1, 3, 36]);
    expect(sizes("1%,1,50%")).toEqual([1, 19]);
    expect(sizes("100")).toEqual([40]);
    for (const wrong of ["", "x", "0", "1,", "101%", "1.5", "-1"])
      expect(() => parseStages(wrong)).toThrow(TypeError);
  });

  test("end where too many have failed", () => {
    const most = (text: string) => parseAmount(text);
    expect(isTooMuch(1, 1, most("2%"))).toBe(true);
    expect(isTooMuch(2, 100, most("2%"))).toBe(false);
    expect(isTooMuch(0, 5, most("0"))).toBe(false);
    expect(isTooMuch(1, 500, most("0"))).toBe(true);
  });
});

test("what has to wait for longer than a turn of the event loop waits for a timer", async () => {
  let now = 0;
  const pace = new Pace(() => now);
  const turns = async () => {
    for (let i = 0; i < 5; i++) await turn();
  };
  let taken = 0;
  // A little work: it goes on in a turn.
  now += 4;
  pace.taken(() => taken++);
  expect(taken).toBe(0);
  await turns();
  expect(taken).toBe(1);
  // So much that nobody waits for it here.
  pace.arrived();
  now += 3_600_000;
  pace.taken(() => taken++);
  await turns();
  expect(taken).toBe(1);
});

describe("a fleet file", () => {
  const problems = (content: unknown, mode = 0o644): string[] => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-fleet-"));
    try {
      const file = join(dir, "fleet.json");
      writeFileSync(file, JSON.stringify(content));
      chmodSync(file, mode);
      loadFleet(file);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.problems.map(({ path, message }) => `${path}: ${message}`);
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  const broker = "mqtt://localhost";

  test("is refused with the place of each problem", () => {
    expect(problems({ broker, board: "b1" })).toEqual([]);
    expect(problems({ broker, bord: "b1" })[0]).toStartWith("bord: unknown key `bord`; did you");
    expect(problems({ board: "b1" })[0]).toStartWith("broker: missing key");
    expect(problems({ broker, board: "b/1" })[0]).toStartWith("board: ");
    expect(problems({ broker, board: "_group" })[0]).toStartWith("board: ");
    expect(problems({ broker, groups: ["a", "+"] })[0]).toStartWith("groups[1]: ");
    expect(problems({ broker, prefix: "$SYS" })[0]).toStartWith("prefix: ");
    expect(problems({ broker, window: 0 })[0]).toStartWith("window: ");
    expect(problems({ broker: "mqtts://localhost", cert: "c" })[0]).toStartWith("key: ");
    expect(problems({ broker: "mqtts://localhost", ca: "/nowhere.pem" })[0]).toContain(
      "nowhere.pem",
    );
    expect(problems({ broker, ca: "c" })[0]).toStartWith("broker: certificates");
  });

  test("[protection] does not send calls in the clear to another machine", () => {
    expect(parseBroker("mqtts://broker.example").port).toBe(8883);
    expect(parseBroker("mqtt://[::1]:1")).toEqual({ host: "::1", port: 1, tls: false });
    for (const url of ["mqtt://broker.example", "mqtt://10.0.0.1", "mqtt://127.0.0.1.example"])
      expect(() => parseBroker(url)).toThrow("say mqtts:");
    for (const url of ["http://localhost", "localhost", "mqtts://", "mqtts://a:b@c", "mqtts://c/x"])
      expect(() => parseBroker(url)).toThrow("expected mqtts://");
  });

  test.if(process.geteuid?.() === 0)("[protection] root obeys none that others can change", () => {
    expect(problems({ broker, board: "b1" }, 0o666)[0]).toContain("chmod");
  });
});
