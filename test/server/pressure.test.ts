import { expect, test } from "bun:test";
import { frame, RawClient, serve } from "./harness.ts";

test("a client that stops reading costs no memory, and loses nothing", async () => {
  await using server = await serve();
  const events = 2_000_000;
  const padding = "x".repeat(60);
  let sent = 0;
  let stalled = false;
  const done = Promise.withResolvers<void>();
  server.registry.onEvents = async (client) => {
    for (; sent < events; sent++) {
      const room = client.send("t/events", { n: sent, padding });
      if (room) {
        stalled = true;
        await room;
        stalled = false;
      }
    }
    done.resolve();
  };
  using client = await RawClient.webSocket(server.port);
  client.socket.removeAllListeners("data");
  client.socket.pause();
  const before = process.memoryUsage.rss();
  client.call("1", "t/events", null);
  // The server has stalled when a few round trips of another client make no difference.
  using other = await RawClient.webSocket(server.port);
  for (let still = 0, last = -1; still < 20; still = sent === last && stalled ? still + 1 : 0) {
    last = sent;
    other.call("o", "t/ping", null);
    expect(await other.json()).toMatchObject([3, "o", {}]);
  }
  const stuck = sent;
  expect(stuck).toBeLessThan(events / 4);

  let pending = Buffer.alloc(0);
  let expected = 0;
  let bytes = 0;
  let replied = false;
  const received = Promise.withResolvers<void>();
  client.socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    pending = Buffer.concat([pending, chunk]);
    let at = 0;
    for (;;) {
      const length =
        (pending[at + 1] ?? 0) === 126 ? pending.readUInt16BE(at + 2) : (pending[at + 1] ?? 0);
      const start = at + ((pending[at + 1] ?? 0) === 126 ? 4 : 2);
      if (start > pending.length || start + length > pending.length) break;
      const text = pending.toString("latin1", start, start + length);
      at = start + length;
      const n = /"n":(\d+)/.exec(text)?.[1];
      if (n === undefined) replied = true;
      else if (Number(n) !== expected++)
        received.reject(new Error(`event ${n}, not ${expected - 1}`));
      if (pending.length - at < 14) break;
    }
    pending = pending.subarray(at);
    if (expected === events && replied) received.resolve();
  });
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
  const start = performance.now();
  client.socket.resume();
  other.call("meanwhile", "t/ping", null);
  expect(await other.json()).toMatchObject([3, "meanwhile", {}]);
  await done.promise;
  await received.promise;
  clearInterval(watch);
  const growth = (most - before) / 2 ** 20;
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${events} events, ${(bytes / 2 ** 20).toFixed(0)} MiB, stalled at ${stuck}; ` +
      `${Math.round(events / seconds)}/s; RSS +${growth.toFixed(0)} MiB`,
  );
  expect(bytes).toBeGreaterThan(200e6);
  expect(growth).toBeLessThan(150);
}, 60_000);

test("the calls of a client that never reads are not read on and on", async () => {
  await using server = await serve();
  using client = await RawClient.webSocket(server.port);
  client.socket.removeAllListeners("data");
  client.socket.pause();
  const call = frame(JSON.stringify([2, "1", "t/echo", "x".repeat(50_000)]));
  let written = 0;
  const before = process.memoryUsage.rss();
  // Until the kernel's buffers are full as well: then the server has stopped reading.
  using other = await RawClient.webSocket(server.port);
  for (let still = 0; still < 50;) {
    if (client.socket.writableLength === 0) {
      client.write(call);
      written++;
      still = 0;
    } else {
      other.call("o", "t/ping", null);
      await other.json();
      still++;
    }
    await new Promise(setImmediate);
  }
  const growth = (process.memoryUsage.rss() - before) / 2 ** 20;
  console.log(
    `${written} calls of 50 kB until the server stopped reading; RSS +${growth.toFixed(0)} MiB`,
  );
  // The kernel's buffers, and about 1 MiB of replies in the server.
  expect(written * call.length).toBeLessThan(32 << 20);
  expect(growth).toBeLessThan(150);
}, 60_000);

test("the promises of sends settle when the client goes", async () => {
  await using server = await serve();
  const blocked = Promise.withResolvers<void>();
  const settled = Promise.withResolvers<void>();
  let sends = 0;
  server.registry.onEvents = async (client) => {
    const data = "x".repeat(100_000);
    while (client.connected) {
      const room = client.send("t/events", data);
      // More than the kernel holds on both sides: this one does wait for the client.
      if (++sends * data.length > 8 << 20) blocked.resolve();
      if (sends % 100 === 0) await room;
    }
    // Dropped, and at once.
    expect(client.send("t/events", data)).toBeUndefined();
    settled.resolve();
  };
  const client = await RawClient.webSocket(server.port);
  client.socket.pause();
  client.call("1", "t/events", null);
  await blocked.promise;
  client.socket.destroy();
  await settled.promise;
}, 30_000);

test("a sender that ignores back-pressure costs the client its connection, not the server its memory", async () => {
  await using server = await serve();
  const cut = Promise.withResolvers<void>();
  let sends = 0;
  server.registry.onEvents = (client) => {
    client.onClose(() => cut.resolve());
    for (const data = "x".repeat(1 << 20); client.connected && sends < 600; sends++) {
      void client.send("t/events", data);
    }
  };
  using client = await RawClient.webSocket(server.port);
  client.socket.pause();
  client.call("1", "t/events", null);
  await cut.promise;
  // Half of what there is for all.
  expect(sends).toBeLessThan(300);
}, 30_000);

test("clients that went amid long messages leave their memory to the next, however little there is", async () => {
  await using server = await serve({ memory: 1 << 20 });
  const call = frame(JSON.stringify([2, "1", "t/echo", "x".repeat(900_000)]));
  const halves: RawClient[] = [];
  for (let i = 0; i < 30; i++) {
    const client = await RawClient.webSocket(server.port);
    client.write(call.subarray(0, call.length / 2));
    halves.push(client);
  }
  using next = await RawClient.webSocket(server.port);
  // A trifle is answered all the same.
  next.call("p", "t/ping", null);
  expect(await next.json()).toMatchObject([3, "p", {}]);
  for (const { socket } of halves) socket.destroy();
  next.write(call);
  expect(await next.json()).toMatchObject([3, "1", {}]);
}, 20_000);
