/** The parameters of a packet, one by one, and what goes to all that listen. */
import { describe, expect, test } from "bun:test";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import { MOST_VALUE, stringValue, TYPE } from "../../src/rpc/value.ts";
import { RpcError } from "../../src/rpc/wire.ts";
import { hex } from "./hex.ts";

const uuid = "000102030405060708090a0b0c0d0e0f";
const value = { type: TYPE.json, bytes: Buffer.from("1\0") };

test.each<[string, Packet]>([
  [
    `f9 ff 07 00 1f 00 00 00 00 00 02 00
     00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 05 "e" 00 (+1)`,
    { type: "broadcast", name: "e", uuid, hop: 5, values: [] },
  ],
  [
    `f9 ff 07 00 2a 00 00 00 01 00 02 00
     00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 05 "e" 00 (+3)
     fc ff 08 00 fc ff "1" 00 (+6)`,
    { type: "broadcast", name: "e", uuid, hop: 5, values: [value] },
  ],
  [
    `f9 ff 07 00 2a 00 00 00 01 00 03 00
     00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f ff "ab" 00 (+2)
     fc ff 08 00 fc ff "1" 00 (+6)`,
    { type: "broadcast", name: "ab", uuid, hop: 255, values: [value] },
  ],
])("what is told to all: %#", (text, packet) => {
  const bytes = hex(text);
  expect(encodePacket(packet, 7).toString("hex")).toBe(bytes.toString("hex"));
  expect(parsePacket(bytes.subarray(0, bytes.readUInt32LE(4)))).toEqual(packet);
});

/** A call of the verb `a` with so many values announced, and these parameters besides. */
function call(count: number, parameters: string, verb = "fe ff 07 00 fb ff 61 00") {
  const body = hex(`01 00 ${count.toString(16).padStart(2, "0")} 00 (+6) ${verb} ${parameters}`);
  const head = hex("ff ff 01 00 00 00 00 00");
  head.writeUInt32LE(head.length + body.length, 4);
  const packet = parsePacket(Buffer.concat([head, body]));
  if (packet.type !== "call") throw new Error(packet.type);
  return packet;
}
const asked = { type: "call", callid: 1, verb: "a", session: 0, token: 0 } as const;

describe("of a call", () => {
  test.each([
    ["none", 0, "", {}],
    [
      "bytes of no type",
      1,
      'fd ff 06 00 "hi"',
      { values: [{ type: TYPE.opaque, bytes: Buffer.from("hi") }] },
    ],
    [
      "no bytes of no type",
      1,
      "fd ff 04 00",
      { values: [{ type: TYPE.opaque, bytes: Buffer.of() }] },
    ],
    [
      "a value",
      1,
      'fc ff 08 00 fd ff "h" 00',
      { values: [{ type: TYPE.string, bytes: Buffer.from("h\0") }] },
    ],
    [
      "a session and a token",
      0,
      "ff ff 08 00 ff ff 03 00 ff ff 08 00 fe ff 04 00",
      { session: 3, token: 4 },
    ],
    [
      "a value of no bytes",
      1,
      "fc ff 06 00 fd ff",
      { values: [{ type: TYPE.string, bytes: Buffer.of() }] },
    ],
    ["an API without a name", 0, "fe ff 06 00 fc ff", { api: "" }],
    ["an API", 0, "fe ff 08 00 fc ff 62 00", { api: "b" }],
    // It means nothing here.
    ["how long it may take", 0, "fa ff 08 00 01 00 00 00", {}],
    ["zeros between them", 0, "(+6) fe ff 08 00 fc ff 62 00 (+3)", { api: "b" }],
    ["one of odd length", 1, 'fd ff 05 00 "h" 00 fe ff 08 00 fc ff 62 00', { api: "b" }],
  ])("%s", (_, count, parameters, expected) => {
    expect(call(count, parameters)).toMatchObject({ ...asked, ...expected } as never);
  });

  test.each([
    ["a value without a type", 1, "fc ff 05 00 00", "a parameter of another size"],
    ["a number of another size", 0, "ff ff 06 00 ff ff", "a parameter of another size"],
    ["a text without a name", 0, "fe ff 05 00 00", "a parameter of another size"],
    ["no parameter that there is", 0, "01 00 04 00", "there is no parameter 1"],
    ["one shorter than its head", 1, "fd ff 03 00", "a parameter is shorter than its head"],
    ["one longer than its packet", 1, "fd ff 06 00 61", "a packet is shorter than what is in it"],
    ["rest that is no padding", 0, "00 01", "a parameter of another size"],
    ["fewer values than it says", 2, "fd ff 04 00", "1 values, where 2 are announced"],
    ["more values than it says", 0, "fd ff 04 00", "1 values, where 0 are announced"],
  ])("%s is refused", (_, count, parameters, why) => {
    expect(() => call(count, parameters)).toThrow(new RpcError(why));
  });

  test("without a verb it is none", () => {
    expect(() => call(0, "", "")).toThrow("a call names no verb");
  });

  test("there are up to 64 values", () => {
    expect(call(64, "fd ff 04 00 ".repeat(64)).values).toHaveLength(64);
    expect(() => call(65, "fd ff 04 00 ".repeat(65))).toThrow("over 64 values");
    const values = Array.from({ length: 64 }, () => value);
    expect(() => encodePacket({ type: "push", event: 1, values }, 1)).not.toThrow();
    expect(() => encodePacket({ type: "push", event: 1, values: [...values, value] }, 1)).toThrow(
      "over 64 values",
    );
  });

  test("a value, and a name, are no longer than the format has room for", () => {
    const push = (bytes: number) => () =>
      encodePacket(
        { type: "push", event: 1, values: [{ type: TYPE.json, bytes: Buffer.alloc(bytes) }] },
        1,
      );
    expect(push(MOST_VALUE + 2)).not.toThrow();
    expect(push(MOST_VALUE + 3)).toThrow("a value is too long");
    expect(stringValue("é")).toEqual({ type: TYPE.string, bytes: Buffer.from("é\0") });
    expect(() => stringValue("a\0b")).toThrow("a text has a NUL in it");
  });
});

test("a packet is as long as it says, and of an operation that there is", () => {
  const bytes = hex("fa ff 01 00 0a 00 00 00 03 00");
  expect(parsePacket(bytes)).toEqual({ type: "unexpected", event: 3 });
  for (const wrong of [
    bytes.subarray(0, 9),
    Buffer.concat([bytes, Buffer.of(0)]),
    bytes.subarray(0, 7),
  ])
    expect(() => parsePacket(wrong)).toThrow("a packet of another length");
  const odd = Buffer.from(bytes);
  odd.writeUInt16LE(0xfff0, 0);
  expect(() => parsePacket(odd)).toThrow("there is no operation fff0");
  const long = hex("fa ff 01 00 0c 00 00 00 03 00 00 00");
  expect(() => parsePacket(long)).toThrow("a packet is longer than what is in it");
});
