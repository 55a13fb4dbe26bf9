/** Bytes that real binders have sent, read and written; and bytes that nobody should. */
import { describe, expect, test } from "bun:test";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import { PacketReader } from "../../src/rpc/packets.ts";
import { jsonValue, MOST_VALUE, readValue, readValues, TYPE } from "../../src/rpc/value.ts";
import { encodeOffer, encodeSet, RpcError } from "../../src/rpc/wire.ts";
import { encodeMessage, parseMessage } from "../../src/rpc/wsapi.ts";
import { bytesOf, HELLOS, MESSAGES, PACKETS } from "./fixtures.ts";
import { hex } from "./hex.ts";

const lengthOf = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.readUInt32LE(4));

function read(bytes: Buffer, size: number, first: "offer" | "set" = "offer"): unknown[] {
  const reader = new PacketReader(first);
  const seen: unknown[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, at + size));
    for (let next = reader.next(); next; next = reader.next()) seen.push(next);
  }
  expect(reader.held).toBe(0);
  return seen;
}

describe("RPC v3", () => {
  test.each(HELLOS)("%s", (text, hello) => {
    const bytes = hex(text);
    expect(hello.type === "offer" ? encodeOffer(hello.versions) : encodeSet(hello.version)).toEqual(
      bytes,
    );
    expect(read(bytes, bytes.length, hello.type)).toEqual([hello]);
  });

  test.each(PACKETS)("%s", (text, seqno, packet) => {
    const bytes = hex(text);
    expect(encodePacket(packet, seqno).toString("hex")).toBe(bytes.toString("hex"));
    expect(bytes.length % 8).toBe(0);
    expect(parsePacket(lengthOf(bytes))).toEqual(packet);
  });

  test("however it is cut, behind an offer that is padded, or not", () => {
    const packets = PACKETS.map(([, , packet]) => packet);
    const offer = hex("56 09 14 4c 17 03 03 00 00");
    for (const padding of [0, 7]) {
      const bytes = Buffer.concat([offer, Buffer.alloc(padding), ...bytesOf(PACKETS)]);
      for (const size of [1, 2, 3, 7, 8, 9, 64, bytes.length])
        expect(read(bytes, size)).toEqual([{ type: "offer", versions: [3, 0, 0] }, ...packets]);
    }
  });

  test("what breaks it is told, and not read on", () => {
    const wrong = [
      "ff ff 03 00 07 00 00 00",
      "f0 ff 03 00 08 00 00 00",
      "ff ff 03 00 00 00 00 7f",
      "fe ff 01 00 10 00 00 00 01 00 01 00 00 00 00 00",
      "ff ff 01 00 0c 00 00 00 01 00 00 00 (+4)",
      "ff ff 01 00 1c 00 00 00 01 00 00 00 (+6) fe ff 03 00 fb ff 61 00 00 00 (+4)",
      "ff ff 01 00 1c 00 00 00 01 00 00 00 (+6) fe ff 40 00 fb ff 61 00 00 00 (+4)",
      'f8 ff 01 00 10 00 00 00 fc ff 03 00 "abc" 00',
      "f8 ff 01 00 10 00 00 00 fd ff 03 00 61 00 62 00",
      "f8 ff 01 00 10 00 00 00 fd ff 03 00 61 ff 62 00",
      "f7 ff 10 00 10 00 00 00 fd ff 02 00 (+4)",
    ];
    for (const bytes of wrong)
      expect(() => read(Buffer.concat([hex("56 09 14 4c 17 01 03"), hex(bytes)]), 5)).toThrow(
        RpcError,
      );
    for (const bytes of ["57", "47 45 54", "76 03 04 00", "56 09 14 4c 18 01 03"])
      expect(() => read(hex(bytes), 1)).toThrow(RpcError);
  });

  test("values are what they are in JSON, and none is longer than binders send", () => {
    expect(readValues([])).toBeUndefined();
    expect(readValues([jsonValue('{"a":1}')])).toEqual({ a: 1 });
    expect(readValues([jsonValue("true"), jsonValue('"é"')])).toEqual([true, "é"]);
    expect(readValue({ type: TYPE.string, bytes: Buffer.from("abcd") })).toBe("abcd");
    expect(readValue({ type: TYPE.i32be, bytes: hex("ff ff ff fe") })).toBe(-2);
    expect(readValue({ type: TYPE.double, bytes: hex("00 00 00 00 00 00 f8 3f") })).toBe(1.5);
    expect(readValue({ type: TYPE.bytes, bytes: Buffer.from("hi") })).toBe("aGk=");
    expect(() => readValue({ type: 17, bytes: Buffer.from("hi") })).toThrow(SyntaxError);
    expect(() => readValue({ type: TYPE.i32, bytes: Buffer.from("hi") })).toThrow(RpcError);
    expect(() => readValue(jsonValue("{"))).toThrow(SyntaxError);
    const long = jsonValue(JSON.stringify("x".repeat(MOST_VALUE - 3)));
    expect(long.bytes.length).toBe(MOST_VALUE);
  });

  test.each<[number, string, unknown]>([
    [0xfffe, "68 69", "aGk="],
    [0xfffd, "61 62 00", "ab"],
    [0xfffc, "5b 31 5d 00", [1]],
    [0xfffb, "00", false],
    [0xfffb, "01", true],
    [0xfffa, "ff", -1],
    [0xfff9, "ff", 255],
    [0xfff8, "fe ff", -2],
    [0xfff7, "01 02", 0x0201],
    [0xfff6, "fe ff ff ff", -2],
    [0xfff5, "01 02 03 04", 0x04030201],
    [0xfff4, "fe ff ff ff ff ff ff ff", -2],
    [0xfff3, "01 02 00 00 00 00 00 00", 0x0201],
    [0xfff2, "00 00 c0 3f", 1.5],
    [0xfff1, "00 00 00 00 00 00 f8 3f", 1.5],
    [0xfff0, "ff fe", -2],
    [0xffef, "01 02", 0x0102],
    [0xffee, "ff ff ff fe", -2],
    [0xffed, "01 02 03 04", 0x01020304],
    [0xffec, "ff ff ff ff ff ff ff fe", -2],
    [0xffeb, "00 00 00 00 00 00 01 02", 0x0102],
    [0xffea, "3f c0 00 00", 1.5],
    [0xffe9, "3f f8 00 00 00 00 00 00", 1.5],
  ])("type %d: %s is %p", (type, bytes, expected) => {
    expect(JSON.parse(JSON.stringify(readValue({ type, bytes: hex(bytes) })))).toEqual(expected);
  });

  test.each([
    ["session", "ff ff"],
    ["token", "fe ff"],
    ["event", "fd ff"],
    ["type", "fa ff"],
  ])("a %s is made and unmade", (kind, number) => {
    expect(parsePacket(hex(`f8 ff 01 00 10 00 00 00 ${number} 03 00 61 62 63 00`))).toEqual({
      ...{ type: "create", kind, id: 3, name: "abc" },
    } as ReturnType<typeof parsePacket>);
    expect(parsePacket(hex(`f7 ff 01 00 0c 00 00 00 ${number} 03 00`))).toEqual({
      ...{ type: "destroy", kind, id: 3 },
    } as ReturnType<typeof parsePacket>);
  });
  test("anything else is neither", () => {
    for (const number of ["fc ff", "fb ff", "00 00"])
      expect(() => parsePacket(hex(`f8 ff 01 00 10 00 00 00 ${number} 03 00 61 62 63 00`))).toThrow(
        "no such resource is created here",
      );
  });

  test("packets of JSON have no padding that could come late", () => {
    for (let size = 0; size < 40; size++) {
      const values = [jsonValue(JSON.stringify("x".repeat(size)))];
      const push = encodePacket({ type: "push", event: 1, values }, 1);
      expect(push.readUInt32LE(4)).toBe(push.length);
      const reply = encodePacket({ type: "reply", callid: 1, status: 0, values }, 1);
      expect(reply.readUInt32LE(4)).toBe(reply.length);
    }
  });
});

describe("WSAPI", () => {
  test.each(MESSAGES)("%s", (text, message) => {
    const bytes = hex(text);
    expect(encodeMessage(message).toString("hex")).toBe(bytes.toString("hex"));
    expect(parseMessage(bytes)).toEqual(message);
  });

  test("no message is shorter or longer than what is in it", () => {
    for (const [text] of MESSAGES) {
      const bytes = hex(text);
      for (let size = 0; size < bytes.length; size++)
        expect(() => parseMessage(bytes.subarray(0, size))).toThrow(RpcError);
      expect(() => parseMessage(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(RpcError);
    }
    expect(() => parseMessage(hex("51 00 00"))).toThrow(RpcError);
  });
});
