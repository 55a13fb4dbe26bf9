/** Our end as an exporter, tried by an importer that forgives nothing. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Caller } from "../../src/api/client.ts";
import { parseServer } from "../../src/config/binder-uri.ts";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { PacketReader } from "../../src/rpc/packets.ts";
import { jsonValue } from "../../src/rpc/value.ts";
import { encodeOffer } from "../../src/rpc/wire.ts";
import { startRpc } from "../../src/rpc/server.ts";
import { turn } from "../api/listener.ts";
import { seeded } from "../config/random.ts";
import { until } from "../served.ts";
import { TestRegistry } from "../server/harness.ts";
import { StrictPeer } from "./peer.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-rpc-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

/** The calls with all that is told of them. */
class Registry extends TestRegistry {
  readonly callers: (Caller | undefined)[] = [];

  override async call(request: Parameters<TestRegistry["call"]>[0]) {
    this.callers.push(request.caller);
    if (request.verb === "follow") {
      request.follows?.("t/follow");
      const { client } = request;
      setTimeout(() => void client?.send("t/follow", { n: request.args }), 1);
    }
    return super.call(request.verb === "follow" ? { ...request, verb: "echo" } : request);
  }
}

async function exporting(query = "as-api=t", speech: "rpc" | "ws" = "rpc") {
  const registry = new Registry();
  const path = join(dir, `${++sockets}`);
  const rpc = await startRpc([parseServer(`unix:${path}?${query}`, speech)], {
    registry,
    granted: () => ({ privileges: "all" }),
    connections: 16,
    mode: 0o600,
    inherited: () => -1,
  });
  return {
    registry,
    path,
    rpc,
    async [Symbol.asyncDispose]() {
      registry.release();
      await rpc.close();
    },
  };
}

describe("RPC v3", () => {
  test("calls, with an API's name and without, answered by status and value", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    expect(await peer.call("ping")).toEqual({ status: 0, value: "pong=1" });
    expect(await peer.call("echo", { a: [1, "é"] })).toEqual({ status: 0, value: { a: [1, "é"] } });
    expect(await peer.call("ping", null, { api: undefined })).toEqual({
      status: 0,
      value: "pong=2",
    });
    expect(await peer.call("fail")).toEqual({ status: -12, value: "invalid pid" });
    expect(await peer.call("nothing")).toMatchObject({ status: -4 });
    expect(await peer.call("ping", null, { api: "other" })).toMatchObject({ status: -3 });
    expect(await peer.call("events")).toEqual({ status: 0, value: undefined });
    expect(peer.fault).toBeUndefined();
    peer.close();
  });

  test("which APIs there are is told to who asks for another, or for none of several", async () => {
    await using server = await exporting("export=t@a,t@c,t@");
    const peer = await StrictPeer.dial(server);
    expect(await peer.call("ping", null, { api: "x".repeat(100) })).toEqual({
      status: -3,
      value: `the API "${"x".repeat(80)}" is not exported here; here are a, c`,
    });
    peer.close();
    await using several = await exporting("export=t@a,t@c");
    const other = await StrictPeer.dial(several);
    expect(await other.call("ping", null, { api: undefined })).toEqual({
      status: -3,
      value: "several APIs are exported here: say which; here are a, c",
    });
    other.close();
  });

  test("sessions and tokens are those that were told, and others are refused", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    await peer.send(
      { type: "create", kind: "session", id: 3, name: "SESS1" },
      { type: "create", kind: "token", id: 1, name: "TOK1" },
    );
    const { value } = await peer.call("who", null, { session: 3, token: 1 });
    expect(value).toMatchObject({ session: { uuid: "SESS1" }, caller: { token: "TOK1" } });
    expect(value).toMatchObject({ caller: { user: { uid: process.getuid?.() } } });
    expect(await peer.call("who", null, { token: 2 })).toMatchObject({ status: -7 });
    expect(await peer.call("who", null, { session: 9 })).toMatchObject({ status: -12 });
    const own = (await peer.call("who")).value as { session: { uuid: string } };
    const again = (await peer.call("who")).value as { session: { uuid: string } };
    expect(own.session.uuid).toBe(again.session.uuid);
    expect(own.session.uuid).not.toBe("SESS1");
    peer.close();
  });

  test("an event is announced before the reply, once, and is its session's own", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    await peer.send(
      { type: "create", kind: "session", id: 1, name: "A" },
      { type: "create", kind: "session", id: 2, name: "B" },
    );
    await peer.call("follow", 1, { session: 1 });
    await peer.call("follow", 2, { session: 2 });
    await peer.call("follow", 3, { session: 1 });
    const [a, b, c] = [1, 2, 3].map((callid) => peer.subscribed.get(callid)?.[0]);
    expect(a).toBe(c as number);
    expect(a).not.toBe(b as number);
    const third = await peer.event(({ data }) => (data as { n: number }).n === 3);
    expect(third).toEqual({ id: a as number, name: "t/follow", data: { n: 3 } });
    await peer.send({ type: "unexpected", event: a as number });
    await peer.call("follow", 4, { session: 1 });
    const fourth = await peer.event(({ data }) => (data as { n: number }).n === 4);
    expect(fourth.name).toBe("t/follow");
    expect(peer.created.has(a as number)).toBe(false);
    expect(peer.fault).toBeUndefined();
    peer.close();
  });

  test("with a session its events go, and not with a token of its number", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    await peer.send(
      { type: "create", kind: "session", id: 1, name: "A" },
      { type: "create", kind: "token", id: 1, name: "T" },
    );
    const followed = async (n: number): Promise<number> => {
      await peer.call("follow", n, { session: 1 });
      await peer.event(({ data }) => (data as { n: number }).n === n);
      return peer.subscribed.get(n)?.[0] ?? -1;
    };
    const first = await followed(1);
    await peer.send({ type: "destroy", kind: "token", id: 1 });
    expect(await followed(2)).toBe(first);
    await peer.send({ type: "destroy", kind: "session", id: 1 });
    await until("the event has gone", () => !peer.created.has(first));
    expect(peer.fault).toBeUndefined();
    peer.close();
  });

  test("however calls are cut or come together", async () => {
    await using server = await exporting();
    const next = seeded(7);
    for (const most of [1, 5, 40, 4000]) {
      const peer = await StrictPeer.dial(server, () => 1 + Math.floor(next() * most));
      const values = Array.from({ length: 20 }, (_, i) => "x".repeat(i * 3));
      for (const value of values)
        expect(await peer.call("echo", value)).toEqual({ status: 0, value });
      peer.close();
      const all = await StrictPeer.dial(server);
      const answers = await Promise.all(values.map((value) => all.call("echo", value)));
      expect(answers.map(({ value }) => value)).toEqual(values);
      all.close();
    }
  });

  test("a reply beyond what binders carry is an error that says so, an event an overflow", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    const fits = "x".repeat(65_524);
    expect(await peer.call("echo", fits)).toEqual({ status: 0, value: fits });
    // As arguments they come in two values, each of which fits.
    const values = ["a", "b"].map((letter) => letter.repeat(40_000));
    const answer = await peer.callValues("echo", values);
    expect(answer.status).toBe(-5);
    expect(answer.value).toContain("65526 bytes");
    await peer.callValues("follow", values);
    expect((await peer.event(() => true)).data).toMatchObject({ type: "overflow", events: 1 });
    peer.close();
  });

  test("who breaks the protocol is hung up on, and others are not", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "V\t\x14L\x17\x01\x03V\t\x14L\x17\x01\x03\0"]) {
      const socket = connect({ path: server.path });
      socket.write(Buffer.from(bytes, "latin1"));
      socket.resume();
      await new Promise((resolve) => socket.once("close", resolve));
    }
    await expect(StrictPeer.dial(server, undefined, [1, 2])).rejects.toThrow("set");
    expect(await peer.call("ping")).toEqual({ status: 0, value: "pong=1" });
    peer.close();
  });

  test("what is exported under which name", async () => {
    await using server = await exporting("export=t@out,t@");
    const peer = await StrictPeer.dial(server);
    expect(await peer.call("ping", null, { api: "out" })).toMatchObject({ status: 0 });
    expect(await peer.call("ping", null, { api: undefined })).toMatchObject({ status: 0 });
    expect(await peer.call("ping", null, { api: "t" })).toMatchObject({ status: -3 });
    peer.close();
    await using all = await exporting("export=*");
    const other = await StrictPeer.dial(all);
    expect(await other.call("ping")).toMatchObject({ status: 0 });
    expect(await other.call("ping", null, { api: undefined })).toMatchObject({ status: -3 });
    other.close();
    await expect(exporting("as-api=tt")).rejects.toThrow("did you mean `t`");
  });

  test("who has no more to say gets all that is on its way to it", async () => {
    await using server = await exporting();
    const socket = connect({ path: server.path, allowHalfOpen: true });
    const values = [jsonValue(JSON.stringify("x".repeat(60_000)))];
    const call = (callid: number): Buffer =>
      encodePacket(
        { ...{ type: "call", callid, api: "t", verb: "echo", session: 0 }, token: 0, values },
        1,
      );
    socket.pause();
    socket.write(encodeOffer([3]));
    // More than the kernel takes, and less than makes the server read no more.
    for (let i = 1; i <= 9; i++) socket.write(call(i));
    await until("all are called", () => server.registry.callers.length === 9);
    socket.end();
    for (let i = 0; i < 5; i++) await turn();
    const reader = new PacketReader("set");
    const seen: unknown[] = [];
    socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let next = reader.next(); next; next = reader.next())
        seen.push(next.type === "reply" ? next.callid : next.type);
    });
    const over = new Promise((resolve) => socket.once("end", resolve));
    socket.resume();
    await over;
    expect(seen).toEqual(["set", ...Array.from({ length: 9 }, (_, i) => i + 1)]);
  });

  test("the end of a connection is told to who works for it", async () => {
    await using server = await exporting();
    const peer = await StrictPeer.dial(server);
    const call = peer.call("slow");
    while (server.registry.slow === 0) await Bun.sleep(1);
    peer.close();
    expect(await call).toMatchObject({ status: -15 });
    while (server.registry.gone === 0) await Bun.sleep(1);
  });
});
