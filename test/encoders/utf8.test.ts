import { expect, test } from "bun:test";
import { Hold } from "../../src/encoders/hold.ts";
import { decode, wholeLength } from "../../src/encoders/utf8.ts";
import { utf8 } from "./feed.ts";

/** Of each length, with the least and the greatest bytes that can follow. */
const CHARACTERS = [
  "a",
  "\u007f",
  "\u0080",
  "é",
  "߿",
  "ࠀ",
  "က",
  "€",
  "\uffff",
  "𐀀",
  "😀",
  "\u{10ffff}",
];

test("a character that is cut in two is left out whole, and one that is whole is not", () => {
  for (const character of CHARACTERS) {
    const bytes = utf8(`x${character}`);
    for (let length = 1; length <= bytes.length; length++) {
      const whole = length === bytes.length ? length : 1;
      expect([character, length, wholeLength(bytes.subarray(0, length))]).toEqual([
        ...[character, length, whole],
      ]);
    }
    // Nothing but the character, of which the first byte may be missing.
    expect(wholeLength(utf8(character))).toBe(utf8(character).length);
    expect(wholeLength(utf8(character).subarray(0, -1))).toBe(0);
  }
  expect(wholeLength(new Uint8Array())).toBe(0);
});

test("bytes that are no beginning of a character stay", () => {
  for (const bytes of [
    [0x80],
    [0xbf, 0x80],
    [0x80, 0x80, 0x80],
    [0xf0, 0x80, 0x80, 0x80, 0x80],
    [0xc3, 0x41],
    [0xe2, 0x41],
    [0xf0, 0x41],
    [0xf0, 0x9f, 0x41],
    [0xf0, 0x41, 0x9f],
  ])
    expect(wholeLength(Uint8Array.from(bytes))).toBe(bytes.length);
});

test("bytes that are no text are counted wherever they are, and U+FFFD as the command has printed it is not", () => {
  const printed = [...utf8("\ufffd")];
  const parts: [number[], number][] = [
    [[], 0],
    [[...utf8("a€")], 0],
    [printed, 0],
    [[...printed, ...printed], 0],
    [[0xff], 1],
    [[0xc3], 1],
    [[0xff, 0xfe], 2],
  ];
  for (const [first, a] of parts)
    for (const [middle, b] of parts)
      for (const [last, c] of parts) {
        const bytes = [...first, 0x20, ...middle, 0x20, ...last];
        for (const [all, bad] of [
          [bytes, a + b + c],
          [first, a],
        ] as const) {
          const hold = new Hold();
          decode(Uint8Array.from(all), hold);
          expect([all, hold.loss.replaced]).toEqual([all, bad]);
        }
      }
});
