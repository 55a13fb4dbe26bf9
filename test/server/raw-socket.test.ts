/** Connections on the runtime's own sockets: what the server relies on of them, as of those of node:net. */
import { describe, expect, spyOn, test } from "bun:test";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isHungUp } from "../../ffi/libc.ts";
import { descriptorOf, peerCredentials } from "../../ffi/sockets.ts";
import { RawServer } from "../../src/server/raw-server.ts";
import { type Native, RawSocket } from "../../src/server/raw-socket.ts";
import { until } from "../served.ts";
import { open, pair } from "./raw-pair.ts";

/** One of which nobody tells that the kernel takes some again. */
async function bare(): Promise<{ native: Native; client: Socket }> {
  const came = Promise.withResolvers<Native>();
  const listener = Bun.listen<RawSocket>({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { open: (socket) => came.resolve(socket as Native), data() {} },
  });
  const client = connect(listener.port, "127.0.0.1");
  open.push({ close: () => (client.destroy(), listener.stop(true)) });
  return { native: await came.promise, client };
}
/** What has come so far. */
function heard(raw: RawSocket) {
  const said: string[] = [];
  for (const event of ["end", "drain", "close"] as const) raw.on(event, () => said.push(event));
  raw.on("data", (chunk: Buffer) => said.push(`${chunk}`));
  return said;
}
const turns = async (count = 20) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
/** More than the kernel holds on both sides. */
const MUCH = 32 << 20;

describe("reading", () => {
  test("what comes before anybody wants it waits, in order, with the end behind it", async () => {
    const { raw, client } = await pair();
    client.write("one ");
    await turns();
    client.end("two");
    await turns();
    const said = heard(raw);
    expect(said).toEqual([]);
    await until("all of it has come", () => said.includes("end"));
    expect(said.join("|").replace("one |", "one ")).toBe("one two|end");
    expect([raw.destroyed, raw.writable]).toEqual([false, true]);
  });
  test("paused, nothing is told; behind that, all of it, and not while it is asked for", async () => {
    const { raw, client } = await pair();
    const said = heard(raw);
    raw.pause();
    client.write("held");
    await turns();
    expect(said).toEqual([]);
    raw.resume();
    expect(said).toEqual([]);
    await until("it has come", () => said.length > 0);
    raw.pause();
    client.end();
    await turns();
    expect(said).toEqual(["held"]);
    raw.resume();
    await until("the end has come", () => said.length > 1);
    expect(said).toEqual(["held", "end"]);
  });
  test("paused before anybody wants it, nothing is read: who has gone from a unix socket is still told apart, and then heard", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-raw-"));
    const came = Promise.withResolvers<RawSocket>();
    const server = new RawServer((socket) => {
      socket.pause();
      came.resolve(socket);
    });
    open.push({ close: () => (server.close(() => {}), rmSync(dir, { recursive: true })) });
    const path = join(dir, "socket");
    await new Promise<void>((resolve) => server.listen({ path }, resolve));
    const client = connect(path, () => client.write("said", () => client.destroy()));
    await once(client, "close");
    const raw = await came.promise;
    await turns();
    const fd = descriptorOf(raw);
    expect([raw.destroyed, peerCredentials(fd ?? -1).pid]).toEqual([false, process.pid]);
    const said = heard(raw);
    await turns();
    expect(said).toEqual([]);
    raw.resume();
    await until("it is gone", () => said.includes("close"));
    expect(said).toEqual(["said", "end", "close"]);
  });
  test("asked to go on before anybody listens, nothing is lost", async () => {
    const { raw, client } = await pair();
    raw.resume();
    client.write("one");
    await turns();
    raw.resume();
    await turns();
    const said = heard(raw);
    await until("it has come", () => said.length > 0);
    expect(said).toEqual(["one"]);
  });
  test("who listens no more loses nothing to who listens next; a listener does not undo a pause", async () => {
    const { raw, client } = await pair();
    const first: string[] = [];
    const listen = (chunk: Buffer) => void first.push(`${chunk}`);
    raw.on("data", listen);
    client.write("a");
    await until("the first has it", () => first.length > 0);
    raw.off("data", listen);
    client.write("b");
    await turns();
    raw.pause();
    const said = heard(raw);
    await turns();
    expect(said).toEqual([]);
    raw.resume();
    await until("the second has it", () => said.length > 0);
    expect([first, said]).toEqual([["a"], ["b"]]);
  });
  test("a pause within a piece holds the next one; little is read ahead, and all of it comes", async () => {
    const { raw, client } = await pair();
    const bytes = Buffer.alloc(8 << 20, "0123456789");
    client.end(bytes);
    let [pieces, size, largest] = [0, 0, 0];
    const got: Buffer[] = [];
    let ended = false;
    raw.on("end", () => (ended = true));
    raw.on("data", (chunk: Buffer) => {
      pieces++;
      size += chunk.length;
      got.push(chunk);
      raw.pause();
      const [then, at] = [pieces, size];
      setImmediate(() => {
        expect([pieces, size]).toEqual([then, at]);
        largest = Math.max(largest, client.writableLength);
        raw.resume();
      });
    });
    await until("all has come", () => ended);
    expect(Buffer.concat(got).equals(bytes)).toBe(true);
    // The client had to wait for us.
    expect(largest).toBeGreaterThan(0);
  });
  test("64 KiB that nobody takes are the end of reading, until all of them are taken", async () => {
    const { native } = await bare();
    const [paused, resumed] = [spyOn(native, "pause"), spyOn(native, "resume")];
    const calls = () => [paused.mock.calls.length, resumed.mock.calls.length];
    const raw = new RawSocket(native);
    const sizes: number[] = [];
    raw.on("data", (chunk: Buffer) => sizes.push(chunk.length));
    const MOST = 64 << 10;
    for (const round of [1, 2]) {
      raw.pause();
      raw.received(Buffer.alloc(MOST - 1));
      expect(calls()).toEqual([round - 1, round - 1]);
      raw.received(Buffer.alloc(1));
      raw.received(Buffer.alloc(2));
      expect(calls()).toEqual([round, round - 1]);
      raw.resume();
      raw.resume();
      await turns();
      expect([sizes.splice(0), ...calls()]).toEqual([[MOST - 1, 1, 2], round, round]);
    }
    // What is left of it still counts, and nothing is read before that is taken.
    raw.removeAllListeners("data");
    raw.pause();
    raw.once("data", () => raw.pause());
    for (const size of [MOST, 3]) raw.received(Buffer.alloc(size));
    raw.resume();
    await turns();
    expect(calls()).toEqual([3, 2]);
  });
});

describe("writing", () => {
  test("texts, bytes and other encodings, in order; an end is behind them", async () => {
    const { raw, client } = await pair();
    const chunks: Buffer[] = [];
    client.on("data", (chunk: Buffer) => chunks.push(chunk));
    expect([raw.write("é"), raw.write(Uint8Array.of(1, 2)), raw.write("é", "latin1")]).toEqual([
      true,
      true,
      true,
    ]);
    let done = false;
    raw.end(() => (done = true));
    expect([raw.writable, raw.write("late"), done]).toEqual([false, false, false]);
    await once(client, "end");
    expect(Buffer.concat(chunks)).toEqual(Buffer.from([0xc3, 0xa9, 1, 2, 0xe9]));
    expect(done).toBe(true);
    // The other side goes on.
    const said = heard(raw);
    client.end("answer");
    await until("it is gone", () => said.includes("close"));
    expect(said).toEqual(["answer", "end", "close"]);
    expect([raw.destroyed, descriptorOf(raw)]).toEqual([true, undefined]);
  });
  test("what the kernel does not take waits: it is counted, told when it is gone, and nothing overtakes it", async () => {
    const { raw, client } = await pair();
    const said = heard(raw);
    client.pause();
    const first = Buffer.alloc(MUCH, "a");
    expect(raw.write(first)).toBe(false);
    const waits = raw.writableLength;
    expect(waits).toBeGreaterThan(0);
    expect(waits).toBeLessThan(MUCH);
    expect([raw.write("behind"), raw.writableLength, raw.writableNeedDrain]).toEqual([
      false,
      waits + 6,
      true,
    ]);
    await turns();
    expect(said).toEqual([]);
    let size = 0;
    let tail = "";
    client.on("data", (chunk: Buffer) => {
      size += chunk.length;
      tail = `${tail}${chunk.subarray(-10).toString()}`.slice(-10);
    });
    client.resume();
    await until("all is taken", () => size === MUCH + 6);
    await until("that is told", () => said.length > 0);
    expect([tail, said, raw.writableLength, raw.writableNeedDrain]).toEqual([
      "aaaabehind",
      ["drain"],
      0,
      false,
    ]);
    // An end waits in the same way.
    client.pause();
    raw.write(first);
    raw.end("last");
    expect([raw.writable, raw.destroyed]).toEqual([false, false]);
    client.resume();
    await once(client, "end");
    expect([size, tail]).toEqual([2 * MUCH + 10, "aaaaaalast"]);
    // Nobody is told that there is room, as nothing can be written.
    expect(said).toEqual(["drain"]);
  });
});

test("nothing overtakes what waits, though there is room by then, and none of what waits is lost", async () => {
  const { native, client } = await bare();
  let came = 0;
  client.on("data", (chunk: Buffer) => (came += chunk.length));
  client.pause();
  const taken = native.write(Buffer.alloc(MUCH));
  const raw = new RawSocket(native);
  expect([raw.write("abc"), raw.writableLength]).toEqual([false, 3]);
  client.resume();
  await until("there is room", () => came >= taken);
  expect([raw.write("de"), raw.writableLength]).toEqual([false, 5]);
  raw.drained();
  expect([raw.writableLength, raw.write("f")]).toEqual([0, true]);
  await until("all has come", () => came === taken + 6);
});

describe("going", () => {
  test("the runtime is asked once, and for what the server asks", async () => {
    const { native } = await bare();
    const asked: unknown[] = [];
    for (const name of ["setNoDelay", "setKeepAlive", "close", "shutdown"] as const) {
      const call = native[name].bind(native) as (...args: unknown[]) => never;
      native[name] = (...args: unknown[]) => (asked.push([name, ...args]), call(...args));
    }
    const raw = new RawSocket(native);
    raw.setNoDelay(true);
    raw.setKeepAlive(true, 7);
    raw.end();
    raw.end();
    raw.destroy();
    raw.destroy();
    expect(asked).toEqual([
      ["setNoDelay", true],
      ["setKeepAlive", true, 7],
      ["shutdown"],
      ["close"],
    ]);
  });
  test("destroyed, it is closed at once, and that is told behind who has done it", async () => {
    const { raw, client } = await pair();
    const said = heard(raw);
    client.pause();
    raw.write(Buffer.alloc(MUCH));
    expect(descriptorOf(raw)).toBeGreaterThan(2);
    raw.destroy();
    raw.destroy();
    expect([said, raw.destroyed, raw.writable, raw.writableLength, descriptorOf(raw)]).toEqual([
      [],
      true,
      false,
      0,
      undefined,
    ]);
    let done = false;
    raw.end(() => (done = true));
    expect([raw.write("late"), raw.writableLength]).toEqual([false, 0]);
    client.resume();
    await until("that is told", () => said.length > 0);
    await turns();
    expect([said, done]).toEqual([["close"], false]);
  });
  test("a client that goes is noticed, paused or not, and though it has taken nothing of what waits", async () => {
    for (const how of ["flowing", "paused", "full"] as const) {
      const { raw, client } = await pair();
      const said = heard(raw).slice(0, 0);
      raw.on("close", () => said.push("close"));
      client.pause();
      if (how !== "flowing") raw.pause();
      // More than is read ahead.
      if (how === "full") client.write(Buffer.alloc(1 << 20));
      await turns();
      raw.write(Buffer.alloc(MUCH));
      await turns();
      client.resetAndDestroy();
      await until(`it is noticed: ${how}`, () => said.length > 0);
      expect([how, raw.destroyed, raw.writableLength]).toEqual([how, true, 0]);
    }
  });
  test("a kernel that takes nothing is no end, and its error may be told by a write alone", async () => {
    const { raw, client } = await pair();
    client.pause();
    raw.write(Buffer.alloc(MUCH));
    const waits = raw.writableLength;
    // What the kernel has taken meanwhile, it has passed on.
    for (let before = 0; before !== raw.writableLength;) {
      before = raw.writableLength;
      raw.drained();
    }
    expect([raw.destroyed, raw.writableLength > 0, raw.writableLength <= waits]).toEqual([
      false,
      true,
      true,
    ]);
    client.resetAndDestroy();
    const fd = descriptorOf(raw) ?? -1;
    // In this turn of the event loop: nobody has been told of it.
    const end = performance.now() + 30_000;
    while (!isHungUp(fd) && performance.now() < end);
    expect([isHungUp(fd), raw.destroyed]).toEqual([true, false]);
    raw.drained();
    expect(raw.destroyed).toBe(true);
  });
  test("the addresses of both ends; that of the client also when it has gone", async () => {
    const { server, raw, client } = await pair();
    const { address = "", port = 0 } = server.address() ?? {};
    expect([raw.localAddress, raw.localPort]).toEqual([address, port]);
    expect([raw.remoteAddress, raw.remotePort]).toEqual(["127.0.0.1", client.localPort ?? 0]);
    raw.destroy();
    expect(raw.remoteAddress).toBe("127.0.0.1");
  });
});

describe("the server", () => {
  test("is closed when nothing listens, and all have gone", async () => {
    const { server, raw, client } = await pair();
    let closed = false;
    server.close(() => (closed = true));
    await expect(once(connect(raw.localPort ?? 0, "127.0.0.1"), "connect")).rejects.toThrow(
      "ECONNREFUSED",
    );
    expect(closed).toBe(false);
    client.destroy();
    raw.end();
    raw.on("end", () => {});
    raw.resume();
    await until("it is told", () => closed);
    const idle = new RawServer(() => {});
    await new Promise<void>((resolve) => idle.listen({ host: "127.0.0.1", port: 0 }, resolve));
    await new Promise<void>((resolve) => idle.close(resolve));
  });
  test("listens at a path, which goes with it; what is not possible is told with its code", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-raw-"));
    try {
      const path = join(dir, "socket");
      const server = new RawServer((socket) => socket.end("hello"));
      const listening = new Promise<void>((resolve) => server.listen({ path }, resolve));
      expect(existsSync(path)).toBe(true);
      await listening;
      const client = connect(path);
      const [hello] = await once(client, "data");
      expect([`${hello}`, server.address()]).toEqual(["hello", null]);
      client.destroy();
      const failed = async (where: Parameters<RawServer["listen"]>[0]) => {
        const other = new RawServer(() => {});
        other.listen(where, () => {});
        const [error] = (await once(other, "error")) as [Error & { code?: string }];
        return error.code;
      };
      const { raw } = await pair();
      expect(await failed({ path })).toBe("EADDRINUSE");
      expect(await failed({ host: "127.0.0.1", port: raw.localPort ?? 0 })).toBe("EADDRINUSE");
      expect(await failed({ host: "192.0.2.1", port: 0 })).toBe("EADDRNOTAVAIL");
      await new Promise<void>((resolve) => server.close(resolve));
      expect(existsSync(path)).toBe(false);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
  test("by a name it listens at its address", async () => {
    const server = new RawServer(() => {});
    await new Promise<void>((resolve) => server.listen({ host: "localhost", port: 0 }, resolve));
    expect(["127.0.0.1", "::1"]).toContain(server.address()?.address ?? "");
    await new Promise<void>((resolve) => server.close(resolve));
  });
});
