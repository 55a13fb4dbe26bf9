/** A board, by what it says to its broker and what it makes of what comes, at times that the test chooses. */
import { describe, expect, test } from "bun:test";
import { type IPublishPacket } from "mqtt-packet";
import type { Request } from "../../src/api/client.ts";
import { type Reply, success } from "../../src/api/reply.ts";
import type { Refusal } from "../../src/api/witness.ts";
import type { BoardOptions } from "../../src/fleet/board.ts";
import type { Message } from "../../src/fleet/link.ts";
import type { Fleet } from "../../src/fleet/load.ts";
import { clock } from "./clock.ts";
import { type Answering, simulated } from "./simulated.ts";
import { type Answer, granting, type Said, speaking } from "./speaking.ts";

const FLOW = "sb/v1/b1/flow/op1/";
const out = (id: string, operator = "op1") => `sb/v1/b1/out/${operator}/${id}`;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const TASK = success({ api: "boat", sandbox: "s", command: "horn", pid: 7 });

interface How {
  readonly fleet?: Partial<Fleet>;
  readonly options?: Partial<BoardOptions>;
  readonly answering?: Answering;
  readonly answer?: Answer;
}

/** At a broker that the test speaks for. */
function at({ fleet = {}, options = {}, answering, answer = granting }: How = {}) {
  const time = clock();
  const broker = speaking(answer);
  const told: string[] = [];
  const refused: Refusal[] = [];
  const requests: Request[] = [];
  const [board, look] = time.making(() =>
    simulated(
      broker,
      "b1",
      (name, request) => {
        requests.push(request);
        return answering ? answering(name, request) : success("ok");
      },
      fleet,
      { tell: (text) => told.push(text), refused: (one) => refused.push(one), ...options },
    ),
  );
  const message = (topic: string, payload: string, more: Partial<Message> = {}) =>
    board.take({ topic, payload, qos: 1, retain: false, dup: false, ...more });
  /** A call of that id; its properties may be others. */
  const call = (
    id: string,
    {
      operator = "op1",
      verb = "horn",
      payload = "",
      more = {} as Partial<Message>,
      properties = {} as IPublishPacket["properties"],
    } = {},
  ) =>
    message(`sb/v1/b1/call/${operator}/boat/${verb}`, payload, {
      properties: {
        ...{ responseTopic: out(id, operator), messageExpiryInterval: 20 },
        ...properties,
      },
      ...more,
    });
  const flow = (id: string, what: object | string, more: Partial<Message> = {}) =>
    message(FLOW + id, typeof what === "string" ? what : JSON.stringify(what), more);
  let marks = 0;
  /** Once all that was said before has come: what was answered to the calls of these ids, unless to all. */
  const said = async (...ids: string[]): Promise<Said[]> => {
    await turn();
    const id = `mark-${++marks}`;
    flow(id, { from: 0 });
    await broker.when(() => broker.at(out(id)).length > 0);
    return ids.flatMap((one) => broker.at(out(one)));
  };
  const joined = async (): Promise<void> => {
    const before = broker.at("sb/v1/b1/status").length;
    if (broker.connects.length === 0) board.start();
    await broker.when(() => broker.at("sb/v1/b1/status").length > before);
    while (!board.isJoined) await turn();
  };
  return {
    ...{ time, broker, board, look, told, refused, requests, message, call, flow, said, joined },
    async [Symbol.asyncDispose]() {
      await board.close();
      broker[Symbol.dispose]();
      time[Symbol.dispose]();
    },
  };
}
const statusOf = ({ text }: Said) => (JSON.parse(text) as Reply).request.status;
const infoOf = ({ text }: Said) => (JSON.parse(text) as Reply).request.info;

describe("with its broker", () => {
  test("it listens before it says what it is, and says last that it is there", async () => {
    {
      await using patient = at({ fleet: { expiry: 300 } });
      await patient.joined();
      expect(patient.broker.connects[0]?.properties?.sessionExpiryInterval).toBe(300);
    }
    await using one = at({ fleet: { groups: ["dock"], keepalive: 33, expiry: 10, largest: 5000 } });
    const { broker, board, look } = one;
    expect([look.ms, look.keeps, board.isJoined]).toEqual([1000, false, false]);
    await one.joined();
    expect(broker.connects[0]).toMatchObject({
      ...{ clientId: "b1", username: "b1", keepalive: 33, clean: false },
      will: { topic: "sb/v1/b1/status", payload: Buffer.from("offline"), qos: 1, retain: true },
      properties: { sessionExpiryInterval: 60, maximumPacketSize: 10_000 + 65_536 },
    });
    expect(broker.got.map(({ cmd }) => cmd)).toEqual([
      ...(["connect", "subscribe", "publish", "publish", "publish"] as const),
    ]);
    expect(broker.subscribes[0]?.subscriptions).toEqual(
      ["b1/call/#", "b1/flow/#", "_group/dock/call/#", "_group/all/call/#"].map((topic) => ({
        ...{ topic: `sb/v1/${topic}`, qos: 1, nl: false, rap: true, rh: 2 },
      })),
    );
    expect(broker.publishes.map(({ topic, retain }) => [topic, retain])).toEqual([
      ["sb/v1/b1/about", true],
      ["sb/v1/b1/api/boat", true],
      ["sb/v1/b1/status", true],
    ]);
    expect(broker.at("sb/v1/b1/status")).toMatchObject([
      { text: "online", properties: { messageExpiryInterval: 604_800 } },
    ]);
    expect(one.told).toEqual(["fleet: connected to the broker"]);
    await board.close();
    expect([look.isCleared(), broker.at("sb/v1/b1/status").at(-1)]).toMatchObject([
      true,
      { text: "offline", retain: true },
    ]);
  });

  test("that does not let it listen it is not there, and says why", async () => {
    await using one = at({
      answer: (packet) =>
        packet.cmd === "subscribe"
          ? {
              ...{ cmd: "suback", messageId: packet.messageId ?? 0 },
              granted: packet.subscriptions.map(({ topic }) => (topic.includes("flow") ? 0x87 : 1)),
            }
          : granting(packet),
    });
    one.board.start();
    await one.broker.when(() => one.broker.subscribes.length > 0);
    while (one.told.length < 2) await turn();
    const topics = ["b1/call/#", "b1/flow/#", "_group/all/call/#"].map((topic) => `sb/v1/${topic}`);
    expect(one.told[1]).toBe(
      `fleet: the broker refuses ${topics.join(", ")}: Subscribe error: Not authorized`,
    );
    expect([one.board.isJoined, one.broker.publishes.length]).toEqual([false, 0]);
  });

  test("from whom it was cut off it joins again, and goes on with what was to be said", async () => {
    await using one = at({ answering: () => TASK });
    await one.joined();
    one.call("a");
    await one.said();
    const { client } = one.requests[0] as Required<Request>;
    one.broker.cut();
    while (one.board.isJoined) await turn();
    void client.send("boat/horn", { type: "data", pid: 7, stdout: "while away" });
    one.call("b");
    await one.joined();
    const [accepted, event] = await one.said("a");
    expect([accepted?.kind, event?.kind]).toEqual(["accepted", "event"]);
    expect(event?.text).toContain("while away");
    // Once more all of it.
    expect(one.broker.publishes.filter(({ topic }) => topic.endsWith("/about"))).toHaveLength(2);
    expect(one.broker.connects).toHaveLength(2);
  });

  test("is told anew of what has changed, while there is a connection", async () => {
    await using one = at();
    one.board.refresh();
    await one.joined();
    one.board.refresh();
    await one.said();
    const told = (topic: string) => one.broker.at(`sb/v1/b1/${topic}`).length;
    expect([told("about"), told("api/boat"), told("api/new")]).toEqual([1, 1, 0]);
    const all = one.board.options.registry.describe();
    one.board.options.registry.describe = () => [...all, { api: "new", verbs: [] }];
    one.board.refresh();
    await one.said();
    expect([told("about"), told("api/boat"), told("api/new")]).toEqual([2, 1, 1]);
    // Once in five minutes that it is there.
    one.look.run();
    one.time.pass(299_999);
    one.look.run();
    await one.said();
    expect(one.broker.at("sb/v1/b1/status")).toHaveLength(1);
    one.time.pass(1);
    one.look.run();
    await one.said();
    expect(one.broker.at("sb/v1/b1/status")).toHaveLength(2);
    one.broker.cut();
    while (one.board.isJoined) await turn();
    one.time.pass(400_000);
    one.look.run();
    await one.joined();
    await one.said();
    expect(one.broker.at("sb/v1/b1/status")).toHaveLength(3);
  });

  test("is asked once what Home Assistant was told, and then no more", async () => {
    const HOME = "h/device/b1/config";
    const fleet = { homeassistant: { operator: "ha", prefix: "h" } };
    {
      await using other = at({ fleet });
      await other.joined();
      await other.board.close();
      expect(other.broker.at(HOME).at(-1)?.text).not.toBe("");
    }
    await using one = at({ fleet });
    const { broker } = one;
    await one.joined();
    expect(broker.subscribes[1]?.subscriptions).toEqual([
      { topic: HOME, qos: 0, nl: false, rap: true, rh: 0 },
    ]);
    one.message(HOME, '{"components":{"boat_old":{}}}', { retain: true, qos: 0 });
    one.message(HOME, '{"components":{"boat_older":{}}}', { retain: true, qos: 0 });
    await one.said();
    expect(broker.got.filter(({ cmd }) => cmd === "unsubscribe")).toMatchObject([
      { unsubscriptions: [HOME] },
    ]);
    const all = broker.at(HOME).map(({ text }) => text);
    expect([all.some((text) => text.includes("old")), all.join().includes("older")]).toEqual([
      true,
      false,
    ]);
    broker.cut();
    await one.joined();
    const again = broker.subscribes.slice(2).flatMap(({ subscriptions }) => subscriptions);
    expect(again.map(({ topic }) => topic)).toEqual([
      ...["sb/v1/b1/call/#", "sb/v1/b1/flow/#", "sb/v1/_group/all/call/#"],
    ]);
    await one.board.close(true);
    expect(broker.at(HOME).at(-1)?.text).toBe("");
  });
});

describe("a message", () => {
  test("that is none is told of, five times a minute", async () => {
    await using one = at();
    await one.joined();
    one.told.length = 0;
    for (let i = 0; i < 6; i++) one.flow("x", "{}", { retain: true });
    expect(one.told).toEqual(Array(5).fill("fleet: ignored: a message of op1 that is retained"));
    one.time.pass(60_000);
    one.flow("x", "5");
    expect(one.told).toHaveLength(5);
    one.time.pass(1);
    const long = `{"seq":1${" ".repeat(1024)}`;
    for (const nothing of ["5", "{", "[]", `[${"0,".repeat(500)}0]`, long, "{}"])
      one.flow("x", nothing);
    expect(one.told.slice(5)).toEqual(
      Array(5).fill("fleet: ignored: a message of op1 that says nothing"),
    );
    one.time.pass(60_001);
    one.message("sb/v1/b2/flow/op1/x", "{}");
    expect(one.told.slice(10)).toEqual(['fleet: ignored: a message to "sb/v1/b2/flow/op1/x"']);
  });

  test("at which something fails ends nothing", async () => {
    await using one = at();
    await one.joined();
    one.told.length = 0;
    one.board.options.registry.describe = () => {
      throw new Error("a bug");
    };
    one.call("x", { more: { dup: true } });
    expect(one.told).toEqual([expect.stringMatching(/^fleet: a message failed: .*a bug/)]);
    one.call("y");
    expect(await one.said("y")).toHaveLength(1);
  });

  test("in the course of a call is as long as it need be, and says only what it can say", async () => {
    await using one = at({ answering: (_, { args }) => (args === undefined ? TASK : success()) });
    await one.joined();
    one.call("x");
    await one.said();
    one.flow("x", `{"stop":1,"leave":"true","seq":-1,"from":0.5}`);
    one.flow("x", `{"stop":1,"leave":1,"seq":"0","from":null}`);
    await one.said();
    expect([one.requests.length, one.requests[0]?.client?.connected]).toEqual([1, true]);
    one.flow("x", `{"stop":true,"signal":"SIGINT"}`.padEnd(1024));
    expect(one.requests[1]?.args).toEqual({ action: "stop", args: { pid: 7, signal: "SIGINT" } });
    one.flow("x", `{"stop":true}`.padEnd(1025));
    expect(one.requests).toHaveLength(2);
    one.time.pass(1000);
    one.flow("x", { from: 0 });
    expect((await one.said("x")).map(({ seq }) => seq)).toEqual(["0", "0"]);
    one.flow("x", { seq: 0 });
    one.time.pass(1000);
    one.flow("x", { from: 0 });
    expect(await one.said("x")).toHaveLength(2);
    one.flow("x", { leave: true });
    expect((await one.said("x")).map(({ kind }) => kind)).toEqual([
      "accepted",
      "accepted",
      "reply",
    ]);
  });

  test("of a call that nobody knows is answered to who asks for it, and may call", async () => {
    await using one = at({ options: { knows: (operator) => operator === "op1" } });
    await one.joined();
    one.flow("x", { seq: 5 });
    one.message("sb/v1/b1/flow/op2/x", '{"from":0}');
    expect(await one.said("x")).toEqual([]);
    expect(one.broker.at(out("x", "op2"))).toEqual([]);
    one.flow("x", { from: 3 });
    const [lost] = await one.said("x");
    expect([lost?.kind, lost?.seq, lost?.properties.userProperties?.["lost"]]).toEqual([
      ...["reply", "0", "true"],
    ]);
    expect(lost && [statusOf(lost), infoOf(lost)]).toEqual([
      "no-item",
      "this board does not know such a call",
    ]);
  });
});

describe("a call", () => {
  test("is answered where it was asked to, for a minute", async () => {
    await using one = at({ answering: () => success("x".repeat(70 << 10)) });
    await one.joined();
    const correlationData = Buffer.from("c");
    const userProperties = { token: "t" };
    one.call("a", { properties: { correlationData, userProperties } });
    const [part, reply] = await one.said("a");
    expect(part).toMatchObject({ kind: "part", seq: "0", retain: false });
    expect(part?.properties).toEqual({
      ...{ correlationData, messageExpiryInterval: 60 },
      userProperties: Object.assign(Object.create(null), { kind: "part", seq: "0" }) as object,
    } as never);
    expect(reply?.properties).toMatchObject({
      ...{ correlationData, messageExpiryInterval: 60, contentType: "application/json" },
      userProperties: { kind: "reply", seq: "1" },
    });
    expect(one.requests[0]).toMatchObject({
      ...{ api: "boat", verb: "horn", session: { uuid: "mqtt.op1" } },
      ...{ caller: { operator: "op1", via: "mqtt", token: "t" }, from: { peer: "mqtt:op1" } },
    });
    one.call("b");
    await one.said();
    expect(one.requests[1]?.caller).toEqual({ operator: "op1", via: "mqtt" });
    expect(one.requests[1]?.session).toBe(one.requests[0]?.session as never);
  });

  test("that is refused is answered and told, with who it was", async () => {
    await using one = at({
      options: { knows: (name) => name !== "op2", named: ({ token }) => token && `of ${token}` },
    });
    await one.joined();
    one.call("a", { operator: "op2" });
    one.call("b", { payload: "{" });
    one.call("c", { payload: "{", properties: { userProperties: { token: "t" } } });
    await one.said();
    const [forbidden] = one.broker.at(out("a", "op2"));
    expect([forbidden?.kind, forbidden?.seq, forbidden?.properties.userProperties]).toMatchObject([
      ...["reply", "0"],
      { refused: "true" },
    ]);
    expect(forbidden && infoOf(forbidden)).toBe(
      'this board knows no operator op2: its access file grants by "mqtt"',
    );
    expect(one.refused).toMatchObject([
      {
        ...{ api: "boat", verb: "horn", action: "start", status: "forbidden", hidden: true },
        caller: { operator: "op2", via: "mqtt" },
      },
      { status: "invalid-request", info: expect.stringContaining("not JSON") as unknown },
      { status: "invalid-request" },
    ]);
    expect(one.refused[0]?.time).toBeWithin(Date.now() - 30_000, Date.now() + 1);
    expect(one.requests).toEqual([]);
  });

  test("of a button is told, and not answered", async () => {
    await using one = at({ fleet: { homeassistant: { operator: "ha", prefix: "h" } } });
    await one.joined();
    const before = one.broker.publishes.length;
    for (const payload of ["{", "{}"])
      one.call("", { operator: "ha", payload, more: { qos: 0, properties: {} } });
    await one.said();
    expect([one.refused.length, one.requests.length]).toEqual([1, 1]);
    expect(one.broker.publishes.slice(before).map(({ topic }) => topic)).toEqual([out("mark-1")]);
  });

  test("comes again: it is not run again, and answered as far as that is known", async () => {
    const texts = ["first", "x".repeat(16 << 10)];
    await using one = at({ answering: () => success(texts.shift() ?? "more") });
    await one.joined();
    one.call("a");
    one.call("long");
    const [first] = await one.said("a");
    one.call("a", { payload: "5" });
    expect(one.told.at(-1)).toBe("fleet: ignored: two calls of op1 with the same id");
    one.call("a");
    one.call("long");
    const [, again] = await one.said("a");
    expect([again?.text, again?.seq, again?.properties.userProperties]).toMatchObject([
      ...[first?.text, "0"],
      { kind: "reply", late: "true" },
    ]);
    const [, forgotten] = await one.said("long");
    expect([
      forgotten?.seq,
      forgotten && statusOf(forgotten),
      forgotten && infoOf(forgotten),
    ]).toEqual([...["0", "bad-state", "this call was answered before, and is not run again"]]);
    expect(one.requests).toHaveLength(2);
    // What was confirmed is known for a minute after it has expired.
    one.flow("a", { seq: 0 });
    one.time.pass(79_999);
    one.look.run();
    one.call("a");
    await one.said();
    expect(one.requests).toHaveLength(2);
    one.time.pass(1);
    one.look.run();
    one.call("a");
    await one.said();
    expect(one.requests).toHaveLength(3);
  });

  test("comes again while it is under way: what was not confirmed is sent again", async () => {
    await using one = at({ answering: () => TASK });
    await one.joined();
    one.call("a");
    await one.said();
    one.call("a");
    expect(await one.said("a")).toHaveLength(1);
    one.time.pass(1000);
    one.call("a");
    expect((await one.said("a")).map(({ kind }) => kind)).toEqual(["accepted", "accepted"]);
    expect(one.requests).toHaveLength(1);
  });

  test("that a broker delivers once more may have been done before this server was there", async () => {
    await using one = at({ fleet: { expiry: 30 } });
    await one.joined();
    const { registry } = one.board.options;
    const [{ verbs = [], ...api } = {}] = registry.describe();
    const tools = [
      { readonly: true },
      { readonly: true, idempotent: false },
      { idempotent: true, readonly: false },
      {},
    ];
    registry.describe = () =>
      [
        { api: "other", verbs: [] },
        {
          ...api,
          verbs: [...verbs, ...tools.map((tool, i) => ({ ...verbs[0], name: `t${i}`, tool }))],
        },
      ] as never;
    const again = (id: string, verb: string) => one.call(id, { verb, more: { dup: true } });
    for (const verb of ["t0", "T1", "t2", "T3", "horn", "LOOK", "none"]) again(verb, verb);
    one.message("sb/v1/b1/call/op1/nowhere/t0", "", {
      dup: true,
      properties: { responseTopic: out("nowhere"), messageExpiryInterval: 20 },
    });
    await one.said();
    expect(one.requests.map(({ verb }) => verb)).toEqual(["t0", "t2", "LOOK"]);
    const [refused] = one.broker.at(out("horn"));
    expect(refused && [statusOf(refused), infoOf(refused)]).toEqual([
      "bad-state",
      "the board has started anew since this call was first sent: it may have been done",
    ]);
    one.time.pass(29_999);
    again("before", "horn");
    one.time.pass(1);
    again("after", "horn");
    await one.said();
    expect(one.requests.slice(3).map(({ verb }) => verb)).toEqual(["horn"]);
    expect(one.broker.at(out("after"))[0]?.properties.userProperties).not.toHaveProperty("refused");
  });

  test("finds room for so many of each operator, and of all", async () => {
    await using one = at({ answering: () => new Promise(() => {}) });
    await one.joined();
    for (const operator of ["op1", "op2", "op3", "op4"])
      for (let i = 0; i < 65; i++) one.call(`${i}`, { operator });
    one.call("0", { operator: "op5" });
    await one.said();
    expect(one.requests).toHaveLength(256);
    for (const [id, operator] of [
      ["64", "op1"],
      ["64", "op4"],
      ["0", "op5"],
    ] as const) {
      const [busy] = one.broker.at(out(id, operator));
      expect(busy && [statusOf(busy), infoOf(busy)]).toEqual([
        "busy",
        "too many calls are open on this board: try again",
      ]);
    }
  });

  test("whose answer is refused at once fills no memory", async () => {
    await using one = at({ options: { knows: () => false } });
    for (let i = 0; i < 1010; i++) one.call(`${i}`);
    expect(one.refused).toHaveLength(1010);
    await one.joined();
    expect(one.broker.publishes.filter(({ topic }) => topic.startsWith(out("")))).toHaveLength(
      1001,
    );
  });

  test("that is over is there until all has arrived, or nobody asks for it", async () => {
    await using one = at();
    await one.joined();
    const isKept = async (id: string) => {
      const before = (await one.said(id)).length;
      one.flow(id, { from: 0 });
      const late = (await one.said(id)).slice(before);
      return late.map(({ properties }) => properties.userProperties?.["late"] === undefined);
    };
    for (let i = 0; i < 257; i++) {
      one.call(`${i}`);
      await turn();
    }
    one.time.pass(1000);
    // Only the last answer is kept of the first.
    expect([await isKept("0"), await isKept("1")]).toEqual([[false], [true]]);
    one.flow("2", { seq: 0 });
    one.look.run();
    expect(await isKept("2")).toEqual([false]);
    // Nothing was heard of its operator since it has begun.
    one.time.pass(29_000);
    one.look.run();
    expect(await isKept("3")).toEqual([true]);
    one.time.pass(1);
    one.look.run();
    expect(await isKept("4")).toEqual([false]);
    one.time.pass(999);
    expect(await isKept("3")).toEqual([true]);
  });
});

describe("a call under way", () => {
  const open = async (one: ReturnType<typeof at>, id: string, properties = {}) => {
    await one.joined();
    one.call(id, { properties });
    await one.said();
    return one.requests[0]?.client as Required<Request>["client"];
  };

  test("ends when its time is over", async () => {
    await using one = at({ answering: () => TASK });
    const client = await open(one, "a", { userProperties: { timeout: "5000" } });
    one.time.pass(5000);
    one.look.run();
    expect(client.connected).toBe(true);
    one.time.pass(1);
    one.look.run();
    const reply = (await one.said("a")).at(-1);
    expect(reply && [statusOf(reply), infoOf(reply)]).toEqual([
      "timeout",
      "not over after 5000 ms",
    ]);
  });

  test("is not missed by who says nothing, but by who has said something, half a minute later", async () => {
    await using one = at({ answering: () => TASK });
    const client = await open(one, "a");
    one.time.pass(3_600_000);
    one.look.run();
    expect(client.connected).toBe(true);
    one.flow("a", { seq: 0 });
    // Whose name is taken by another is not who is meant.
    one.message("sb/v1/b1/flow/op2/a", '{"leave":true}');
    one.time.pass(30_000);
    one.look.run();
    expect(client.connected).toBe(true);
    one.time.pass(1);
    one.look.run();
    const reply = (await one.said("a")).at(-1);
    expect(reply && [statusOf(reply), infoOf(reply)]).toEqual([
      "disconnected",
      "nothing was heard of the operator any more",
    ]);
  });

  test("is missed by a task that waits, since it does", async () => {
    await using one = at({ answering: () => TASK });
    const client = await open(one, "a", { userProperties: { window: "1" } });
    one.time.pass(100_000);
    void client.send("boat/horn", { type: "data", pid: 7 });
    await turn();
    one.time.pass(30_000);
    one.look.run();
    expect(client.connected).toBe(true);
    one.time.pass(1);
    one.look.run();
    expect(client.connected).toBe(false);
  });

  test("waits for its operator no longer than there is a connection", async () => {
    await using one = at({ answering: () => TASK });
    const client = await open(one, "a");
    one.flow("a", { seq: 0 });
    one.broker.cut();
    while (one.board.isJoined) await turn();
    one.time.pass(40_000);
    one.look.run();
    expect(client.connected).toBe(true);
    await one.joined();
    one.time.pass(30_000);
    one.look.run();
    expect(client.connected).toBe(true);
    one.time.pass(1);
    one.look.run();
    expect(client.connected).toBe(false);
  });

  test("ends where its operator may not call any more, and its task goes on as asked", async () => {
    let knows = true;
    const { options } = { options: { knows: () => knows } };
    for (const [detach, stops] of [
      ["true", 0],
      ["false", 1],
    ] as const) {
      knows = true;
      await using one = at({ options, answering: () => TASK });
      await open(one, "a", { userProperties: { detach } });
      one.board.refresh();
      expect(one.requests[0]?.client?.connected).toBe(true);
      knows = false;
      one.board.refresh();
      await one.broker.when(() => one.broker.at(out("a")).length > 1);
      const reply = one.broker.at(out("a")).at(-1);
      expect(reply && [statusOf(reply), infoOf(reply)]).toEqual([
        "forbidden",
        "this operator may not call here any more",
      ]);
      expect(one.requests).toHaveLength(1 + stops);
    }
  });

  test("ends with the server, whose task is not the operator's to end by then; more are refused", async () => {
    await using one = at({ answering: () => TASK });
    await open(one, "a", { userProperties: { detach: "false" } });
    const closing = one.board.close();
    one.call("b");
    await closing;
    const last = ["a", "b"].map((id) => one.broker.at(out(id)).at(-1) as Said);
    expect(last.map((said) => [statusOf(said), infoOf(said)])).toEqual([
      ["disconnected", "the server has ended"],
      ["not-available", "the server is shutting down"],
    ]);
    expect(one.requests).toHaveLength(1);
  });
});

test("what others have to do in this process has its turns between two messages", async () => {
  await using one = at();
  await one.joined();
  const begun: number[] = [];
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  one.board.options.registry.call = async () => {
    begun.push(turns);
    // Each costs much.
    one.time.pass(40);
    return success();
  };
  count();
  for (let i = 0; i < 3; i++)
    one.broker.publish("sb/v1/b1/call/op1/boat/horn", "", {
      properties: { responseTopic: out(`${i}`), messageExpiryInterval: 20 },
    });
  await one.broker.when(() => one.broker.at(out("2")).length > 0);
  isOver = true;
  // 40 ms of work are followed by as long a pause.
  expect((begun[2] ?? 0) - (begun[0] ?? 0)).toBeGreaterThan(20);
});

test("sessions of operators are as many as there may be", async () => {
  await using one = at();
  await one.joined();
  for (let i = 0; i < 1024; i++) {
    one.call("x", { operator: `o${i}` });
    if (i % 200 === 0) await one.said();
  }
  one.call("y", { operator: "o0" });
  await one.said();
  // The one that was here last before.
  one.call("x", { operator: "o1024" });
  for (const operator of ["o0", "o2", "o1"]) one.call("z", { operator });
  await one.said();
  const sessions = (name: string) =>
    new Set(one.requests.filter(({ caller }) => caller?.operator === name).map((r) => r.session));
  expect(["o0", "o1", "o2"].map((name) => sessions(name).size)).toEqual([1, 2, 1]);
});
