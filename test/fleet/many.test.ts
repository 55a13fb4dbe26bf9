/** Many boards at one broker, and what only boards in this process can be made to do. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:tls";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Request } from "../../src/api/client.ts";
import { success } from "../../src/api/reply.ts";
import type { Progress } from "../../src/fleet/campaign.ts";
import { Link } from "../../src/fleet/link.ts";
import type { Invocation } from "../../src/fleet/calls.ts";
import { Operator } from "../../src/fleet/operator.ts";
import type { Outcome } from "../../src/fleet/outcome.ts";
import { until } from "../served.ts";
import { type Broker, freePort, hasBroker, Raw, startBroker } from "./broker.ts";
import { boards, broken, fleetFor, nameOf, simulated } from "./simulated.ts";

const executable = join(import.meta.dir, "../../dist/spawnbox");
const COUNT = 500;

let broker: Broker;

describe.skipIf(!hasBroker)("with a broker", () => {
  beforeAll(async () => {
    broker = await startBroker({ tls: false, more: ["max_queued_messages 10000"] });
  });
  afterAll(() => broker?.[Symbol.asyncDispose]());

  const invocation = (more: Partial<Invocation> = {}): Invocation => ({
    ...{ method: "boat/horn", args: "", expiry: 20, timeout: undefined, patience: 20_000 },
    ...{ detach: undefined, token: undefined, event: () => {}, ...more },
  });

  const withOperator = async <T>(
    work: (operator: Operator) => Promise<T>,
    at: Broker = broker,
  ): Promise<T> => {
    const operator = new Operator({ fleet: fleetFor(at), operator: "op1", tell: () => {} });
    await operator.connect();
    try {
      return await work(operator);
    } finally {
      await operator.close();
    }
  };

  const count = (outcomes: readonly Outcome[], wanted: string): number =>
    outcomes.filter(({ result }) => result === wanted).length;

  async function cli(...args: string[]) {
    const child = Bun.spawn(
      [executable, "fleet", ...args, "--broker", broker.url, "--operator", "op1", "--json"],
      { env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const lines = out.split("\n").filter((line) => line !== "");
    const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code: await child.exited, all, summary: all.at(-1)?.["summary"], error };
  }

  const progressOf = (all: readonly Record<string, unknown>[]) =>
    all.flatMap(({ progress }) => (progress === undefined ? [] : [progress as Progress]));

  test(`${COUNT} boards are called at once, in part, and in stages`, async () => {
    const called = new Map<string, number>();
    const answering = (board: string) => {
      called.set(board, (called.get(board) ?? 0) + 1);
      // One of ten is broken, none of the first ones.
      return Number(board.slice(-4)) % 10 === 9 ? broken() : success("ok");
    };
    await using fleet = await boards(broker, COUNT, answering, (i) => (i < 40 ? ["dock"] : []));
    const listed = await cli("ls");
    expect(listed.all.filter(({ status }) => status === "online")).toHaveLength(COUNT);
    const outcomes = await withOperator(async (operator) => {
      const id = crypto.randomUUID();
      await Promise.all([operator.look(), operator.expect(id)]);
      const all = operator.presence.of("all");
      return Promise.all(operator.callGroup("all", all, id, invocation()));
    });
    expect([count(outcomes, "ok"), count(outcomes, "refused")]).toEqual([450, 50]);
    expect([...called.values()].every((times) => times === 1)).toBe(true);
    called.clear();
    const dock = await cli("call", "@dock", "boat/horn");
    expect([dock.code, dock.summary, called.size]).toEqual([1, { ok: 36, refused: 4 }, 40]);
    called.clear();
    const staged = await cli(
      ...["call", "@all", "boat/horn", "--stages", "1,2%,10%,100%", "--max-failed", "5%"],
    );
    // 1, 9 more with a broken one, and no further.
    expect([staged.code, called.size]).toEqual([1, 10]);
    expect(staged.summary).toEqual({ ok: 9, refused: 1 });
    expect(progressOf(staged.all)).toEqual([
      { called: 1, boards: COUNT, failed: 0 },
      { called: 10, boards: COUNT, failed: 1 },
    ]);
    expect(staged.all.at(-1)?.["info"]).toBe(`stopped after 10 of ${COUNT} boards: 1 failed`);
    called.clear();
    const patient = await cli(
      ...["call", "@all", "boat/horn", "--stages", "1,10%,100%", "--max-failed", "10%"],
    );
    expect([patient.summary, called.size]).toEqual([{ ok: 450, refused: 50 }, COUNT]);
    expect(progressOf(patient.all).map((one) => one.called)).toEqual([1, COUNT / 10, COUNT]);
    // Too many have failed only in the last stage, after which there is nothing to stop.
    const last = await cli(...["call", "@dock", "boat/horn", "--stages", "100%"]);
    expect([last.code, last.summary, last.all.at(-1)?.["info"]]).toEqual([
      ...[1, { ok: 36, refused: 4 }, undefined],
    ]);
    expect(progressOf(last.all)).toEqual([{ called: 40, boards: 40, failed: 4 }]);
    // One that is gone is told so, and not waited for.
    await fleet.all[3]?.close();
    const without = await cli("call", "@dock", "boat/horn");
    expect(without.summary).toEqual({ ok: 35, refused: 4, offline: 1 });
    expect(without.all.find(({ result }) => result === "offline")?.["board"]).toBe(nameOf(3));
  }, 120_000);

  describe("an operator that is gone", () => {
    /** A task that prints when told to, and what becomes of it. */
    const printing = () => {
      let made: Request | undefined;
      const stopped: unknown[] = [];
      const board = simulated(
        broker,
        `lost-${crypto.randomUUID().slice(0, 8)}`,
        (_, request) => {
          const { args } = request;
          if (typeof args === "object" && args !== null && "action" in args) {
            stopped.push(args);
            return success();
          }
          made = request;
          return success({ api: "boat", sandbox: "s", command: "horn", pid: 7 });
        },
        {},
        { silence: 800 },
      );
      board.start();
      const request = async (): Promise<Request> => {
        await until("it was called", () => made !== undefined);
        return made as Request;
      };
      return { board, stopped, name: board.options.board, request };
    };

    test("keeps a task waiting for a while only; it goes on, or is stopped where it was asked for", async () => {
      for (const detach of [undefined, "false"]) {
        const { board, stopped, name, request } = printing();
        await until("it is there", () => board.isJoined);
        await using raw = await Raw.as(broker, "op1");
        const out = `sb/v1/${name}/out/op1/x`;
        await raw.subscribe(out);
        await raw.publish(`sb/v1/${name}/call/op1/boat/horn`, "", {
          ...{ responseTopic: out, messageExpiryInterval: 20 },
          userProperties: { window: "2", ...(detach !== undefined && { detach }) },
        });
        const { client } = await request();
        await raw.find(({ kind }) => kind === "accepted");
        let waits: void | Promise<void> = undefined;
        for (let i = 0; i < 4; i++) {
          waits = client?.send("boat/horn", { type: "data", pid: 7, stdout: "x".repeat(50 << 10) });
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(waits).toBeInstanceOf(Promise);
        await waits;
        expect(client?.connected).toBe(false);
        expect(stopped).toHaveLength(detach === "false" ? 1 : 0);
        // Where it comes back, it is told how it ended, and that something is missing before that.
        await until("what was not confirmed is given up", async () => {
          await raw.publish(`sb/v1/${name}/flow/op1/x`, '{"from":2}');
          await Bun.sleep(100);
          return raw.got.some(({ user }) => user["late"] === "true");
        });
        const late = raw.got.find(({ user }) => user["late"] === "true");
        expect([late?.kind, late?.text.includes("disconnected"), (late?.seq ?? 0) > 2]).toEqual([
          ...["reply", true, true],
        ]);
        await board.close();
      }
    });

    test("is not the only one: a board that starts anew says that it knows no such call", async () => {
      const { board, name, request } = printing();
      await until("it is there", () => board.isJoined);
      const outcome = await withOperator(async (operator) => {
        await operator.look(name);
        const called = operator.call(name, "x", invocation({ event: () => Bun.sleep(50) }));
        const { client } = await request();
        await Bun.sleep(100);
        await operator.expectAll();
        for (let i = 0; i < 4; i++) void client?.send("boat/horn", { type: "data", pid: 7 });
        await board.close();
        const again = simulated(broker, name);
        again.start();
        await until("another is there", () => again.isJoined);
        const found = await called;
        await again.close();
        return found;
      });
      expect(outcome.result).toBe("error");
    });

    test("does not wait for ever for a board that went away", async () => {
      const { board, name, request } = printing();
      await until("it is there", () => board.isJoined);
      const operator = new Operator({
        ...{ fleet: fleetFor(broker), operator: "op1", tell: () => {}, away: 500 },
      });
      await operator.connect();
      await Promise.all([operator.look(name), operator.expectAll()]);
      const called = operator.call(name, "x", invocation());
      const { client } = await request();
      void client?.send("boat/horn", { type: "data", pid: 7 });
      await Bun.sleep(300);
      // As a broken link would leave it.
      await using raw = await Raw.as(broker, "op1");
      await raw.publish(`sb/v1/${name}/status`, "offline", {}, { retain: true });
      expect(await called).toMatchObject({
        result: "error",
        info: expect.stringContaining("offline") as unknown,
      });
      await operator.close();
      await board.close();
    });

    test("but waits as long as it says that it is there", async () => {
      const { board, name, request } = printing();
      await until("it is there", () => board.isJoined);
      await using raw = await Raw.as(broker, "op1");
      const responseTopic = `sb/v1/${name}/out/op1/x`;
      await raw.publish(`sb/v1/${name}/call/op1/boat/horn`, "", {
        ...{ responseTopic, messageExpiryInterval: 20 },
      });
      const { client } = await request();
      for (let i = 0; i < 8; i++) {
        await raw.publish(`sb/v1/${name}/flow/op1/x`, "{}");
        await Bun.sleep(250);
      }
      expect(client?.connected).toBe(true);
      // Whose name is taken by another is not who is meant.
      await raw.publish(`sb/v1/${name}/flow/op2/x`, '{"leave":true}');
      await Bun.sleep(100);
      expect(client?.connected).toBe(true);
      await until("it is missed", () => client?.connected === false);
      await board.close();
    });
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
    const results = await withOperator(async (operator) => {
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
    await Bun.sleep(300);
    expect(presses).toBe(1);
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
          socket.on("data", (chunk) => (heard += chunk.toString("latin1")));
        },
      );
      impostor.on("tlsClientError", () => {});
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
        await Bun.sleep(200);
        told.length = 0;
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
