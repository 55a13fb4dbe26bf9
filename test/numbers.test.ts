import { expect, test } from "bun:test";
import { between, hasWritten, isWritten, parseExact, toDoubles } from "../src/numbers.ts";

test("as JavaScript writes them they are doubles, otherwise they stay", () => {
  const texts = [
    ...["1", "1.5", "-3", "0", "1e+21", "0.1", "123456789012345"],
    ...["1.50", "1.0", "1e21", "1E5", "-0", "0.0000001", "9007199254740993", "1e400"],
  ];
  for (const text of texts) {
    const value = parseExact(text);
    expect(JSON.stringify(value)).toBe(text);
    expect(isWritten(value)).toBe(String(JSON.parse(text)) !== text);
    expect(toDoubles(value)).toBe(JSON.parse(text));
  }
});

test("anywhere in a value, and nothing else is changed", () => {
  const text = '{"a":[1.50,{"__proto__":1e2,"b":"1.50"}],"c":null}';
  const value = parseExact(text);
  expect(hasWritten(value)).toBe(true);
  expect(JSON.stringify(value)).toBe(text);
  expect(JSON.stringify(toDoubles(value))).toBe(
    '{"a":[1.5,{"__proto__":100,"b":"1.50"}],"c":null}',
  );
  expect(() => parseExact("[1.50")).toThrow(SyntaxError);
});

test.each([
  ["1.50", undefined],
  ["0.5", undefined],
  ["0.10", undefined],
  ["0.1000000000000000001", { nearest: 0.1, next: 0.10000000000000002, whole: false }],
  ["9007199254740993", { nearest: 2 ** 53, next: 2 ** 53 + 2, whole: true }],
  ["10.00000000000000000001", { nearest: 10, next: 10.000000000000002, whole: false }],
  ["-9.99999999999999999999", { nearest: -10, next: -9.999999999999998, whole: false }],
])("%s lies between two doubles", (rawJSON, place) => {
  expect(between({ rawJSON })).toEqual(place);
});
