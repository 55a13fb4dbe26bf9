import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { WebSocketConnection } from "../../src/server/websocket.ts";
import { frame, RawClient, serve, upgradeText } from "./harness.ts";
import { pair } from "./raw-pair.ts";

const OK = { jtype: "afb-reply", request: { status: "success", code: 0 } };

const sessionOf = (frame: unknown) =>
  (frame as [number, string, { response: { session: { uuid: string } } }])[2].response.session;

describe("calls and replies", () => {
  test("are to the letter", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    client.call("1", "t/ping", null);
    expect((await client.frame())?.text).toBe(
      '[3,"1",{"jtype":"afb-reply","request":{"status":"success","code":0},"response":"pong=1"}]',
    );
    client.call('a"b', "t/fail", null, true);
    expect((await client.frame())?.text).toBe(
      '[4,"a\\"b",{"jtype":"afb-reply","request":{"status":"invalid-request","info":"invalid pid","code":-12}}]',
    );
    client.call("", "T/deep/er", {});
    expect(await client.json()).toEqual([3, "", { ...OK, response: "deep/er" }]);
    server.registry.onEvents = (caller) => void caller.send("t/events", { type: "data", n: 1 });
    client.call("3", "t/events", null);
    expect((await client.frame())?.text).toBe(
      '[5,"t/events",{"jtype":"afb-event","event":"t/events","data":{"type":"data","n":1}}]',
    );
    expect((await client.frame())?.text).toBe(
      '[3,"3",{"jtype":"afb-reply","request":{"status":"success","code":0}}]',
    );
    client.call("4", "t/cycle", null);
    expect(await client.json()).toMatchObject([4, "4", { request: { status: "internal-error" } }]);
  });

  test("many that come at once are handled in several turns, so that others have theirs", async () => {
    let turn = 0;
    let over = false;
    const next = () => {
      turn++;
      if (!over) setImmediate(next);
    };
    next();
    const turns = new Map<number, number>();
    await using server = await serve();
    const { registry } = server;
    const call = registry.call.bind(registry);
    registry.call = (request) => {
      turns.set(turn, (turns.get(turn) ?? 0) + 1);
      return call(request);
    };
    using client = await RawClient.webSocket(server.port);
    const count = 1000;
    client.write(Buffer.concat(Array.from({ length: count }, () => frame('[2,"1","t/ping",1]'))));
    for (let i = 1; i <= count; i++)
      expect(await client.json()).toMatchObject([3, "1", { response: `pong=${i}` }]);
    over = true;
    // One part at the end of a turn, and one at the beginning of what comes behind it.
    expect(Math.max(...turns.values())).toBeLessThanOrEqual(2 * 64);
  });

  test("behind the upgrade request, byte by byte, in fragments, with pings between", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port, frame('[2,"0","t/echo","early"]'));
    expect(await client.json()).toEqual([3, "0", { ...OK, response: "early" }]);
    const call = JSON.stringify([2, "1", "t/echo", "ü".repeat(200)]);
    for (const byte of frame(call, { mask: true })) client.write(Uint8Array.of(byte));
    expect(await client.json()).toEqual([3, "1", { ...OK, response: "ü".repeat(200) }]);
    client.write(frame(call.slice(0, 30), { fin: false }));
    client.write(frame("hey", { opcode: 9, mask: true }));
    expect(await client.frame()).toEqual({ opcode: 10, text: "hey", code: undefined });
    client.write(frame(call.slice(30), { opcode: 0, mask: true }));
    expect(await client.json()).toEqual([3, "1", { ...OK, response: "ü".repeat(200) }]);
  });

  test("a long reply is one frame", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    const value = "x".repeat(900_000);
    client.call("1", "t/echo", value);
    expect(await client.json()).toEqual([3, "1", { ...OK, response: value }]);
  });

  test("in any order, and more at once than are read at a time", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    const calls = 3000;
    for (let i = 0; i < calls; i++) client.call(`s${i}`, "t/slow", null);
    // Another client gets through meanwhile.
    using other = await RawClient.webSocket(server.port);
    other.call("o", "t/ping", null);
    expect(await other.json()).toMatchObject([3, "o", { response: "pong=1" }]);
    expect(server.registry.slow).toBeLessThanOrEqual(1024);
    const seen = new Set<unknown>();
    while (seen.size < calls) {
      // Calls held back come in as replies go out.
      const timer = setInterval(() => server.registry.release(), 1);
      const received = await client.json();
      clearInterval(timer);
      seen.add(Array.isArray(received) ? received[1] : undefined);
    }
    expect(server.registry.slow).toBe(calls);
  });

  test("a token stays for the connection, and no other of its session has it", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    client.write(frame('[2,"1","t/who",null,"SECRET"]'));
    const first = await client.json();
    expect(first).toMatchObject([
      3,
      "1",
      { response: { client: true, caller: { token: "SECRET" } } },
    ]);
    client.write(frame('[2,"1","t/who",null]'));
    const second = await client.json();
    expect(second).toEqual(first);
    client.write(frame('[2,"1","t/who",null,"OTHER"]'));
    expect(await client.json()).toMatchObject({ 2: { response: { caller: { token: "OTHER" } } } });
    const { uuid } = sessionOf(second);
    using stranger = await RawClient.open(server.port);
    stranger.write(upgradeText({ "x-afb-uuid": uuid }));
    await stranger.head();
    stranger.call("1", "t/who", null);
    const theirs = await stranger.json();
    expect(sessionOf(theirs).uuid).toBe(uuid);
    expect(theirs).toMatchObject({ 2: { response: { caller: {} } } });
    expect(JSON.stringify(theirs)).not.toMatch(/SECRET|OTHER/);
  });
});

describe("what is no call closes with 1008 invalid-frame", () => {
  for (const text of [
    "{}",
    "7",
    "[]",
    '[2,"1","t/ping"]',
    '[2,{},"t/ping",null]',
    '[2,"1","ping",null]',
    '[2,"1","/ping",null]',
    '[2,"1","t/ping",null,"token",1]',
    '[2,"1","t/ping",null,7]',
    '[3,"1",{}]',
  ]) {
    test(text.slice(0, 40), async () => {
      await using server = await serve();
      using client = await RawClient.webSocket(server.port);
      client.write(frame(text));
      expect(await client.frame()).toEqual({ opcode: 8, text: "invalid-frame", code: 1008 });
      client.write(frame(Buffer.from([3, 240]), { opcode: 8 }));
      expect(await client.frame()).toBeUndefined();
    });
  }
});

describe("frames as clients of old send them", () => {
  test.each([
    `[2,'1','t/echo',{'args': {'a': 1,},},]`,
    `[2,1,"t/echo",{"args":{"a":1}}]`,
    "[2, 1, t/echo, {args: {a: 1}}]",
    '[2,"1","t/echo",/* why */{"args":{"a":01}}]',
  ])("%s", async (text) => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    client.write(frame(text));
    expect(await client.json()).toMatchObject([3, "1", { response: { args: { a: 1 } } }]);
  });

  test("words", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    client.write(frame('[2,"1","t/echo",/etc/hosts]'));
    expect(await client.json()).toMatchObject([3, "1", { response: "/etc/hosts" }]);
    client.write(frame('[2,"2","t/echo",True]'));
    expect(await client.json()).toMatchObject([3, "2", { response: true }]);
  });

  const unreadable: [string, string][] = [
    ['[2,"7","t/echo",{"a":}]', "7"],
    ['[2,"7","t/echo",two words]', "7"],
    ["[2, '7' , 't/echo', {]", "7"],
    ["[2,7,t/echo,", "7"],
    ['[2,"7","t/echo","\\x"]', "7"],
    ['[2,"7\\"","t/echo",{]', ""],
    ["[", ""],
    ["[".repeat(200_000), ""],
    [`[2,"7","t/echo",${"[".repeat(600)}${"]".repeat(600)}]`, "7"],
    ["", ""],
    ["garbage", ""],
    ["two words", ""],
  ];
  test("what cannot be read is answered, and the connection stays", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    for (const [text, id] of unreadable) {
      client.write(frame(text));
      expect(await client.json()).toMatchObject([
        4,
        id,
        { jtype: "afb-reply", request: { status: "invalid-request", code: -12 } },
      ]);
    }
    client.call("8", "t/ping", null);
    expect(await client.json()).toMatchObject([3, "8", {}]);
  });
});

describe("closing", () => {
  test("echoes the code, after the replies before it", async () => {
    await using server = await serve();
    using client = await RawClient.webSocket(server.port);
    client.call("1", "t/ping", null);
    expect(await client.json()).toMatchObject([3, "1", {}]);
    client.write(frame(Buffer.from([0x0f, 0xa1, 98, 121, 101]), { opcode: 8 }));
    expect(await client.frame()).toEqual({ opcode: 8, text: "", code: 4001 });
    expect(await client.frame()).toBeUndefined();
  });

  for (const [name, bytes, code] of [
    ["oversize", frame("", { length: (1 << 20) + 1 }), 1009],
    ["binary", frame("x", { opcode: 2 }), 1003],
    ["not UTF-8", frame(Buffer.from([0xff])), 1007],
    ["reserved bits", frame("x", { rsv: 0x70 }), 1002],
    ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\n\r\n"), 1002],
  ] as const) {
    test(`${name}: ${code}, with more data behind`, async () => {
      await using server = await serve();
      using client = await RawClient.webSocket(server.port);
      client.write(Buffer.concat([bytes, Buffer.alloc(300_000)]));
      expect(await client.frame()).toMatchObject({ opcode: 8, code });
      expect(await client.frame()).toBeUndefined();
    });
  }

  test("without a word: FIN, reset, half a frame; the registry hears of each", async () => {
    await using server = await serve();
    for (const leave of [
      (client: RawClient) => client.socket.end(),
      (client: RawClient) => client.socket.resetAndDestroy(),
      (client: RawClient) => client.socket.end(frame("abc").subarray(0, 3)),
    ]) {
      const before = server.registry.gone;
      const client = await RawClient.webSocket(server.port);
      client.call("1", "t/slow", null);
      while (server.registry.slow <= before) await new Promise(setImmediate);
      leave(client);
      while (server.registry.gone <= before) await new Promise(setImmediate);
      await client.rest();
      client.socket.destroy();
    }
    server.registry.release();
  });

  test("the server says 1001 and does not wait for a client that does not answer", async () => {
    const server = await serve();
    using client = await RawClient.webSocket(server.port);
    const closed = server.close();
    expect(await client.frame()).toMatchObject({ opcode: 8, code: 1001 });
    await closed;
  });
});

test("bytes come where they are what is spoken, until it is closed", async () => {
  const { raw, client } = await pair();
  const heard: string[] = [];
  const connection = new WebSocketConnection(
    raw,
    {
      binary: (bytes) => void heard.push(Buffer.from(bytes).toString()),
      gone: () => void heard.push("gone"),
    },
    { payload: "binary" },
  );
  connection.start(frame("a", { opcode: 2, mask: true }));
  expect(heard).toEqual(["a"]);
  connection.close(1000, "over");
  client.write(frame("b", { opcode: 2, mask: true }));
  client.write(frame("", { opcode: 8, mask: true }));
  await once(client.resume(), "end");
  expect(heard).toEqual(["a", "gone"]);
});
