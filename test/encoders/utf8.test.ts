import { expect, test } from "bun:test";
import { wholeLength } from "../../src/encoders/utf8.ts";
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
  ])
    expect(wholeLength(Uint8Array.from(bytes))).toBe(bytes.length);
});
