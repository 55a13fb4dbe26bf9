/** Other binders over the HTTP port: bare packets behind an upgrade, and packets in the frames of a WebSocket. */
import { expect, test } from "bun:test";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { jsonValue, readValues } from "../../src/rpc/value.ts";
import { encodeOffer } from "../../src/rpc/wire.ts";
import { binders } from "../../src/serve/mesh.ts";
import { frame, RawClient, serve, upgradeText } from "../server/harness.ts";

const call = (verb: string, callid = 1): Packet => ({
  ...{ type: "call", callid, api: "t", verb, session: 0, token: 0 },
  values: [jsonValue("null")],
});
const offer = encodeOffer([3]);

function answer(bytes: Buffer): unknown {
  const packet = parsePacket(bytes.subarray(0, bytes.readUInt32LE(4)));
  return packet.type === "reply" ? [packet.status, readValues(packet.values)] : packet;
}

test("bare packets, with session and token from the URL", async () => {
  await using server = await serve({ binders });
  using client = await RawClient.open(server.port);
  const target = "/api?x-afb-uuid=SESS1&x-afb-token=TOK1";
  const text = upgradeText({ Upgrade: "x-afb-rpc", "Sec-WebSocket-Key": undefined }, target);
  client.write(Buffer.concat([Buffer.from(text), offer]));
  expect(await client.head()).toStartWith("HTTP/1.1 101 ");
  expect(Buffer.from(await client.take(4), "latin1")).toEqual(Buffer.from([0x76, 3, 4, 0]));
  client.write(encodePacket(call("who"), 1));
  const bytes = (await client.bytes(100)) ?? Buffer.alloc(0);
  expect(answer(bytes)).toMatchObject([
    0,
    { session: { uuid: "SESS1" }, caller: { token: "TOK1" }, client: true },
  ]);
});

test("packets in frames, masked or not, several in one", async () => {
  await using server = await serve({ binders });
  for (const mask of [true, false]) {
    using client = await RawClient.open(server.port);
    client.write(upgradeText({ "Sec-WebSocket-Protocol": "x-afb-ws-rpc" }));
    expect(await client.head()).toContain("Sec-WebSocket-Protocol: x-afb-ws-rpc");
    client.write(frame(offer, { opcode: 2, mask }));
    expect(await client.payload()).toEqual(Buffer.from([0x76, 3, 4, 0]));
    const bytes = Buffer.concat([encodePacket(call("fail"), 1), encodePacket(call("echo", 2), 2)]);
    client.write(frame(bytes, { opcode: 2, mask }));
    expect(answer((await client.payload()) ?? Buffer.alloc(0))).toEqual([-12, "invalid pid"]);
    expect(answer((await client.payload()) ?? Buffer.alloc(0))).toEqual([0, null]);
    // A packet does not end in another frame.
    client.write(frame(bytes.subarray(0, 11), { opcode: 2, mask }));
    expect(await client.frame()).toMatchObject({ opcode: 8, code: 1002 });
  }
});

test("of one frame so many packets are handled, and no more", async () => {
  await using server = await serve({ binders });
  for (const [count, last] of [
    [256, undefined],
    [257, "over 256 packets in a frame"],
  ] as const) {
    using client = await RawClient.open(server.port);
    client.write(upgradeText({ "Sec-WebSocket-Protocol": "x-afb-ws-rpc" }));
    await client.head();
    client.write(frame(offer, { opcode: 2 }));
    await client.payload();
    const packets = Array.from({ length: count }, (_, i) => encodePacket(call("echo", i + 1), 1));
    client.write(frame(Buffer.concat(packets), { opcode: 2 }));
    for (let i = 0; last === undefined && i < count; i++)
      expect(answer((await client.payload()) ?? Buffer.alloc(0))).toEqual([0, null]);
    if (last === undefined) continue;
    let next = await client.frame();
    while (next?.opcode === 2) next = await client.frame();
    expect(next).toMatchObject({ opcode: 8, code: 1002, text: last });
  }
});

test("a frame that ends within a packet, and versions of which there is none in common", async () => {
  await using server = await serve({ binders });
  for (const [bytes, last] of [
    [
      Buffer.concat([offer, encodePacket(call("echo"), 1).subarray(0, 9)]),
      "a frame ends within a packet",
    ],
    [encodeOffer([1, 2]), ""],
  ] as const) {
    using client = await RawClient.open(server.port);
    client.write(upgradeText({ "Sec-WebSocket-Protocol": "x-afb-ws-rpc" }));
    await client.head();
    client.write(frame(bytes, { opcode: 2 }));
    const set = await client.payload();
    expect(set?.[1]).toBe(last === "" ? 0 : 3);
    const next = await client.frame();
    if (last === "") expect([next, client.ended]).toEqual([undefined, true]);
    else expect(next).toMatchObject({ opcode: 8, code: 1002, text: last });
  }
});

test("what breaks the protocol behind the request at once, and a server without binders", async () => {
  await using server = await serve({ binders });
  using broken = await RawClient.open(server.port);
  broken.write(upgradeText({ Upgrade: "x-afb-rpc" }) + "GET / HTTP/1.1\r\n\r\n");
  expect(await broken.rest()).toStartWith("HTTP/1.1 101 ");
  await using plain = await serve();
  using refused = await RawClient.open(plain.port);
  refused.write(upgradeText({ Upgrade: "x-afb-rpc" }));
  expect(await refused.rest()).toStartWith("HTTP/1.1 503 ");
});
