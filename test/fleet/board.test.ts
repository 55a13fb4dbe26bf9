/** A board, by what it says to its broker and what it makes of what comes. */
import { describe, expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { success } from "../../src/api/reply.ts";
import { boardAt, infoOf, out, statusOf, TASK, turn } from "./board.ts";
import { granting } from "./speaking.ts";

describe("with its broker", () => {
  test("it listens before it says what it is, and says last that it is there", async () => {
    {
      await using patient = boardAt({ fleet: { expiry: 300 } });
      await patient.joined();
      expect(patient.broker.connects[0]?.properties?.sessionExpiryInterval).toBe(300);
    }
    await using one = boardAt({
      fleet: { groups: ["dock"], keepalive: 33, expiry: 10, largest: 5000 },
    });
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
    await using one = boardAt({
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

  test("that does not take it at first is asked again each minute, and told about once", async () => {
    let isRefused = true;
    await using one = boardAt({
      answer: (packet) =>
        packet.cmd === "publish" && packet.topic === "sb/v1/b1/status" && isRefused
          ? { cmd: "puback", messageId: packet.messageId ?? 0, reasonCode: 0x87 }
          : granting(packet),
    });
    const { time, look, broker, told, board } = one;
    const asked = () => broker.subscribes.length;
    const ask = async (): Promise<void> => {
      const before = asked();
      time.pass(60_001);
      look.run();
      await broker.when(() => asked() > before);
    };
    board.start();
    while (told.length < 2) await turn();
    look.run();
    time.pass(60_000);
    look.run();
    await broker.taken();
    expect(asked()).toBe(1);
    const statuses = () => broker.at("sb/v1/b1/status").length;
    await ask();
    await broker.when(() => statuses() === 2);
    await broker.taken();
    await turn();
    expect(board.isJoined).toBe(false);
    isRefused = false;
    await ask();
    while (!board.isJoined) await turn();
    time.pass(60_001);
    look.run();
    await broker.taken();
    expect([asked(), told.filter((text) => !text.includes("nobody"))]).toEqual([
      3,
      [
        "fleet: connected to the broker",
        "fleet: Publish error: Not authorized (sb/v1/b1/status)",
        "fleet: the broker takes now what it refused",
      ],
    ]);
  });

  test("that lets it listen no more is not taken for joined by what was said to it before", async () => {
    let isBack = false;
    await using one = boardAt({
      answer: (packet) => {
        if (packet.cmd === "publish" && packet.topic === "sb/v1/b1/status" && !isBack) return null;
        if (packet.cmd !== "subscribe" || !isBack) return granting(packet);
        const granted = packet.subscriptions.map(() => 0x87);
        return { cmd: "suback", messageId: packet.messageId ?? 0, granted };
      },
    });
    const { board, broker, look, time } = one;
    board.start();
    const statuses = () => broker.at("sb/v1/b1/status").length;
    await broker.when(() => statuses() === 1);
    isBack = true;
    await broker.when(() => statuses() === 2 && broker.subscribes.length === 2);
    await broker.taken();
    await turn();
    expect(board.isJoined).toBe(false);
    // So it is asked for again.
    time.pass(60_001);
    look.run();
    await broker.when(() => broker.subscribes.length === 3);
  });

  test("to whom it says that it goes it says nothing more of being there", async () => {
    await using one = boardAt({
      answer: (packet) =>
        packet.cmd === "subscribe" || packet.cmd === "publish" ? undefined : granting(packet),
    });
    one.board.start();
    await one.broker.when(() => one.broker.subscribes.length > 0);
    const closing = one.board.close();
    await one.broker.when(() => one.broker.publishes.length > 0);
    // It may listen before its last words are confirmed.
    const [{ messageId = 0, subscriptions = [] } = {}] = one.broker.subscribes;
    one.broker.send({ cmd: "suback", messageId, granted: subscriptions.map(() => 1) });
    await one.broker.taken();
    const [{ messageId: last = 0 } = {}] = one.broker.publishes;
    one.broker.send({ cmd: "puback", messageId: last });
    await closing;
    expect(one.broker.at("sb/v1/b1/status").map(({ text }) => text)).toEqual(["offline"]);
  });

  test("from whom it was cut off it joins again, and goes on with what was to be said", async () => {
    await using one = boardAt({ answering: () => TASK });
    await one.joined();
    one.call("a");
    await one.said();
    const { client } = one.requests[0] as Required<Request>;
    one.broker.cut();
    while (one.board.isJoined) await turn();
    void client.send("boat/horn", { type: "data", pid: 7, stdout: "while away" });
    void client.send("boat/horn", { type: "final-event", pid: 7, status: { exit: 0 } });
    one.call("b");
    await one.joined();
    const [accepted, event, reply] = await one.said("a");
    expect([accepted?.kind, event?.kind, reply?.kind]).toEqual(["accepted", "event", "reply"]);
    expect(event?.text).toContain("while away");
    // Once more all of it.
    expect(one.broker.publishes.filter(({ topic }) => topic.endsWith("/about"))).toHaveLength(2);
    expect(one.broker.connects).toHaveLength(2);
  });

  test("which knows it, but never got what it asked for, is asked on the next connection", async () => {
    let isDeaf = true;
    await using one = boardAt({
      answer: (packet) => {
        if (packet.cmd === "connect")
          return { cmd: "connack", sessionPresent: !isDeaf, reasonCode: 0 };
        if (packet.cmd !== "subscribe" || !isDeaf) return granting(packet);
        isDeaf = false;
        return null;
      },
    });
    await one.joined();
    expect(one.broker.connects).toHaveLength(2);
    const [first, second] = one.broker.subscribes.map(({ subscriptions }) => subscriptions);
    expect(second).toEqual(first as never);
  });

  test("is told once more that it is there, which it is not before", async () => {
    let isHeld = false;
    await using one = boardAt({
      answer: (packet) =>
        isHeld && packet.cmd === "publish" && packet.topic.endsWith("/status")
          ? undefined
          : granting(packet),
    });
    await one.joined();
    isHeld = true;
    one.broker.cut();
    await one.broker.when(() => one.broker.at("sb/v1/b1/status").length > 1);
    await turn();
    expect(one.board.isJoined).toBe(false);
    const { messageId = 0 } = one.broker.publishes.at(-1) ?? {};
    one.broker.send({ cmd: "puback", messageId });
    while (!one.board.isJoined) await turn();
    isHeld = false;
  });

  test("is told anew of what has changed, while there is a connection", async () => {
    await using one = boardAt();
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

  test("that does not let it read what Home Assistant was told is told the rest", async () => {
    const HOME = "h/device/b1/config";
    let isGone = true;
    await using one = boardAt({
      fleet: { homeassistant: { operator: "ha", prefix: "h" } },
      answer: (packet) => {
        if (packet.cmd !== "subscribe" || packet.subscriptions[0]?.topic !== HOME)
          return granting(packet);
        // A connection that ends is no refusal.
        if (isGone) return null;
        return { cmd: "suback", messageId: packet.messageId ?? 0, granted: [0x87] };
      },
    });
    one.board.start();
    await one.broker.when(() => one.broker.subscribes.length === 2);
    isGone = false;
    await one.joined();
    expect(one.broker.subscribes.map(({ subscriptions }) => subscriptions[0]?.topic)).toEqual([
      ...["sb/v1/b1/call/#", HOME, "sb/v1/b1/call/#", HOME],
    ]);
    expect(one.told.at(-1)).toBe(
      `fleet: the broker refuses ${HOME}: Subscribe error: Not authorized`,
    );
    expect(one.broker.at(HOME)).toHaveLength(1);
    one.broker.cut();
    await one.joined();
    expect(one.broker.subscribes).toHaveLength(5);
  });

  test("is asked once what Home Assistant was told, and then no more", async () => {
    const HOME = "h/device/b1/config";
    const fleet = { homeassistant: { operator: "ha", prefix: "h" } };
    {
      await using other = boardAt({ fleet });
      await other.joined();
      await other.board.close();
      expect(other.broker.at(HOME).at(-1)?.text).not.toBe("");
    }
    await using one = boardAt({ fleet });
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
    await using one = boardAt();
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
    await using one = boardAt();
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
    await using one = boardAt({
      answering: (_, { args }) => (args === undefined ? TASK : success()),
    });
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
    await using one = boardAt({ options: { knows: (operator) => operator === "op1" } });
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

test("what others have to do in this process has its turns between two messages", async () => {
  await using one = boardAt();
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
