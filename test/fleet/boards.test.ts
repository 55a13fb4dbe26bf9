/** Boards at a real broker, in this process: what only they can be made to do. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { createServer } from "node:tls";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Request } from "../../src/api/client.ts";
import { success } from "../../src/api/reply.ts";
import { Link } from "../../src/fleet/link.ts";
import { until } from "../served.ts";
import { type Broker, freePort, hasBroker, Raw, startBroker } from "./broker.ts";
import { count, invocation, simulated, withOperator } from "./simulated.ts";

let broker: Broker;

describe.skipIf(!hasBroker)("with a broker", () => {
  beforeAll(async () => {
    broker = await startBroker({ tls: false });
  });
  afterAll(() => broker?.[Symbol.asyncDispose]());

  test("a board that starts anew says that it knows no such call", async () => {
    const name = "anew-1";
    let made: Request | undefined;
    const board = simulated(broker, name, (_, request) => {
      if (made) return success();
      made = request;
      return success({ api: "boat", sandbox: "s", command: "horn", pid: 7 });
    });
    board.start();
    await until("it is there", () => board.isJoined);
    const now = performance.now.bind(performance);
    let ahead = 0;
    using _ = spyOn(performance, "now").mockImplementation(() => now() + ahead);
    const outcome = await withOperator(broker, async (operator) => {
      await Promise.all([operator.look(name), operator.expectAll()]);
      let isHeard = false;
      const called = operator.call(name, "x", invocation({ event: () => void (isHeard = true) }));
      await until("it was called", () => made !== undefined);
      void made?.client?.send("boat/horn", { type: "data", pid: 7 });
      await until("it was heard", () => isHeard);
      // The broker knows that the first was taken once another is answered.
      await operator.call(name, "y", invocation());
      // Without a word of the first, whose name it has.
      const again = simulated(broker, name);
      again.start();
      await until("another is there", () => again.isJoined && !board.isJoined);
      await board.close();
      // It is asked where nothing was heard of it for a while.
      ahead = 6000;
      const found = await called;
      await again.close();
      return found;
    });
    expect(outcome).toMatchObject({ result: "error", reply: { request: { status: "no-item" } } });
  });

  test("[protection] calls to a group are read by its boards alone, where the rights say so", async () => {
    const rights = readFileSync(join(import.meta.dir, "../../config/fleet/fleet.acl"), "utf8");
    // As the comments there tell.
    const strict = rights
      .replace("pattern read sb/v1/_group/+/call/#", "")
      .replace(/^# (user boat-1|topic read sb\/v1\/_group\/.*)$/gm, "$1");
    await using other = await startBroker({ acl: strict });
    await using member = await Raw.as(other, "boat-1");
    await using stranger = await Raw.as(other, "boat-2");
    await using operator = await Raw.as(other, "op1");
    for (const one of [member, stranger]) await one.subscribe("sb/v1/_group/+/call/#");
    await operator.publish("sb/v1/_group/dock/call/op1/boat/horn", "secret");
    await member.find(({ text }) => text === "secret");
    await stranger.subscribe("sb/v1/boat-2/call/#");
    await operator.publish("sb/v1/boat-2/call/op1/boat/horn", "later");
    await stranger.find(({ text }) => text === "later");
    expect(stranger.got.map(({ text }) => text)).toEqual(["later"]);
  });

  test("what a broker delivers once more to a board that has started anew is not done", async () => {
    // Nobody else can set the flag: the messages are handed to the board as they would come.
    let runs = 0;
    const board = simulated(broker, "dup-1", () => success(++runs));
    board.start();
    await until("it is there", () => board.isJoined);
    await using raw = await Raw.as(broker, "op1");
    await raw.subscribe("sb/v1/dup-1/out/op1/#");
    const message = (id: string, dup: boolean, verb = "horn") =>
      board.take({
        ...{ topic: `sb/v1/dup-1/call/op1/boat/${verb}`, payload: "", qos: 1, retain: false, dup },
        properties: { responseTopic: `sb/v1/dup-1/out/op1/${id}`, messageExpiryInterval: 20 },
      });
    message("a", true);
    expect((await raw.find(({ topic }) => topic.endsWith("/a"))).text).toContain("started anew");
    message("b", false);
    await raw.find(({ topic }) => topic.endsWith("/b"));
    message("b", true);
    await until(
      "both are answered",
      () => raw.got.filter((got) => got.topic.endsWith("/b")).length > 1,
    );
    expect(runs).toBe(1);
    // But what its config says may be done twice.
    message("c", true, "LOOK");
    await raw.find(({ topic }) => topic.endsWith("/c"));
    expect(runs).toBe(2);
    await board.close();
  });

  test("many that are refused, and many calls at once, are held within bounds", async () => {
    const open: (() => void)[] = [];
    const board = simulated(
      broker,
      "busy-1",
      () => new Promise((resolve) => open.push(() => resolve(success("late")))),
    );
    board.start();
    await until("it is there", () => board.isJoined);
    const results = await withOperator(broker, async (operator) => {
      await operator.expectAll();
      const all = Array.from({ length: 100 }, (_, i) =>
        operator.call("busy-1", `id-${i}`, invocation()),
      );
      let settled = 0;
      for (const one of all) void one.then(() => settled++);
      await until("the others are refused", () => open.length + settled === 100);
      for (const answer of open) answer();
      return Promise.all(all);
    });
    expect([count(results, "ok"), count(results, "refused")]).toEqual([64, 36]);
    await board.close();
  });

  test("Home Assistant finds a button for each verb without mandatory arguments, and presses it", async () => {
    let presses = 0;
    const board = simulated(broker, "home-1", () => success(++presses), {
      homeassistant: { operator: "ha", prefix: "homeassistant" },
    });
    await using home = await Raw.as(broker, "ha");
    const topic = "homeassistant/device/home-1/config";
    // Of a server before.
    const old = { components: { boat_horn: {}, boat_old: { platform: "button", name: "old" } } };
    await home.publish(topic, JSON.stringify(old), {}, { retain: true });
    await home.subscribe("homeassistant/#");
    board.start();
    await until("it is there", () => board.isJoined);
    const told = (fits: (text: string) => boolean) =>
      home.find((got) => got.topic === topic && fits(got.text));
    // One that is gone is told with its platform alone, and then not any more.
    const removed = await told((text) => text.includes("boat_old") && text.includes("boat_look"));
    expect(JSON.parse(removed.text)).toMatchObject({
      components: { boat_old: { platform: "button" }, boat_horn: { platform: "button" } },
    });
    expect(removed.text).not.toContain('"name":"old"');
    await until("it is gone", () => !home.got.at(-1)?.text.includes("boat_old"));
    const { text = "" } = home.got.findLast((got) => got.topic === topic) ?? {};
    const { components, availability_topic } = JSON.parse(text) as {
      availability_topic: string;
      components: Record<string, { command_topic: string; payload_press: string }>;
    };
    expect(availability_topic).toBe("sb/v1/home-1/status");
    expect(Object.keys(components)).toEqual(["boat_horn", "boat_look"]);
    const { command_topic = "", payload_press = "" } = components["boat_horn"] ?? {};
    await home.publish(command_topic, payload_press, {}, { qos: 0 });
    await until("it was pressed", () => presses === 1);
    // A broker could keep this one for a board that is away.
    await home.publish(command_topic, payload_press, {}, { qos: 1 });
    await home.publish(command_topic, payload_press, {}, { qos: 0, retain: true });
    await home.publish(command_topic, "", {}, { qos: 0, retain: true });
    await home.publish(command_topic, payload_press, {}, { qos: 0 });
    await until("it was pressed again", () => presses > 1);
    expect(presses).toBe(2);
    await board.close(true);
    await told((last) => last === "");
  });

  describe("[protection] a broker that is another", () => {
    test("gets no password from who does not believe it", async () => {
      await using other = await startBroker();
      const { cert, key } = other.cert("impostor");
      const dir = mkdtempSync(join(tmpdir(), "spawnbox-impostor-"));
      const password = join(dir, "password");
      writeFileSync(password, "very-secret\n", { mode: 0o600 });
      let heard = "";
      const impostor = createServer(
        { cert: readFileSync(cert), key: readFileSync(key) },
        (socket) => {
          socket.on("error", () => {});
          socket.on("close", () => ends++);
          socket.on("data", (chunk) => (heard += chunk.toString("latin1")));
        },
      );
      let ends = 0;
      impostor.on("tlsClientError", () => ends++);
      const port = freePort();
      await new Promise<void>((resolve) => impostor.listen(port, "127.0.0.1", resolve));
      const told: string[] = [];
      const link = (ca: string) =>
        new Link({
          ...{ broker: { host: "localhost", port, tls: true }, secrets: { ca, password } },
          ...{ name: "b", clientId: "b", session: 60, keepalive: 30, largest: 1 << 18 },
          ...{ tell: (text) => told.push(text), connected: () => {}, message: () => {} },
        });
      // Signed by nobody that is believed; and for another name.
      for (const ca of [broker.ca, other.ca]) {
        const one = link(ca === broker.ca ? await another() : ca);
        one.start();
        await until("it was told", () => told.length > 0);
        await until("it has hung up", () => ends > 0);
        told.length = ends = 0;
        await one.close();
      }
      expect(heard).toBe("");
      impostor.close();
      rmSync(dir, { recursive: true });
    });

    const another = async (): Promise<string> => {
      await using unrelated = await startBroker();
      const file = join(tmpdir(), `spawnbox-ca-${crypto.randomUUID()}.pem`);
      writeFileSync(file, readFileSync(unrelated.ca));
      return file;
    };

    test("that asks for a password gets the one of the file, as it is by then", async () => {
      const dir = mkdtempSync(join(tmpdir(), "spawnbox-password-"));
      const [known, password] = [join(dir, "known"), join(dir, "password")];
      Bun.spawnSync(["mosquitto_passwd", "-b", "-c", known, "b", "right"]);
      await using asking = await startBroker({ tls: false, more: [`password_file ${known}`] });
      writeFileSync(password, "wrong\n", { mode: 0o600 });
      const told: string[] = [];
      const link = new Link({
        ...{ broker: { host: "127.0.0.1", port: asking.port, tls: false } },
        ...{ name: "b", clientId: "b", session: 60, keepalive: 30, largest: 1 << 18 },
        ...{ secrets: { password }, tell: (text) => told.push(text), message: () => {} },
        connected: () => {},
      });
      link.start();
      await until("it is refused", () => told.some((text) => /authori/i.test(text)));
      writeFileSync(password, "right\n");
      await until("it is let in", () => link.connected);
      await link.close();
      rmSync(dir, { recursive: true });
    });

    test("cannot fill the memory with one long packet", async () => {
      const told: string[] = [];
      let sent = 0;
      const server = Bun.listen({
        ...{ hostname: "127.0.0.1", port: 0 },
        socket: {
          data(socket) {
            // CONNACK, then a PUBLISH of 256 MB.
            socket.write(Uint8Array.of(0x20, 3, 0, 0, 0, 0x30, 0xff, 0xff, 0xff, 0x7f));
            sent++;
          },
        },
      });
      const link = new Link({
        ...{ broker: { host: "127.0.0.1", port: server.port, tls: false }, secrets: {} },
        ...{ name: "b", clientId: "b", session: 60, keepalive: 30, largest: 1 << 18 },
        ...{ tell: (text) => told.push(text), connected: () => {}, message: () => {} },
      });
      link.start();
      await until("it was told", () => told.some((text) => text.includes("not agreed on")));
      expect(sent).toBeGreaterThan(0);
      await link.close();
      server.stop(true);
    });
  });
});
