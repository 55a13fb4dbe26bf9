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
