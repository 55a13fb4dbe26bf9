/** Who gets in, who has to wait, and who has to go, on each kind of listener. */
import { describe, expect, test } from "bun:test";
import { frame, LOCAL, RawClient, serve, upgradeText } from "./harness.ts";
import { scratch, serveOn, TRANSPORTS } from "./transport.ts";

/** Milliseconds after which who says nothing is idle, and a little more. */
const QUIET = 700;

const get = (target: string, ...lines: string[]): string =>
  [`GET ${target} HTTP/1.1`, "Host: localhost", ...lines, "", ""].join("\r\n");

for (const transport of TRANSPORTS) {
  describe(transport, () => {
    test("what a client sends ahead and does not read waits; read later, it is all there", async () => {
      await using server = await serveOn(transport);
      using greedy = await RawClient.open(server.to);
      greedy.socket.pause();
      greedy.socket.removeAllListeners("data");
      // More than buffers hold: some MB.
      const ahead = 1000;
      greedy.write(get("/openapi.json").repeat(ahead - 1) + get("/", "Connection: close"));
      await Bun.sleep(300);
      using modest = await RawClient.open(server.to);
      modest.write(get("/api/t/ping", "Connection: close"));
      expect(await modest.rest()).toContain('"response":"pong=1"');
      let heads = 0;
      const decoder = new TextDecoder("latin1");
      let carry = "";
      greedy.socket.on("data", (chunk: Buffer) => {
        const parts = (carry + decoder.decode(chunk)).split("HTTP/1.1 200 OK\r\n");
        heads += parts.length - 1;
        // What may be the beginning of one.
        carry = parts.at(-1)?.slice(-16) ?? "";
      });
      greedy.socket.resume();
      await new Promise((resolve) => greedy.socket.once("end", resolve));
      expect(heads).toBe(ahead);
    });

    test("idle WebSockets beyond the share of their peer go, the longest idle first, with a word", async () => {
      await using server = await serveOn(transport, { connections: 12 });
      const idle: RawClient[] = [];
      for (let i = 0; i < 9; i++) idle.push(await RawClient.webSocket(server.to));
      // Who has just come might only not have been heard yet.
      await Bun.sleep(QUIET);
      for (let i = 0; i < 6; i++) idle.push(await RawClient.webSocket(server.to));
      const [first] = idle;
      expect(await first?.frame()).toMatchObject({ opcode: 8, code: 1013 });
      const last = idle.at(-1);
      last?.call("1", "t/ping", null);
      expect(await last?.json()).toMatchObject([3, "1", {}]);
      for (const client of idle) client.socket.destroy();
    });

    test("a WebSocket that is waiting for a reply, or follows something, is not idle", async () => {
      await using server = await serveOn(transport, { connections: 12 });
      server.registry.onEvents = (client) => void client.onClose(() => {});
      const busy: RawClient[] = [];
      for (let i = 0; i < 4; i++) {
        const client = await RawClient.webSocket(server.to);
        client.call("s", i % 2 === 0 ? "t/slow" : "t/events", null);
        if (i % 2 === 1) expect(await client.json()).toMatchObject([3, "s", {}]);
        busy.push(client);
      }
      const idle: RawClient[] = [];
      for (let i = 0; i < 5; i++) idle.push(await RawClient.webSocket(server.to));
      await Bun.sleep(QUIET);
      for (let i = 0; i < 5; i++) idle.push(await RawClient.webSocket(server.to));
      server.registry.release();
      for (const [i, client] of busy.entries()) {
        if (i % 2 === 0) expect(await client.json()).toMatchObject([3, "s", {}]);
        client.call("p", "t/ping", null);
        expect(await client.json()).toMatchObject([3, "p", {}]);
      }
      for (const client of [...busy, ...idle]) client.socket.destroy();
    });

    test("where nobody is idle, the next is told why it is refused, whatever it asks for", async () => {
      await using server = await serveOn(transport, { connections: 4 });
      const busy: RawClient[] = [];
      for (let i = 0; i < 3; i++) {
        const client = await RawClient.webSocket(server.to);
        client.call("s", "t/slow", null);
        busy.push(client);
      }
      while (server.registry.slow < 3) await Bun.sleep(2);
      for (const request of [get("/api/t/ping"), upgradeText(), ""]) {
        using next = await RawClient.open(server.to);
        next.write(request);
        const text = await next.rest();
        expect(text).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
        expect(text).toMatch(/^retry-after: \d+\r$/m);
        expect(text).toContain('"status":"busy"');
      }
      server.registry.release();
      for (const client of busy) expect(await client.json()).toMatchObject([3, "s", {}]);
      for (const client of busy) client.socket.destroy();
      // Their places are free again once the server has seen them go.
      for (;;) {
        using next = await RawClient.open(server.to);
        next.write(get("/api/t/ping", "Connection: close"));
        if ((await next.rest()).includes('"response":"pong=')) break;
      }
    });

    test("who left before its upgrade had its turn is no WebSocket, and starts nothing", async () => {
      await using server = await serveOn(transport);
      let clients = 0;
      server.registry.onEvents = () => void clients++;
      for (const leave of ["end", "destroy"] as const) {
        const client = await RawClient.open(server.to);
        client.write(get("/api/t/slow") + upgradeText());
        client.write(frame('[2,"1","t/events",null]'));
        while (server.registry.slow === 0) await Bun.sleep(2);
        client.socket[leave]();
        // The server has to see it before it comes to the upgrade.
        await Bun.sleep(100);
        server.registry.slow = 0;
        server.registry.release();
        if (leave === "end") {
          const text = await client.rest();
          expect(text).toContain("200 OK");
          expect(text).not.toContain("101 ");
          client.socket.destroy();
        }
      }
      await Bun.sleep(100);
      expect(clients).toBe(0);
    });

    test("a WebSocket that waits for room to be read goes on when there is some", async () => {
      await using server = await serveOn(transport, { memory: 2 << 20 });
      const half = await RawClient.webSocket(server.to);
      half.write(frame("x".repeat(1 << 20)).subarray(0, 900_000));
      await Bun.sleep(100);
      using other = await RawClient.webSocket(server.to);
      const text = "y".repeat(700_000);
      other.call("1", "t/echo", text);
      await Bun.sleep(300);
      half.socket.destroy();
      expect(await other.json()).toMatchObject([3, "1", { response: text }]);
    });

    test("a client that stops within a message of a WebSocket does not keep others from theirs", async () => {
      await using server = await serveOn(transport, { memory: 2 << 20, favour: 200 });
      const half: RawClient[] = [];
      for (let i = 0; i < 8; i++) {
        const client = await RawClient.webSocket(server.to);
        client.write(frame("x".repeat(1 << 20)).subarray(0, 900_000));
        half.push(client);
      }
      using modest = await RawClient.webSocket(server.to);
      modest.call("1", "t/echo", "y".repeat(20_000));
      expect(await modest.json()).toMatchObject([3, "1", { request: { status: "success" } }]);
      for (const client of half) client.socket.destroy();
    });
  });
}

test("each door has places of its own", async () => {
  const { path, remove } = scratch();
  {
    await using server = await serve({
      endpoints: [LOCAL, { kind: "unix", path }],
      connections: 8,
    });
    const busy: RawClient[] = [];
    for (let i = 0; i < 6; i++) {
      const client = await RawClient.webSocket(server.port);
      client.call("s", "t/slow", null);
      busy.push(client);
    }
    while (server.registry.slow < 6) await Bun.sleep(2);
    using refused = await RawClient.open(server.port);
    expect(await refused.rest()).toStartWith("HTTP/1.1 503 ");
    using client = await RawClient.open(path);
    client.write(get("/api/t/ping", "Connection: close"));
    expect(await client.rest()).toContain('"response":"pong=1"');
    server.registry.release();
    for (const one of busy) one.socket.destroy();
  }
  remove();
});
