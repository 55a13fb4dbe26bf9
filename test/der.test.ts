/** DER, as certificates are written in it: elements of every length, and what is none. */
import { expect, test } from "bun:test";
import { element, elementsOf } from "../src/der.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

test.each([
  ["nothing", "", []],
  ["one without content", "30 00", [[0x30, ""]]],
  [
    "two",
    "02 01 05 04 02 6162",
    [
      [0x02, "05"],
      [0x04, "6162"],
    ],
  ],
  ["a length of one more byte", "30 81 00", [[0x30, ""]]],
  ["of two", "30 82 0001 ff", [[0x30, "ff"]]],
  ["of three", "30 83 000001 ff", [[0x30, "ff"]]],
])("%s", (_, bytes, expected) => {
  expect(elementsOf(hex(bytes)).map(({ tag, content }) => [tag, content.toString("hex")])).toEqual(
    expected as [number, string][],
  );
});

test.each([
  ["a tag alone", "30", "this is not DER"],
  ["a length without a number", "30 80", "this is not DER"],
  ["a length of four bytes", "30 84 00000000", "this is not DER"],
  ["a tag of several bytes", "1f 00", "this is not DER"],
  ["less than its length", "30 02 00", "DER that is cut short"],
  ["a length that is cut short", "30 82 00", "DER that is cut short"],
])("%s is none", (_, bytes, why) => {
  expect(() => elementsOf(hex(bytes))).toThrow(why);
});

test("what is written is read, of every size of its length", () => {
  for (const size of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
    const content = Buffer.alloc(size, 7);
    const [one, ...more] = elementsOf(element(0x04, content));
    expect([one?.tag, one?.content.equals(content), more.length]).toEqual([0x04, true, 0]);
  }
  expect(element(0x30, Buffer.of(1), Buffer.of(2)).toString("hex")).toBe("30020102");
});
