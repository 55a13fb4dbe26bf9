import { expect, test } from "bun:test";
import { random } from "./encoders/feed.ts";
import { between, hasWritten, isWritten, parseExact, toDoubles } from "../src/numbers.ts";

test("as JavaScript writes them they are doubles, otherwise they stay", () => {
  const texts = [
    ...["1", "1.5", "-3", "0", "1e+21", "0.1", "123456789012345"],
    ...["123456789.12345678", "-0.5", "0.000001", "1764322800.12345"],
    ...[
      "123456789.123456789",
      "1234567.1234567891234",
      "-0.0",
      "-0e1",
      "1.50",
      "1.0",
      "1e21",
      "1E5",
      "-0",
      "0.0000001",
      "9007199254740993",
      "1e400",
    ],
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

test("in any order, and with keys of any kind", () => {
  const numbers = ["1.50", "1.5", "2", "-0", "1e21", "12345678901234567890", "0.10"];
  const keys = ["a", "b", "é", "__proto__", "0", "12", "1.50", "constructor", '\\"\\\\', ""];
  const next = random(3);
  const value = (depth: number): string => {
    const kind = next(depth > 4 ? 4 : 7);
    if (kind < 2) return numbers[next(numbers.length)] ?? "";
    if (kind === 2) return `"${["1.50", "-0", '\\"1e5', "x, -0 ", ""][next(5)]}"`;
    if (kind === 3) return ["true", "null", "false"][next(3)] ?? "";
    const items = Array.from({ length: next(5) }, () => value(depth + 1));
    const gap = ["", " ", "\n"][next(3)] ?? "";
    if (kind === 4) return `[${items.join(`,${gap}`)}${gap}]`;
    return `{${items.map((item) => `"${keys[next(keys.length)]}":${gap}${item}`).join(",")}}`;
  };
  for (let round = 0; round < 5000; round++) {
    const text = value(0);
    // The runtime's own way, which is slower.
    const wanted: unknown = JSON.parse(text, (_, inner: unknown, context?: { source?: string }) =>
      typeof inner === "number" && context?.source !== undefined && `${inner}` !== context.source
        ? JSON.rawJSON(context.source)
        : inner,
    );
    expect(JSON.stringify(parseExact(text))).toBe(JSON.stringify(wanted));
  }
});

test.each([
  ["1.50", undefined],
  ["0.5", undefined],
  ["0.10", undefined],
  ["0.1000000000000000001", { nearest: 0.1, next: 0.10000000000000002, whole: false }],
  ["9007199254740993", { nearest: 2 ** 53, next: 2 ** 53 + 2, whole: true }],
  ["10.00000000000000000001", { nearest: 10, next: 10.000000000000002, whole: false }],
  ["-9.99999999999999999999", { nearest: -10, next: -9.999999999999998, whole: false }],
  ["0.0", undefined],
  ["-0.0", undefined],
  ["5e-324", undefined],
  ["1.0e2", undefined],
  ["10.5e1", undefined],
  ["105e-2", undefined],
  ["1e-400", { nearest: 0, next: 5e-324, whole: false }],
  ["-1e-400", { nearest: -0, next: -5e-324, whole: false }],
  ["4e-324", { nearest: 5e-324, next: 0, whole: false }],
  ["99999999999999999.0", { nearest: 1e17, next: 99999999999999984, whole: true }],
  ["1.00000000000000001e17", { nearest: 1e17, next: 1e17 + 16, whole: true }],
  // As many digits as are compared, and one more: that is not looked at, and told as no known number.
  [`1${"0".repeat(399)}e-399`, undefined],
  [`1${"0".repeat(400)}e-400`, { nearest: 1, next: 1.0000000000000002, whole: false }],
  // In all, wherever the point is.
  [`0.${"0".repeat(398)}1e399`, undefined],
  [`0.${"0".repeat(399)}1e400`, { nearest: 1, next: 1.0000000000000002, whole: false }],
  [`0.${"0".repeat(398)}1`, { nearest: 0, next: 5e-324, whole: false }],
  // Each with its exponent: 400 and 401 of ten.
  ["10e-401", { nearest: 0, next: 5e-324, whole: false }],
])("%s lies between two doubles", (rawJSON, place) => {
  expect(between({ rawJSON })).toEqual(place);
});

test("a value in which no number is otherwise than JavaScript writes it", () => {
  for (const plain of [5, "1.50", null, undefined, true, [], {}, [1, [2]], { a: { b: "1.50" } }])
    expect([plain, hasWritten(plain)]).toEqual([plain, false]);
  const same = { a: [1] };
  expect(toDoubles(same)).toBe(same);
});

test("doubles may have bounds, on both sides", () => {
  const value = parseExact("[1e400, -1e400, 1.50, 3.0, -3.0]");
  expect(toDoubles(value, 2)).toEqual([2, -2, 1.5, 2, -2]);
  expect(toDoubles(value)).toEqual([Infinity, -Infinity, 1.5, 3, -3]);
});
