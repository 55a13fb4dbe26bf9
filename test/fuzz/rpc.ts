/** The readers of what other binders send: messages or an RpcError, the same however the bytes are cut, and written as they were read. */
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { PacketReader } from "../../src/rpc/packets.ts";
import { isUnreadable, jsonValue, readValues, TYPE } from "../../src/rpc/value.ts";
import { type Offer, RpcError, type Set } from "../../src/rpc/wire.ts";
import { encodeMessage, type Message, parseMessage } from "../../src/rpc/wsapi.ts";
import { bytesOf, MESSAGES, PACKETS } from "../rpc/fixtures.ts";
import { hex } from "../rpc/hex.ts";
import { cutting, readAlike, readPieces } from "./cuts.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

const LIMIT = 3000;
const packetBytes = bytesOf(PACKETS);
const messageBytes = bytesOf(MESSAGES);

function made(random: Random): Buffer {
  const id = random.below(random.pick([3, 0x10000]));
  const values = random.list(random.pick([2, 66]), () => {
    const text = random.pick(["1", '"é"', "{}", "[1,", "\ud800"]).repeat(random.below(30));
    if (random.once(2)) return jsonValue(text);
    return { type: random.pick([...Object.values(TYPE), 7] as [number]), bytes: Buffer.from(text) };
  });
  const name = random.pick(["", "a", "é", "demo/run"]).repeat(random.below(300));
  const packet = random.pick<Packet>([
    {
      type: "call",
      ...{ callid: id, verb: name, session: id, token: random.below(2), values },
      api: random.once(2) ? undefined : name,
      ...(random.once(2) && { creds: name }),
    },
    { type: "reply", callid: id, status: random.below(3000) - 1500, values },
    { type: "push", event: id, values },
    { type: "create", kind: random.pick(["session", "token", "event", "type"]), id, name },
    { type: "broadcast", name, uuid: "00".repeat(16), hop: random.below(256), values },
  ]);
  try {
    return encodePacket(packet, random.below(0x10000));
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return Buffer.alloc(0);
  }
}

function stream(random: Random): Uint8Array {
  const packets = random.list(6, () =>
    random.once(2) ? made(random) : (packetBytes[random.below(packetBytes.length)] ?? made(random)),
  );
  const offer = hex(random.pick(["56 09 14 4c 17 01 03", "56 09 14 4c 17 03 03 00 00 (+7)"]));
  const bytes = Buffer.concat([offer, ...packets]);
  return random.once(2) ? spoil(random, bytes, 4) : bytes;
}

function read(bytes: Uint8Array, cuts: readonly number[]): unknown[] {
  const reader = new PacketReader("offer", LIMIT);
  const look = () => demand(reader.message <= LIMIT, "it holds more than a packet", reader.message);
  return readPieces(reader, bytes, cuts, look, RpcError);
}

function again(packet: Packet): Packet | undefined {
  const reader = new PacketReader("offer", 1 << 20);
  reader.push(Buffer.concat([hex("56 09 14 4c 17 01 03"), encodePacket(packet, 1)]));
  reader.next();
  return reader.next() as Packet | undefined;
}

export const packets: Target = {
  name: "packets",
  make: cutting(stream),
  check(input: Json) {
    for (const one of readAlike(input, read)) {
      if (typeof one === "string") continue;
      const packet = one as Packet | Offer | Set;
      if (packet.type === "offer" || packet.type === "set") continue;
      const back = again(packet);
      demand(Bun.deepEquals(back, packet), "it is not written as it was read", packet, back);
      if (!("values" in packet)) continue;
      try {
        readValues(packet.values);
      } catch (error) {
        if (!(error instanceof RpcError) && !isUnreadable(error)) throw error;
      }
    }
  },
};

export const wsapi: Target = {
  name: "wsapi",
  make: (random) => {
    const bytes = messageBytes[random.below(messageBytes.length)] ?? Buffer.alloc(0);
    const mixed = random.once(4)
      ? Buffer.from(random.list(40, () => random.below(256)))
      : random.once(8)
        ? bytes
        : spoil(random, bytes, 3);
    return Buffer.from(mixed).toString("hex");
  },
  check(input: Json) {
    const bytes = Buffer.from(String(input), "hex");
    let message: Message;
    try {
      message = parseMessage(bytes);
    } catch (error) {
      if (error instanceof RpcError) return;
      throw error;
    }
    const back = parseMessage(encodeMessage(message));
    demand(Bun.deepEquals(back, message), "it is not written as it was read", message, back);
  },
};
