import { describe, expect, test } from "bun:test";
import { encodeClose, encodeFrame, headerSize, writeHeader } from "../../src/server/encode.ts";
import { FrameError, FrameReader, type Message } from "../../src/server/frames.ts";
import { frame } from "./harness.ts";

/** What a reader makes of the bytes, cut into chunks of `size`; an error is its code. */
function read(bytes: Uint8Array, size = bytes.length, limit?: number): (Message | number)[] {
  const reader = new FrameReader(limit);
  const result: (Message | number)[] = [];
  try {
    for (let at = 0; at < bytes.length; at += size) {
      reader.push(bytes.subarray(at, at + size));
      for (let message = reader.next(); message; message = reader.next()) result.push(message);
    }
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    result.push(error.code);
  }
  return result;
}

const text = (value: string): Message => ({ type: "text", text: value });
const close = (code: number, reason = ""): Buffer => {
  const payload = Buffer.alloc(2 + reason.length);
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return frame(payload, { opcode: 8 });
};

describe("messages", () => {
  for (const length of [0, 1, 125, 126, 127, 65535, 65536, 100_000]) {
    for (const mask of [false, true]) {
      test(`${length} bytes, ${mask ? "masked" : "unmasked"}`, () => {
        const value = "é".repeat(length >> 1) + "x".repeat(length & 1);
        const bytes = Buffer.concat([frame(value, { mask }), frame("next", { mask })]);
        for (const size of [bytes.length, 1, 7, 4096]) {
          expect(read(bytes, size)).toEqual([text(value), text("next")]);
        }
      });
    }
  }

  test("fragments, cut inside a character, with control frames between", () => {
    const euro = Buffer.from("a€b");
    const bytes = Buffer.concat([
      frame(euro.subarray(0, 2), { fin: false, mask: true }),
      frame("hi", { opcode: 9, mask: true }),
      frame("", { opcode: 0, fin: false }),
      frame("ho", { opcode: 10 }),
      frame(euro.subarray(2), { opcode: 0, mask: true }),
    ]);
    for (const size of [bytes.length, 1, 3]) {
      expect(read(bytes, size)).toEqual([
        { type: "ping", payload: Buffer.from("hi") },
        { type: "pong", payload: Buffer.from("ho") },
        text("a€b"),
      ]);
    }
  });

  test("a byte order mark is kept", () => {
    expect(read(frame("\ufeffx"))).toEqual([text("\ufeffx")]);
  });

  test("close, with and without code", () => {
    expect(read(frame("", { opcode: 8 }))).toEqual([
      { type: "close", code: undefined, reason: "" },
    ]);
    expect(read(close(1000, "bye"))).toEqual([{ type: "close", code: 1000, reason: "bye" }]);
  });

  test("close codes", () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1014, 3000, 4999]) {
      expect(read(close(code))).toEqual([{ type: "close", code, reason: "" }]);
    }
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
      expect(read(close(code))).toEqual([1002]);
    }
  });
});

describe("violations", () => {
  const cases: [string, Buffer, number][] = [
    ["RSV1", frame("x", { rsv: 0x40 }), 1002],
    ["RSV2", frame("x", { rsv: 0x20 }), 1002],
    ["RSV3 on a ping", frame("x", { rsv: 0x10, opcode: 9 }), 1002],
    ["opcode 3", frame("x", { opcode: 3 }), 1002],
    ["opcode 11", frame("x", { opcode: 11 }), 1002],
    ["binary", frame("x", { opcode: 2 }), 1003],
    ["continuation of nothing", frame("x", { opcode: 0 }), 1002],
    ["text in a message", Buffer.concat([frame("a", { fin: false }), frame("b")]), 1002],
    ["fragmented ping", frame("x", { opcode: 9, fin: false }), 1002],
    ["long ping", frame("x".repeat(126), { opcode: 9 }), 1002],
    ["close of 1 byte", frame("x", { opcode: 8 }), 1002],
    ["close reason not UTF-8", frame(Buffer.from([3, 232, 0xff]), { opcode: 8 }), 1007],
    ["close reason cut short", frame(Buffer.from([3, 232, 0xe2, 0x82]), { opcode: 8 }), 1007],
    ["top bit of the length", Buffer.from([0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 1]), 1002],
    ["invalid UTF-8", frame(Buffer.from([0xc3, 0x28])), 1007],
    ["surrogate in UTF-8", frame(Buffer.from([0xed, 0xa0, 0x80])), 1007],
    ["UTF-8 cut short", frame(Buffer.from([0xe2, 0x82])), 1007],
    [
      "UTF-8 that a fragment breaks off",
      Buffer.concat([frame(Buffer.from([0xc3]), { fin: false }), frame("x", { opcode: 0 })]),
      1007,
    ],
    ["reserved bit on a close", frame("", { rsv: 0x40, opcode: 8 }), 1002],
    ["fragmented close", frame("", { opcode: 8, fin: false }), 1002],
    ["long close", frame(Buffer.alloc(126), { opcode: 8 }), 1002],
    ["long pong", frame("x".repeat(70_000), { opcode: 10 }), 1002],
    ["opcode 15", frame("x", { opcode: 15 }), 1002],
  ];
  for (const [name, bytes, code] of cases) {
    test(`${name}: ${code}`, () => {
      expect(read(bytes)).toEqual([code]);
      expect(read(bytes, 1)).toEqual([code]);
    });
  }

  test("words about the end of all are no message: the limit is none of theirs", () => {
    expect(read(close(1000, "for long reasons"), undefined, 10)).toEqual([
      { type: "close", code: 1000, reason: "for long reasons" },
    ] as never);
  });
  test("over the limit: 1009 from the header alone, over all fragments", () => {
    expect(read(frame("", { length: 101 }), 1, 100)).toEqual([1009]);
    expect(read(frame("x".repeat(100)), 9, 100)).toEqual([text("x".repeat(100))]);
    const second = frame("", { opcode: 0, length: 41 });
    const bytes = Buffer.concat([frame("x".repeat(60), { fin: false }), second]);
    expect(read(bytes, 5, 100)).toEqual([1009]);
    // One more than 32 bits say.
    expect(read(Buffer.from([0x81, 127, 0, 0, 0, 1, 0, 0, 0, 5, ...Buffer.from("hello")]))).toEqual(
      [1009],
    );
    expect(read(Buffer.from([0x81, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]))).toEqual([1009]);
  });
});

test("what is held is what no message has been made of", () => {
  const reader = new FrameReader();
  expect([reader.held, reader.message]).toEqual([0, 0]);
  const bytes = frame(Buffer.from("abc"), { opcode: 1 });
  reader.push(Buffer.concat([bytes, bytes]));
  expect(reader.held).toBe(2 * bytes.length);
  reader.next();
  expect(reader.held).toBe(bytes.length);
  reader.next();
  expect([reader.next(), reader.held]).toEqual([undefined, 0]);
});

test("a chunk must be used up before the next", () => {
  const reader = new FrameReader();
  reader.push(Buffer.concat([frame("a"), frame("b")]));
  expect(reader.next()).toEqual(text("a"));
  expect(() => reader.push(frame("c"))).toThrow();
});

test("any cut gives the same messages, and garbage only frame errors", () => {
  let seed = 20260101;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let round = 0; round < 1500; round++) {
    const parts: Buffer[] = [];
    for (let i = random(6); i >= 0; i--) {
      const mask = random(2) === 1;
      const value = "aé€𝄞".repeat(random(40)).slice(0, random(80)).toWellFormed();
      const bytes = Buffer.from(value);
      const cut = random(bytes.length + 1);
      if (random(2)) parts.push(frame(value, { mask }));
      else {
        parts.push(frame(bytes.subarray(0, cut), { fin: false, mask }));
        if (random(2)) parts.push(frame("p", { opcode: 9, mask }));
        parts.push(frame(bytes.subarray(cut), { opcode: 0, mask: !mask }));
      }
    }
    const stream = Buffer.concat(parts);
    const whole = read(stream);
    expect(whole.every((message) => typeof message === "object")).toBe(true);
    expect(read(stream, 1 + random(20))).toEqual(whole);
    // Spoil some bytes: the reader may say no, but the same for every cut, and must not throw anything else.
    for (let i = random(4); i >= 0; i--) stream[random(stream.length)] = random(256);
    expect(read(stream, 1 + random(20))).toEqual(read(stream));
  }
});

test("encoded frames read back", () => {
  for (const length of [0, 125, 126, 65535, 65536]) {
    expect(read(encodeFrame(1, Buffer.alloc(length, 97)))).toEqual([text("a".repeat(length))]);
  }
  expect(read(encodeClose(undefined))).toEqual([{ type: "close", code: undefined, reason: "" }]);
  // A reason that is too long is cut, at a character.
  expect(read(encodeClose(1008, "é".repeat(100)))).toEqual([
    { type: "close", code: 1008, reason: "é".repeat(61) },
  ]);
});

test("headers are the shortest that say their length", () => {
  const header = (length: number) => {
    const target = Buffer.alloc(12, 0xee);
    const end = writeHeader(target, 1, 2, length);
    expect(end - 1).toBe(headerSize(length));
    return target.subarray(1, end).toString("hex");
  };
  expect([0, 125, 126, 65_535, 65_536, 2 ** 32 + 5].map(header)).toEqual([
    ...["8200", "827d", "827e007e", "827effff", "827f0000000000010000", "827f0000000100000005"],
  ]);
  expect(encodeFrame(9, Buffer.from("ab")).toString("hex")).toBe("89026162");
});

test("a close frame has a code, and of its reason what fits, at a character", () => {
  expect(encodeClose(undefined).toString("hex")).toBe("8800");
  expect(encodeClose(1000).toString("hex")).toBe("880203e8");
  expect(encodeClose(1001, "x".repeat(124)).length).toBe(2 + 125);
  const cut = encodeClose(1001, `${"x".repeat(122)}é`);
  expect([cut.length, cut[1]]).toEqual([2 + 124, 124]);
});
