/** A connection to a broker that the test speaks for: what it says, when it comes back, and what becomes of what was to be said. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "mqtt-packet";
import { Link, type LinkOptions, type Message } from "../../src/fleet/link.ts";
import { type Answer, granting, speaking, until } from "./speaking.ts";

const real = { setInterval: globalThis.setInterval, setTimeout: globalThis.setTimeout };
const restored: (() => void)[] = [];
afterEach(() => {
  for (const restore of restored.splice(0)) restore();
});

/** What comes back comes back at once: after how many ms it would have, without what is left to chance. */
function delays(chance = 0): number[] {
  const all: number[] = [];
  const intervals = spyOn(globalThis, "setInterval").mockImplementation(((
    run: () => void,
    ms: number,
  ) => {
    all.push(ms);
    return real.setInterval(run, ms <= 120_000 ? 1 : ms);
  }) as typeof setInterval);
  const random = spyOn(Math, "random").mockReturnValue(chance);
  restored.push(
    () => intervals.mockRestore(),
    () => random.mockRestore(),
  );
  return all;
}

function linked(options: Partial<LinkOptions> = {}, answer: Answer = granting) {
  const broker = speaking(answer);
  const told: string[] = [];
  const messages: Message[] = [];
  let connected = 0;
  const link = new Link({
    ...{ broker: { host: "127.0.0.1", port: broker.port, tls: false }, secrets: {} },
    ...{ name: "n", clientId: "c", session: 70, keepalive: 3000, largest: 1000 },
    ...{ tell: (text) => told.push(text), connected: () => connected++ },
    ...{ message: (message) => messages.push(message), ...options },
  });
  return {
    ...{ broker, told, messages, link },
    connects: () => connected,
    async opened(): Promise<void> {
      link.start();
      await until(() => link.connected);
    },
    async [Symbol.asyncDispose]() {
      await link.close();
      broker[Symbol.dispose]();
    },
  };
}

/** From now on: what is to be done after a second each, which only the test does. */
function paused(): (() => void)[] {
  const pauses: (() => void)[] = [];
  const timeouts = spyOn(globalThis, "setTimeout").mockImplementation(((
    run: () => void,
    ms: number,
  ) => {
    if (ms === 1000) pauses.push(run);
    return real.setTimeout(ms === 1000 ? () => {} : run, ms);
  }) as typeof setTimeout);
  restored.push(() => timeouts.mockRestore());
  return pauses;
}

describe("it comes", () => {
  test("as who it is, and says what it takes", async () => {
    await using one = linked();
    expect([one.link.connected, one.link.backlog]).toEqual([false, 0]);
    await one.opened();
    expect(one.broker.connects).toMatchObject([
      {
        ...{ clientId: "c", username: "n", clean: false, keepalive: 3000, protocolVersion: 5 },
        properties: {
          ...{ sessionExpiryInterval: 70, receiveMaximum: 64, maximumPacketSize: 1000 + 65_536 },
        },
      },
    ]);
    expect(one.broker.connects[0]?.will).toBeFalsy();
    expect(one.broker.connects[0]?.password).toBeFalsy();
    expect([one.told, one.connects()]).toEqual([["connected to the broker"], 1]);
    await one.link.close();
    await one.broker.when(() => one.broker.got.at(-1)?.cmd === "disconnect");
    // Its session is for who comes back.
    expect(one.broker.got.at(-1)).not.toHaveProperty("properties.sessionExpiryInterval");
    expect(one.link.connected).toBe(false);
  });

  test("with what is published where it goes without a word", async () => {
    await using one = linked({ will: { topic: "t", payload: "gone" } });
    await one.opened();
    expect(one.broker.connects[0]?.will).toMatchObject({
      ...{ topic: "t", payload: Buffer.from("gone"), qos: 1, retain: true },
    });
  });

  test("without delay: each piece of a packet is sent with the others, and at once", async () => {
    const nagle = spyOn(Socket.prototype, "setNoDelay");
    restored.push(() => nagle.mockRestore());
    await using one = linked();
    await one.opened();
    expect(nagle).toHaveBeenCalledWith(true);
  });

  test("back after half a second, and twice as long each time, for a minute at most, and then some", async () => {
    for (const chance of [0, 0.5]) {
      const all = delays(chance);
      let isThere = false;
      await using one = linked({}, (packet) =>
        packet.cmd === "connect" && !isThere ? null : granting(packet),
      );
      one.link.start();
      await until(() => all.length >= 10);
      expect(all.slice(0, 10)).toEqual(
        [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000].map(
          (ms) => ms * (1 + chance),
        ),
      );
      isThere = true;
      await until(() => one.link.connected);
      for (const restore of restored.splice(0)) restore();
    }
  });

  test("back as soon as at first where it was there for half a minute", async () => {
    let now = 1_000_000;
    const time = spyOn(performance, "now").mockImplementation(() => now);
    restored.push(() => time.mockRestore());
    const all = delays();
    await using one = linked({ keepalive: 0 });
    await one.opened();
    const lost = async (ms: number) => {
      const before = one.connects();
      now += ms;
      one.broker.cut();
      await until(() => one.connects() > before);
      return all.at(-1);
    };
    expect([await lost(0), await lost(30_000), await lost(30_001)]).toEqual([500, 1000, 500]);
    expect([await lost(0), await lost(0)]).toEqual([1000, 2000]);
  });

  test("again where nobody answers for half a minute", async () => {
    const limits: number[] = [];
    const timers = spyOn(globalThis, "setTimeout").mockImplementation(((
      run: () => void,
      ms: number,
    ) => {
      limits.push(ms);
      return real.setTimeout(run, ms);
    }) as typeof setTimeout);
    restored.push(() => timers.mockRestore());
    await using one = linked({}, () => undefined);
    one.link.start();
    await one.broker.when(() => one.broker.connects.length > 0);
    expect(limits).toContain(30_000);
    for (const restore of restored.splice(0)) restore();
  });

  test("again, with what files have by then, and tells what is wrong with them once", async () => {
    delays();
    const password = join(tmpdir(), `spawnbox-password-${crypto.randomUUID()}`);
    await using one = linked({ secrets: { password } });
    one.link.start();
    let turns = 0;
    await until(() => turns++ > 20);
    expect([one.told.length, one.told[0]?.includes(password), one.broker.connects.length]).toEqual([
      ...[1, true, 0],
    ]);
    try {
      writeFileSync(password, "secret\n", { mode: 0o600 });
      await until(() => one.link.connected);
      expect(one.broker.connects[0]?.password?.toString()).toBe("secret");
    } finally {
      rmSync(password);
    }
  });
});

describe("what is told", () => {
  test("is why it was ended, and the same once", async () => {
    delays();
    let reason = 0x87;
    await using one = linked({}, (packet) =>
      packet.cmd === "connect" && reason > 0
        ? { cmd: "connack", sessionPresent: false, reasonCode: reason }
        : granting(packet),
    );
    one.link.start();
    await until(() => one.broker.connects.length > 3);
    expect(one.told).toEqual([expect.stringMatching(/uthorized/)]);
    reason = 0;
    await until(() => one.link.connected);
    one.broker.send({ cmd: "disconnect", reasonCode: 0x8e });
    await until(() => one.told.length > 2);
    expect(one.told.slice(1)).toEqual([
      "connected to the broker",
      "the broker ends the connection: another client has the same name: each board needs its own",
    ]);
    // What it ends itself is no fault of anybody.
    await one.link.close();
    expect(await one.link.publish("t", "x").catch((error: Error) => error.message)).toBe(
      "the connection is being closed",
    );
    expect(one.told).toHaveLength(3);
  });

  test("is that it was closed before a word was said, once", async () => {
    delays();
    await using one = linked({}, () => null);
    one.link.start();
    await until(() => one.broker.connects.length > 2);
    expect(one.told).toEqual([
      "the broker closes the connection before it says anything: is it one of MQTT 5, is this the port for clients of this kind (TLS, or not), and is there room for another?",
    ]);
  });

  test("is the number of a reason that has no words", async () => {
    await using one = linked({}, () => ({
      ...{ cmd: "connack", sessionPresent: false, reasonCode: 0xf0 },
    }));
    one.link.start();
    await until(() => one.told.length > 0);
    expect(one.told).toEqual(["Connection refused: reason 240"]);
  });

  test("is that it was refused, and no other reason where it is closed then", async () => {
    delays();
    await using one = linked({}, () => ({
      ...{ cmd: "connack", sessionPresent: false, reasonCode: 0x97 },
    }));
    one.link.start();
    await until(() => one.broker.connects.length > 2);
    expect(one.told).toEqual([expect.stringMatching(/^Connection refused: /)]);
  });

  test("is what the broker does not take", async () => {
    await using one = linked({}, (packet) =>
      packet.cmd === "publish"
        ? { cmd: "puback", messageId: packet.messageId ?? 0, reasonCode: 0x87 }
        : granting(packet),
    );
    await one.opened();
    const said = await one.link.publish("t", "x").catch((error: Error) => error.message);
    expect(said).toMatch(/uthorized/);
    expect([one.told.at(-1), one.link.backlog]).toEqual([`${said} (t)`, 0]);
    one.broker.send({ cmd: "pingreq" });
    await until(() => one.told.length > 2);
    expect(one.told.at(-1)).toBe("the broker sends a packet that was not agreed on");
  });
});

describe("what is published", () => {
  test("has what it was given, and nothing else", async () => {
    await using one = linked();
    await one.opened();
    await one.link.publish("t", "x");
    await one.link.publish("t", Buffer.from("y"), {
      ...{ retain: true, expiry: 0, responseTopic: "r", correlation: Buffer.from("c") },
      ...{ type: "application/json", user: { a: "b" } },
    });
    const of = ({ properties = {} }: { readonly properties?: object }) => ({ ...properties });
    expect(
      one.broker.publishes.map((one) => [one.payload.toString(), one.qos, one.retain, of(one)]),
    ).toEqual([
      ["x", 1, false, {}],
      [
        ...["y", 1, true],
        {
          ...{ messageExpiryInterval: 0, responseTopic: "r", correlationData: Buffer.from("c") },
          ...{ contentType: "application/json", userProperties: { a: "b" } },
        },
      ],
    ] as never);
  });

  test("waits for a connection, and for what is under way", async () => {
    for (const [receiveMaximum, most] of [
      [undefined, 64],
      [65, 64],
      [63, 63],
      [1, 1],
    ] as const) {
      await using one = linked({}, (packet) =>
        packet.cmd === "publish"
          ? undefined
          : packet.cmd === "connect"
            ? {
                ...{ cmd: "connack", sessionPresent: false, reasonCode: 0 },
                ...(receiveMaximum !== undefined && { properties: { receiveMaximum } }),
              }
            : granting(packet),
      );
      const all = Array.from({ length: 66 }, () =>
        one.link.publish("t", "x").catch((error: Error) => error.message),
      );
      expect(one.link.backlog).toBe(66);
      await one.opened();
      await one.broker.when(() => one.broker.publishes.length === most);
      // As what is sent later comes later.
      await one.link.subscribe(["s"]);
      expect([one.broker.publishes.length, one.link.backlog]).toEqual([most, 66]);
      for (const { messageId } of [...one.broker.publishes])
        one.broker.send({ cmd: "puback", messageId: messageId ?? 0 });
      await until(() => one.link.backlog === 66 - most);
      await one.broker.when(() => one.broker.publishes.length === Math.min(66, 2 * most));
      one.broker.cut();
      await until(() => !one.link.connected);
      await one.link.close();
      // Those that were sent and those that were not.
      const closed = (await Promise.all(all)).filter((said) => said === "closed");
      expect(closed).toHaveLength(66 - most);
    }
  });

  test("is sent once more on the next connection where it was not confirmed", async () => {
    delays();
    let isConfirming = false;
    await using one = linked({}, (packet) =>
      packet.cmd === "publish" && !isConfirming ? undefined : granting(packet),
    );
    await one.opened();
    const published = one.link.publish("t", "x");
    await one.broker.when(() => one.broker.publishes.length === 1);
    one.broker.cut();
    isConfirming = true;
    await published;
    const [first, second] = one.broker.publishes.map(({ messageId }) => messageId);
    expect([one.broker.publishes.length, second]).toEqual([2, first]);
  });

  test("is not sent where it is longer than the broker takes, and nothing waits behind it", async () => {
    const user = { kind: "é", seq: "1" };
    const how = { responseTopic: "r/s", correlation: Buffer.from("c"), expiry: 5, user };
    const most = 300;
    await using one = linked({}, (packet) =>
      packet.cmd === "connect"
        ? {
            ...{ cmd: "connack", sessionPresent: false, reasonCode: 0 },
            properties: { maximumPacketSize: most },
          }
        : granting(packet),
    );
    await one.opened();
    const lengths = Array.from({ length: most }, (_, length) => length);
    const all = await Promise.all(
      lengths.map(async (length) => {
        const payload = "x".repeat(length);
        const said = one.link.publish("a/topic", payload, { ...how, type: "application/json" });
        return said.then(
          () => "taken",
          (error: Error) => error.message,
        );
      }),
    );
    const taken = all.filter((said) => said === "taken");
    const sizes = one.broker.publishes.map(
      (packet) => generate(packet, { protocolVersion: 5 }).length,
    );
    expect(sizes).toHaveLength(taken.length);
    // Not one byte more, and not much less.
    expect(Math.max(...sizes)).toBeLessThanOrEqual(most);
    expect(Math.max(...sizes)).toBeGreaterThan(most - 32);
    expect(all.at(-1)).toMatch(/^a\/topic: 381 bytes are more than the 300 that the broker takes/);
    expect([one.broker.connects.length, one.link.backlog]).toEqual([1, 0]);
  });

  test("is refused where there is no packet for it, and the connection stays", async () => {
    await using one = linked();
    await one.opened();
    const long = "x".repeat(65_536);
    const refused = [
      one.link.publish("", "x"),
      one.link.publish("a/+", "x"),
      one.link.publish("a/#", "x"),
      // At these brokers end the connection, with a reason or without.
      ...["\0", "\n", "\x7f", "\x85", "\ufdd0", "\uffff", "\u{1fffe}"].flatMap((bad) => [
        one.link.publish(`a/${bad}`, "x"),
        one.link.publish("t", "x", { responseTopic: bad }),
        one.link.publish("t", "x", { user: { a: bad } }),
        one.link.publish("t", "x", { user: { [bad]: "a" } }),
      ]),
      one.link.publish("/".repeat(200), "x"),
      one.link.publish(long, "x"),
      one.link.publish("t", "x", { responseTopic: long }),
      one.link.publish("t", "x", { correlation: Buffer.from(long) }),
      one.link.publish("t", "x", { user: { a: long } }),
      one.link.publish("t", "x", { user: { [long]: "a" } }),
      ...[-5, 0.5, NaN, 2 ** 32].map((expiry) => one.link.publish("t", "x", { expiry })),
    ];
    for (const said of refused)
      expect(await said.catch((error: Error) => error.message)).toMatch(
        /: cannot be sent: [a-z ]+$/,
      );
    const most = "x".repeat(65_535);
    await one.link.publish(most, "x", { responseTopic: most, expiry: 2 ** 32 - 1 });
    // Of any other letters, and of bytes nothing is asked.
    const correlation = Buffer.from([0, 10, 255]);
    await one.link.publish("/".repeat(199), "x\n", { correlation, user: { ü: "\u{1f6a2}" } });
    expect(one.broker.publishes).toHaveLength(2);
    expect(one.broker.connects).toHaveLength(1);
  });

  test("is given up where the broker ends the connection because of it, and then because of it again", async () => {
    delays();
    let isBad = true;
    await using one = linked({}, (packet) => {
      if (packet.cmd !== "publish" || packet.topic !== "bad" || !isBad) return granting(packet);
      return { cmd: "disconnect", reasonCode: 0x87 };
    });
    await one.opened();
    const before = one.link.publish("good", "1");
    const bad = one.link.publish("bad", "2").catch((error: Error) => error.message);
    const after = one.link.publish("good", "3");
    expect(await bad).toBe("bad: the broker ends the connection: not authorized");
    await Promise.all([before, after]);
    expect(one.broker.publishes.filter(({ topic }) => topic === "bad")).toHaveLength(2);
    await until(() => one.link.connected);
    expect(one.link.backlog).toBe(0);
    // As boards say again on each connection what they are.
    expect(await one.link.publish("bad", "4").catch((error: Error) => error.message)).toBe(
      await bad,
    );
    const { length } = one.broker.connects;
    await one.link.publish("good", "5");
    expect([one.broker.connects.length, one.link.connected]).toEqual([length, true]);
    // In an hour the rights may be others.
    const now = performance.now();
    const later = spyOn(performance, "now").mockImplementation(() => now + 3_600_001);
    restored.push(() => later.mockRestore());
    isBad = false;
    await one.link.publish("bad", "6");
  });

  test("that was too long is no longer next time, whatever its topic, where the broker did not say how long it may be", async () => {
    delays();
    await using one = linked({}, (packet) =>
      packet.cmd === "publish" && packet.payload.length > 100_000
        ? { cmd: "disconnect", reasonCode: 0x95 }
        : granting(packet),
    );
    await one.opened();
    const said = (length: number, topic: string) =>
      one.link.publish(topic, "x".repeat(length)).catch((error: Error) => error.message);
    expect(await said(200_000, "a")).toBe(
      "a: the broker ends the connection: a packet was too large for it",
    );
    await until(() => one.link.connected);
    const { length } = one.broker.connects;
    expect(await said(200_000, "b")).toMatch(/^b: \d+ bytes are more than the \d+ that the broker/);
    expect(await said(100_000, "a")).toBeUndefined();
    expect(one.broker.connects).toHaveLength(length);
  });

  test("that was too long for a broker that takes little does not end each connection, nor what was before it", async () => {
    delays();
    let most = 20_000;
    await using one = linked(
      {
        connected: () => {
          // As boards say on each connection what they are, of which the broker confirms nothing before.
          for (const length of [10, 30_000, 40_000, 10]) said.push(say(length));
        },
      },
      (packet) => {
        if (packet.cmd !== "publish") return granting(packet);
        return packet.payload.length > most
          ? { cmd: "disconnect", reasonCode: 0x95 }
          : granting(packet);
      },
    );
    const say = (length: number) =>
      one.link.publish("t", "x".repeat(length)).then(
        () => length,
        (error: Error) => error.message,
      );
    const said: Promise<number | string>[] = [];
    await one.opened();
    const isOver = async () => {
      const { length } = said;
      const all = await Promise.all(said);
      return length === said.length && one.link.connected ? all : undefined;
    };
    let all = await isOver();
    while (!all) all = await isOver();
    const taken = all.filter((one) => one === 10);
    expect(taken).toHaveLength(all.length / 2);
    for (const other of all.filter((one) => one !== 10))
      expect(other).toMatch(
        /a packet was too large for it$|more than the \d+ that the broker takes/,
      );
    const { length } = one.broker.connects;
    expect(await say(30_000)).toMatch(
      /more than the 30\d\d\d that the broker takes in one message$/,
    );
    // In an hour it may take more.
    const now = performance.now();
    const later = spyOn(performance, "now").mockImplementation(() => now + 3_600_001);
    restored.push(() => later.mockRestore());
    most = 50_000;
    expect([await say(40_000), one.broker.connects.length]).toEqual([40_000, length]);
  });

  // All that a broker may say: MQTT 5, section 3.14.2.1.
  const ofAMessage = [0x81, 0x82, 0x83, 0x87, 0x90, 0x95, 0x99, 0x9a, 0x9b];
  const ofOthers = [
    ...[0x80, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x93, 0x94, 0x96, 0x97, 0x98, 0x9c, 0x9d, 0x9e, 0x9f],
    ...[0xa0, 0xa1, 0xa2],
  ];
  test.each([...ofAMessage, ...ofOthers])(
    "is given up for what says that it is wrong, and for nothing else: reason %d",
    async (reasonCode) => {
      delays();
      let left = 4;
      await using one = linked({}, (packet) =>
        packet.cmd === "publish" && left-- > 0
          ? { cmd: "disconnect", reasonCode }
          : granting(packet),
      );
      await one.opened();
      const said = one.link.publish("t", "x").then(
        () => "sent",
        (error: Error) => error.message,
      );
      if (ofOthers.includes(reasonCode)) expect(await said).toBe("sent");
      else expect(await said).toMatch(/^t: the broker ends the connection: /);
      expect(one.broker.publishes.length).toBeLessThanOrEqual(
        ofOthers.includes(reasonCode) ? 5 : 2,
      );
    },
  );

  test("is sent again as often as the broker ends the connection for what is no fault of it", async () => {
    delays();
    let ends = 5;
    await using one = linked({}, (packet) =>
      packet.cmd === "publish" && ends-- > 0
        ? { cmd: "disconnect", reasonCode: 0x8b }
        : granting(packet),
    );
    await one.opened();
    await one.link.publish("t", "x");
    expect(one.broker.publishes).toHaveLength(6);
  });

  test("that is too much for the broker in that moment is sent again in its order, and nothing before that", async () => {
    const pauses = paused();
    let room = 1;
    await using one = linked({}, (packet) =>
      packet.cmd === "publish" && --room < 0
        ? { cmd: "puback", messageId: packet.messageId ?? 0, reasonCode: 0x97 }
        : granting(packet),
    );
    await one.opened();
    const { link, broker } = one;
    const sent = () => broker.publishes.map(({ topic }) => topic).join("");
    const all = ["a", "b", "c"].map((topic) => link.publish(topic, "x"));
    await all[0];
    await until(() => pauses.length === 1 && sent() === "abc");
    void link.publish("d", "x");
    await broker.taken();
    expect([sent(), link.backlog]).toEqual(["abc", 3]);
    room = Infinity;
    pauses[0]?.();
    await Promise.all(all);
    await until(() => link.backlog === 0);
    expect([sent(), pauses.length, one.told]).toEqual([
      "abcbcd",
      1,
      [
        "connected to the broker",
        "there is too much for the broker, and it is sent again: Publish error: Quota exceeded",
      ],
    ]);
    // Not for ever.
    room = 0;
    const last = link.publish("e", "x").catch(({ message }: Error) => message);
    for (let n = 1; n <= 60; n++) {
      await until(() => pauses.length === n + 1);
      pauses[n]?.();
    }
    expect(await last).toBe("Publish error: Quota exceeded");
    // Nor does it keep who goes.
    const kept = link.publish("f", "x").catch(({ message }: Error) => message);
    await until(() => pauses.length === 62);
    await link.close();
    expect(await kept).toBe("closed");
  });

  test("that was too much is not sent behind what was said later to be kept at the same place", async () => {
    const pauses = paused();
    let left = 2;
    await using one = linked({}, (packet) =>
      packet.cmd === "publish" && left-- > 0
        ? { cmd: "puback", messageId: packet.messageId ?? 0, reasonCode: 0x97 }
        : granting(packet),
    );
    await one.opened();
    const { link, broker } = one;
    const said = (["t 1", "u 1", "t 2", "u 2"] as const).map((one) => {
      const [topic = "", text = ""] = one.split(" ");
      return link.publish(topic, text, { retain: topic === "t" });
    });
    await until(() => pauses.length === 1);
    await broker.taken();
    pauses[0]?.();
    await Promise.all(said);
    expect(broker.publishes.map(({ topic, payload }) => `${topic} ${payload.toString()}`)).toEqual([
      ...["t 1", "u 1", "t 2", "u 2"],
      // What is kept nowhere is missed.
      "u 1",
    ]);
  });

  test("last is waited for, but no longer than two seconds", async () => {
    {
      await using one = linked({ isPassing: true });
      await one.opened();
      await one.link.close({ topic: "t", payload: "bye" });
      await one.broker.when(() => one.broker.got.at(-1)?.cmd === "disconnect");
      expect(one.broker.at("t")).toMatchObject([{ text: "bye", retain: true }]);
      expect(one.broker.got.at(-1)).toMatchObject({ properties: { sessionExpiryInterval: 0 } });
    }
    const limits: number[] = [];
    const sleeps = spyOn(Bun, "sleep").mockImplementation((async (ms: number) => {
      limits.push(ms);
      await new Promise((resolve) => real.setTimeout(resolve, 20));
    }) as typeof Bun.sleep);
    restored.push(() => sleeps.mockRestore());
    const mute = linked({}, (packet) => (packet.cmd === "connect" ? granting(packet) : undefined));
    mute.link.start();
    while (!mute.link.connected) await new Promise((resolve) => setImmediate(resolve));
    await mute.link.close({ topic: "t", payload: "bye" });
    expect(limits).toEqual([2000, 2000]);
    // Nothing is said where nobody listens, and nothing waited for that was never begun.
    const never = linked();
    await never.link.close({ topic: "t", payload: "bye" });
    expect([limits.length, never.broker.got.length]).toEqual([2, 0]);
    for (const { broker } of [mute, never]) broker[Symbol.dispose]();
  });
});

describe("what comes", () => {
  test("is what was asked for, and is told as it was sent", async () => {
    await using one = linked();
    await one.opened();
    await one.link.subscribe(["a", "b/#"]);
    await one.link.subscribe(["c"], { qos: 0, kept: true });
    const how = { nl: false, rap: true };
    expect(one.broker.subscribes.map(({ subscriptions }) => subscriptions)).toEqual([
      [
        { topic: "a", qos: 1, rh: 2, ...how },
        { topic: "b/#", qos: 1, rh: 2, ...how },
      ],
      [{ topic: "c", qos: 0, rh: 0, ...how }],
    ]);
    await one.link.unsubscribe(["a"]);
    expect(one.broker.got.at(-1)).toMatchObject({ cmd: "unsubscribe", unsubscriptions: ["a"] });
    one.broker.publish("c", "x", { retain: true, dup: true, properties: { contentType: "t" } });
    await until(() => one.messages.length > 0);
    expect(one.messages[0]).toMatchObject({
      ...{ topic: "c", payload: Buffer.from("x"), retain: true, dup: true, qos: 1 },
      properties: { contentType: "t" },
    });
  });

  test("is not asked for where the broker refuses, which says so, or goes", async () => {
    delays();
    await using one = linked({}, (packet) =>
      packet.cmd === "subscribe"
        ? packet.subscriptions[0]?.topic === "no"
          ? { cmd: "suback", messageId: packet.messageId ?? 0, granted: [0x87, 1] }
          : undefined
        : granting(packet),
    );
    await one.opened();
    const why = (working: Promise<void>) => working.catch((error: Error) => error.message);
    expect(await why(one.link.subscribe(["no", "yes"]))).toBe(
      "the broker refuses no, yes: Subscribe error: Not authorized",
    );
    const waiting = why(one.link.subscribe(["other"]));
    await one.broker.when(() => one.broker.subscribes.length === 2);
    one.broker.cut();
    expect(await waiting).toBe("Connection closed");
  });

  test("is asked for on another connection where the broker does not answer that", async () => {
    delays();
    const limits: number[] = [];
    const timeouts = spyOn(globalThis, "setTimeout").mockImplementation(((
      run: () => void,
      ms: number,
    ) => {
      if (ms === 60_000) limits.push(ms);
      return real.setTimeout(run, ms === 60_000 ? 1 : ms);
    }) as typeof setTimeout);
    restored.push(() => timeouts.mockRestore());
    await using one = linked({}, (packet) =>
      packet.cmd === "subscribe" ? undefined : granting(packet),
    );
    await one.opened();
    const asked = one.link.subscribe(["a", "b"]);
    expect(await asked.catch(({ message }: Error) => message)).toMatch(/closed/i);
    await until(() => one.connects() === 2);
    expect([limits.length, one.told]).toEqual([
      1,
      [
        "connected to the broker",
        "the broker does not answer: it was asked for a, b",
        "connected to the broker",
      ],
    ]);
  });

  test("[protection] behind what cannot be read is nothing that is taken: the connection is another one", async () => {
    delays();
    let isWrong = true;
    await using one = linked({}, (packet) => {
      if (packet.cmd !== "subscribe" || !isWrong) return granting(packet);
      isWrong = false;
      return { cmd: "suback", messageId: packet.messageId ?? 0, granted: [0xc1] };
    });
    await one.opened();
    const asked = one.link.subscribe(["a"]).catch(() => {});
    await until(() => one.told.length > 1);
    // As it could stand in a message of somebody else, of which the rest is still on its way.
    one.broker.publish("forged", "x");
    await until(() => one.connects() === 2);
    await asked;
    one.broker.publish("true", "x");
    await until(() => one.messages.length > 0);
    expect(one.messages.map(({ topic }) => topic)).toEqual(["true"]);
    expect(one.told).toEqual([
      ...["connected to the broker", "Invalid suback code", "connected to the broker"],
    ]);
  });

  test("is taken sixteen at a turn, where there is nothing else to do", async () => {
    const taken: number[] = [];
    let turns = 0;
    await using one = linked({ message: () => void taken.push(turns) });
    await one.opened();
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    for (let i = 0; i < 40; i++) one.broker.publish("t", "x", { qos: 0 });
    // All are there before the first is taken.
    Bun.sleepSync(20);
    count();
    await until(() => taken.length === 40);
    isOver = true;
    const sizes = Object.values(Object.groupBy(taken, (turn) => `${turn}`));
    expect(sizes.map((all) => all?.length)).toEqual([16, 16, 8]);
  });

  test("in a packet that is too long is not taken, but one that fits is", async () => {
    delays();
    await using one = linked({ largest: 1000 });
    await one.opened();
    const most = 1000 + 65_536;
    // Head, length and name of the topic, of properties.
    one.broker.publish("t", "x".repeat(most - 4 - 3 - 1), { qos: 0 });
    await until(() => one.messages.length > 0);
    // Not even collected.
    one.broker.publish("t", "x".repeat(most + 1 - 3 - 1), { qos: 0 });
    await until(() => one.told.includes("the broker sends a packet that was not agreed on"));
    expect(one.messages).toHaveLength(1);
    await until(() => one.connects() === 2);
    // A byte more than was agreed on, as Mosquitto counts: if that ended the connection, it would be sent on the next one again.
    one.broker.publish("t", "x".repeat(most + 1 - 4 - 3 - 1), { qos: 0 });
    await until(() => one.messages.length > 1);
  });
});
