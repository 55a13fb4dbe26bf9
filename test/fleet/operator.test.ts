/** An operator, by what it says to its broker and makes of what comes, at times that the test chooses. */
import { describe, expect, setSystemTime, spyOn, test } from "bun:test";
import type { Packet } from "mqtt-packet";
import { success } from "../../src/api/reply.ts";
import { Operator, type OperatorOptions } from "../../src/fleet/operator.ts";
import { clock } from "./clock.ts";
import { fleetFor, invocation } from "./simulated.ts";
import { type Answer, granting, speaking, until } from "./speaking.ts";

const OK = success("x");

/** At a broker that the test speaks for. */
function at(options: Partial<OperatorOptions> = {}, answer: Answer = granting) {
  const time = clock();
  const broker = speaking(answer);
  const told: string[] = [];
  const seen: string[] = [];
  const [operator, look] = time.making(
    () =>
      new Operator({
        ...{ fleet: fleetFor(broker), operator: "op1", tell: (text) => told.push(text) },
        seen: (board, kind) => seen.push(`${board} ${kind}`),
        ...options,
      }),
  );
  const tell = (topic: string, payload: string) =>
    broker.publish(`sb/v1/${topic}`, payload, { qos: 0, retain: true });
  const reply = (topic: string, user = {}) =>
    broker.publish(`sb/v1/${topic}`, JSON.stringify(OK), {
      properties: { userProperties: { kind: "reply", seq: "0", ...user } },
    });
  return {
    ...{ time, broker, operator, look, told, seen, tell, reply },
    async [Symbol.asyncDispose]() {
      await operator.close();
      broker[Symbol.dispose]();
      time[Symbol.dispose]();
    },
  };
}
/** Whether it has settled by now. */
const isDone = async (working: Promise<unknown>): Promise<boolean> => {
  let isSettled = false;
  const settled = (): void => void (isSettled = true);
  void working.then(settled, settled);
  // Longer than between two looks of who waits.
  await Bun.sleep(25);
  return isSettled;
};
const topicsOf = (packets: readonly Packet[]) =>
  packets.flatMap((packet) =>
    packet.cmd === "unsubscribe"
      ? packet.unsubscriptions
      : packet.cmd === "subscribe"
        ? packet.subscriptions.map(({ topic }) => topic)
        : [],
  );

describe("a connection", () => {
  test("on which it is refused what it asks for is told of, and it asks again after a minute", async () => {
    let isRefused = false;
    await using one = at({}, (packet) => {
      if (packet.cmd !== "subscribe" || !isRefused) return granting(packet);
      const granted = packet.subscriptions.map(() => 0x87);
      return { cmd: "suback", messageId: packet.messageId ?? 0, granted };
    });
    const { broker, operator, look, time, told } = one;
    await operator.connect();
    await operator.expectAll();
    isRefused = true;
    broker.cut();
    await broker.when(() => broker.subscribes.length === 2);
    const refusal = "the broker refuses sb/v1/+/out/op1/#: Subscribe error: Not authorized";
    await until(() => told.includes(refusal));
    time.pass(60_000);
    look.run();
    await broker.taken();
    expect(broker.subscribes).toHaveLength(2);
    for (isRefused of [true, false]) {
      const before = broker.subscribes.length;
      time.pass(60_001);
      look.run();
      await broker.when(() => broker.subscribes.length > before);
      await broker.taken();
      await new Promise((resolve) => setImmediate(resolve));
    }
    time.pass(60_001);
    look.run();
    await broker.taken();
    expect(broker.subscribes).toHaveLength(4);
    expect(told.filter((text) => text === refusal)).toHaveLength(1);
  });

  test("is one of many of the same name, and is forgotten with its end", async () => {
    await using one = at();
    expect([one.look.ms, one.look.keeps]).toEqual([1000, false]);
    await one.operator.connect();
    expect(one.operator.isConnected).toBe(true);
    expect(one.broker.connects[0]).toMatchObject({
      ...{ username: "op1", keepalive: 30, clean: false },
      clientId: expect.stringMatching(/^op1-[0-9a-f]{8}-[0-9a-f]{4}$/) as unknown,
      properties: { sessionExpiryInterval: 300, maximumPacketSize: (4 << 20) + 65_536 },
    });
    expect(one.broker.connects[0]?.will).toBeFalsy();
    await one.operator.close();
    await one.broker.when(() => one.broker.got.at(-1)?.cmd === "disconnect");
    expect(one.broker.got.at(-1)).toMatchObject({ properties: { sessionExpiryInterval: 0 } });
    expect([one.look.isCleared(), one.operator.isConnected, one.told]).toEqual([true, false, []]);
  });

  test("is not there: it says why, and is told of only once there was one", async () => {
    let isThere = false;
    await using one = at({}, (packet) =>
      packet.cmd === "connect" && !isThere
        ? { cmd: "connack", sessionPresent: false, reasonCode: 0x87 }
        : granting(packet),
    );
    const said = await one.operator.connect().catch((error: Error) => error.message);
    expect([said, one.told]).toEqual([expect.stringMatching(/uthorized/), []]);
    isThere = true;
    await until(() => one.operator.isConnected);
    one.broker.send({ cmd: "disconnect", reasonCode: 0x8b });
    await until(() => one.told.length > 0);
    one.broker.cut();
    await until(() => one.told.length > 1);
    expect(one.told).toEqual([
      "the broker ends the connection: it is shutting down",
      "connected to the broker",
    ]);
  });

  test("that was broken is told on the next what became of boards meanwhile, whatever the broker knows", async () => {
    for (const sessionPresent of [true, false]) {
      await using one = at({}, (packet) =>
        packet.cmd === "connect"
          ? { cmd: "connack", sessionPresent, reasonCode: 0 }
          : granting(packet),
      );
      const { operator, broker } = one;
      await operator.connect();
      const looking = operator.look("b1");
      await broker.when(() => broker.subscribes.length === 1);
      one.tell("b1/about", "{}");
      one.tell("b1/status", "online");
      await looking;
      await operator.expect("x");
      await operator.expect("y");
      operator.ignore("y");
      await broker.when(() => broker.got.some(({ cmd }) => cmd === "unsubscribe"));
      const before = broker.subscribes.length;
      broker.cut();
      await broker.when(() => broker.subscribes.length === before + 2);
      await broker.taken();
      // Each once.
      expect(broker.subscribes.slice(before).map(({ subscriptions }) => subscriptions)).toEqual([
        broker.subscribes[0]?.subscriptions,
        broker.subscribes[1]?.subscriptions,
      ] as never);
      one.tell("b1/status", "offline");
      await until(() => !operator.presence.isOnline("b1"));
    }
  });

  test("that nobody answers is given up after twenty seconds", async () => {
    await using one = at({}, () => undefined);
    const real = globalThis.setTimeout;
    let over = (): void => {};
    const timers = spyOn(globalThis, "setTimeout").mockImplementation(((
      run: () => void,
      ms: number,
    ) => {
      if (ms === 20_000) over = run;
      return real(run, ms);
    }) as typeof setTimeout);
    try {
      const connecting = one.operator.connect().catch((error: Error) => error.message);
      await one.broker.when(() => one.broker.connects.length > 0);
      over();
      expect(await connecting).toBe("the broker does not answer");
    } finally {
      timers.mockRestore();
    }
  });

  test("is held for what was said, for two seconds", async () => {
    let isConfirming = false;
    await using one = at({}, (packet) =>
      packet.cmd === "publish" && !isConfirming ? undefined : granting(packet),
    );
    await one.operator.connect();
    one.operator.say("b1", "x", { stop: true });
    await one.broker.when(() => one.broker.publishes.length > 0);
    const closing = one.operator.close();
    one.time.pass(1999);
    expect(await isDone(closing)).toBe(false);
    expect(one.operator.isConnected).toBe(true);
    one.time.pass(1);
    await until(() => !one.operator.isConnected);
    expect(one.broker.got.at(-1)?.cmd).toBe("publish");
    one.broker.send({ cmd: "puback", messageId: one.broker.publishes[0]?.messageId ?? 0 });
    await closing;
    isConfirming = true;
    expect(one.broker.at("sb/v1/b1/flow/op1/x")).toMatchObject([
      { text: '{"stop":true}', properties: { messageExpiryInterval: 20 } },
    ]);
  });
});

describe("what the broker keeps", () => {
  test("has come when nothing new comes, or all of one board, or after a while", async () => {
    await using one = at();
    await one.operator.connect();
    const { operator, broker, time, tell } = one;
    const looking = operator.look();
    await broker.when(() => broker.subscribes.length > 0);
    expect(broker.subscribes[0]?.subscriptions).toEqual(
      ["about", "status"].map((kind) => ({
        ...{ topic: `sb/v1/+/${kind}`, qos: 0, nl: false, rap: true, rh: 0 },
      })),
    );
    time.pass(399);
    expect(await isDone(looking)).toBe(false);
    // Also what is no news keeps it.
    tell("b1/status", "online");
    tell("b1/status", "online");
    await until(() => one.seen.length > 0);
    time.pass(399);
    tell("b1/status", "online");
    expect(await isDone(looking)).toBe(false);
    time.pass(399);
    tell("b1/other", "x");
    expect(await isDone(looking)).toBe(false);
    time.pass(1);
    await looking;
    expect([one.seen, operator.presence.isOnline("b1")]).toEqual([["b1 status"], true]);

    const board = operator.look("b2");
    tell("b2/about", "{}");
    await until(() => one.seen.length > 1);
    expect(await isDone(board)).toBe(false);
    tell("b2/status", "offline");
    await board;
    expect(one.seen.slice(1)).toEqual(["b2 about", "b2 status"]);

    const busy = operator.look("b3");
    await broker.when(() => broker.subscribes.length === 3);
    // From the answer to that on.
    expect(await isDone(busy)).toBe(false);
    for (let i = 0; i < 50; i++) {
      if (i > 0) time.pass(300);
      tell("b3/status", i % 2 === 0 ? "online" : "offline");
      await until(() => one.seen.length === 4 + i);
    }
    time.pass(299);
    expect(await isDone(busy)).toBe(false);
    time.pass(1);
    await busy;
  });

  test("of the verbs of a board is asked for, and forgotten, but for what it has no more", async () => {
    await using one = at();
    await one.operator.connect();
    const { operator, broker, time, tell } = one;
    const describe = async (says: () => void) => {
      const before = broker.subscribes.length;
      const asking = operator.describe("b1");
      await broker.when(() => broker.subscribes.length > before);
      says();
      return asking;
    };
    const about = (apis: string[]) => tell("b1/about", JSON.stringify({ apis }));
    const found = await describe(() => {
      about(["boat", "crane"]);
      for (const api of ["old", "boat", "crane"]) tell(`b1/api/${api}`, `"${api}"`);
    });
    expect([...found]).toEqual([
      ["boat", "boat"],
      ["crane", "crane"],
    ]);
    expect(broker.subscribes[0]?.subscriptions).toMatchObject([
      { topic: "sb/v1/b1/api/+", qos: 0, rh: 0 },
    ]);
    await broker.when(() => broker.got.at(-1)?.cmd === "unsubscribe");
    expect(topicsOf(broker.got)).toEqual(["sb/v1/b1/api/+", "sb/v1/b1/api/+"]);
    // What does not come is not waited for.
    const asking = describe(() => tell("b1/api/boat", '"boat"'));
    await until(() => one.seen.filter((what) => what === "b1 api").length === 4);
    time.pass(399);
    expect(await isDone(asking)).toBe(false);
    time.pass(1);
    expect([...(await asking)]).toEqual([["boat", "boat"]]);
    const busy = describe(() => {});
    expect(await isDone(busy)).toBe(false);
    const before = one.seen.length;
    for (let i = 0; i < 50; i++) {
      if (i > 0) time.pass(300);
      tell("b1/api/boat", `${i}`);
      await until(() => one.seen.length === before + 1 + i);
    }
    time.pass(299);
    expect(await isDone(busy)).toBe(false);
    time.pass(1);
    await busy;
    // Of one that says nothing of itself there is nothing to wait for but what comes.
    const none = operator.describe("b2");
    expect(await isDone(none)).toBe(false);
    time.pass(400);
    expect([...(await none)]).toEqual([]);
  });
});

describe("a call", () => {
  test("says where its answer goes, how long it is worth something, and what it may take", async () => {
    await using one = at();
    const { operator, broker, reply } = one;
    await operator.connect();
    await operator.expect("x");
    await operator.expectAll();
    const call = operator.call(
      "b1",
      "x",
      invocation({ args: "[1]", expiry: 7, timeout: 500, detach: false, token: "t" }),
    );
    const group = operator.callGroup("dock", ["b1", "b2"], "y", invocation());
    await broker.when(() => broker.publishes.length === 2);
    expect(broker.at("sb/v1/b1/call/op1/boat/horn")).toMatchObject([
      { text: "[1]", retain: false },
    ]);
    expect(broker.publishes.map(({ properties }) => ({ ...properties }))).toEqual([
      {
        ...{ responseTopic: "sb/v1/b1/out/op1/x", contentType: "application/json" },
        messageExpiryInterval: 7,
        userProperties: { window: "64", timeout: "500", detach: "false", token: "t" },
      },
      {
        ...{ correlationData: Buffer.from("y"), contentType: "application/json" },
        ...{ messageExpiryInterval: 20, userProperties: { window: "64" } },
      },
    ] as never);
    expect(broker.publishes[1]?.topic).toBe("sb/v1/_group/dock/call/op1/boat/horn");
    // To another operator, or of another call.
    for (const topic of [
      "b1/out/op2/x",
      "b1/out/op1/z",
      "b1/out/op1",
      "b3/out/op1/x",
      "_x/out/op1/x",
    ])
      reply(topic);
    for (const topic of ["b1/out/op1/x", "b2/out/op1/y", "b1/out/op1/y"]) reply(topic);
    expect(await Promise.all([call, ...group])).toEqual(
      ["b1", "b1", "b2"].map((board) => ({ board, result: "ok", reply: OK })) as never,
    );
    operator.ignore("x");
    await broker.when(() => broker.got.at(-1)?.cmd === "unsubscribe");
    expect(topicsOf(broker.got)).toEqual([
      ...["sb/v1/+/out/op1/x", "sb/v1/+/out/op1/#", "sb/v1/+/out/op1/x"],
    ]);
    expect(one.seen).toEqual([]);
  });

  test("that the broker does not take is refused, on all boards", async () => {
    await using one = at({}, (packet) =>
      packet.cmd === "publish"
        ? { cmd: "puback", messageId: packet.messageId ?? 0, reasonCode: 0x87 }
        : granting(packet),
    );
    await one.operator.connect();
    const outcomes = await Promise.all([
      one.operator.call("b1", "x", invocation()),
      ...one.operator.callGroup("dock", ["b1", "b2"], "y", invocation()),
    ]);
    expect(outcomes).toEqual(
      ["b1", "b1", "b2"].map((board) => ({
        ...{ board, result: "refused" },
        info: expect.stringMatching(/^the broker does not take it: .*uthorized/) as unknown,
      })) as never,
    );
  });

  test("is told of its end where nobody waits, and asked for after a broken connection", async () => {
    await using one = at({ away: 500 });
    const { operator, broker } = one;
    await operator.connect();
    const calls = ["x", "y"].map((id) => operator.call("b1", id, invocation()));
    expect([operator.sayAll({ stop: true }, "x"), operator.sayAll({ stop: true })]).toEqual([1, 2]);
    operator.abandon("x", "why");
    expect(await calls[0]).toEqual({ board: "b1", result: "timeout", info: "why" });
    expect(operator.sayAll({ leave: true })).toBe(1);
    one.broker.publish("sb/v1/b1/out/op1/y", "{}", {
      properties: { userProperties: { kind: "accepted", seq: "0" } },
    });
    one.tell("b1/status", "offline");
    await until(() => one.seen.length > 0);
    const before = broker.at("sb/v1/b1/flow/op1/y").length;
    broker.cut();
    await broker.when(() => broker.at("sb/v1/b1/flow/op1/y").length > before);
    expect(broker.at("sb/v1/b1/flow/op1/y").at(-1)?.text).toBe('{"seq":0,"from":1}');
    one.look.run();
    one.time.pass(501);
    one.look.run();
    expect(await calls[1]).toMatchObject({ info: "it went offline while it was at it" });
  });

  test("is over where nothing is heard of its board any more, though nobody has said that it is gone", async () => {
    await using one = at({ away: 500 });
    const { operator, broker } = one;
    await operator.connect();
    const call = operator.call("b1", "y", invocation());
    broker.publish("sb/v1/b1/out/op1/y", "{}", {
      properties: { userProperties: { kind: "accepted", seq: "0" } },
    });
    const sign = async (age: number): Promise<void> => {
      const properties = { messageExpiryInterval: 604_800 - age };
      broker.publish("sb/v1/b1/status", "online", { qos: 0, retain: true, properties });
      await broker.taken();
    };
    const looked = (ms: number): Promise<boolean> => {
      one.time.pass(ms);
      one.look.run();
      return isDone(call);
    };
    await sign(650);
    expect([await looked(0), await looked(9000), await looked(501)]).toEqual([false, false, false]);
    // Another clock is not another time.
    setSystemTime(new Date(Date.now() + 86_400_000));
    expect(await looked(100)).toBe(false);
    setSystemTime();
    await looked(1000);
    await sign(0);
    expect([await looked(501), await looked(660_000)]).toEqual([false, false]);
    await looked(1);
    expect(await looked(501)).toBe(true);
    expect(await call).toMatchObject({ info: "it went offline while it was at it" });
  });

  test("goes on with a board that answers, whatever became of its signs of life", async () => {
    await using one = at({ away: 500 });
    const { operator, broker } = one;
    await operator.connect();
    const call = operator.call("b1", "y", invocation());
    const answer = async (seq: number): Promise<void> => {
      const kind = seq === 0 ? "accepted" : "event";
      broker.publish("sb/v1/b1/out/op1/y", "{}", {
        properties: { userProperties: { kind, seq: `${seq}` } },
      });
      await broker.taken();
    };
    const properties = { messageExpiryInterval: 604_800 };
    broker.publish("sb/v1/b1/status", "online", { qos: 0, retain: true, properties });
    await answer(0);
    for (let seq = 1; seq < 6; seq++) {
      one.time.pass(300_000);
      await answer(seq);
      one.look.run();
      one.time.pass(501);
      one.look.run();
      expect(await isDone(call)).toBe(false);
    }
    one.time.pass(660_001);
    one.look.run();
    one.time.pass(501);
    one.look.run();
    expect(await call).toMatchObject({ info: "it went offline while it was at it" });
  });

  test("of a process that has other things to do takes no more than its share", async () => {
    for (const isOneOfMany of [true, false]) {
      const taken: number[] = [];
      let turns = 0;
      await using one = at({
        isOneOfMany,
        seen: () => {
          taken.push(turns);
          one.time.pass(10);
        },
      });
      await one.operator.connect();
      let isOver = false;
      const count = (): void => {
        turns++;
        if (!isOver) setImmediate(count);
      };
      count();
      for (let i = 0; i < 3; i++) one.tell(`b${i}/status`, "online");
      await until(() => taken.length === 3);
      isOver = true;
      // Those that have come at once are taken at once, or with turns of others in between.
      const [first = 0, , last = 0] = taken;
      if (isOneOfMany) expect(last - first).toBeGreaterThan(1);
      else expect(last - first).toBeLessThanOrEqual(2);
    }
  });
});
