import { expect, test } from "bun:test";
import {
  isTooDeep,
  LONG,
  MOST_NESTED,
  parseForeign,
  parseTyped,
  TooManyValues,
  VALUES,
} from "../src/json.ts";

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

test("how deep, how long and how many: as much as could be tried out", () => {
  expect({ MOST_NESTED, LONG, VALUES }).toEqual({ MOST_NESTED: 512, LONG: 32_768, VALUES: 65_536 });
});

test("JSON is taken up to a depth that can be written again at once", () => {
  expect(JSON.stringify(parseForeign(nested(MOST_NESTED)))).toBe(nested(MOST_NESTED));
  for (const depth of [MOST_NESTED + 1, 40_000, 500_000])
    expect(() => parseForeign(nested(depth))).toThrow(SyntaxError);
  expect(() => parseForeign('{"a":'.repeat(MOST_NESTED) + nested(1))).toThrow(SyntaxError);
});

test("what people type has as many values at most", () => {
  const many = (values: number, end: string) => `[${"1,".repeat(values - 2)}1${end}]`;
  expect(parseTyped(many(VALUES - 1, ","))).toBeArrayOfSize(VALUES - 2);
  expect(() => parseTyped(many(VALUES + 1, ","))).toThrow(TooManyValues);
  expect(() => parseTyped(`['\"',${many(VALUES, ",")},]`)).toThrow(TooManyValues);
});

test("brackets in texts, and beside each other, are not deep", () => {
  const text = JSON.stringify(['["\\'.repeat(2000), ...Array.from({ length: 2000 }, () => [{}])]);
  expect(JSON.stringify(parseForeign(text))).toBe(text);
  for (const wrong of ["", "[", "]", '"\\', "[1,]", "]".repeat(600) + "[".repeat(600)])
    expect(() => parseForeign(wrong)).toThrow(SyntaxError);
});

test("a text ends with the quote that has an even number of backslashes before it", () => {
  const deep = "[".repeat(MOST_NESTED + 1);
  for (let count = 0; count < 6; count++) {
    const backslashes = "\\".repeat(count);
    const value = [`${backslashes}"${deep}`, backslashes, deep, `${backslashes}"`, "]"];
    expect(parseForeign(JSON.stringify(value))).toEqual(value);
    expect(isTooDeep(JSON.stringify(value))).toBe(false);
    const text = `[${JSON.stringify(backslashes)},${deep}`;
    expect(isTooDeep(text)).toBe(true);
  }
});

const list = (of: string, count: number): string => `[${Array(count).fill(of).join(",")}]`;

test("many values are refused, of whatever kind and wherever they stand", () => {
  for (const of of ["{}", "[]", "0", '""', '{"a":{}}', '"\\\\","\\""'])
    expect(() => parseForeign(list(of, VALUES + 1))).toThrow(TooManyValues);
  expect(() => parseForeign(`{"a":"b","c":${list("1", VALUES + 1)}}`)).toThrow(TooManyValues);
});

test("a long text is one value, whatever is in it", () => {
  for (const text of [
    ",{[".repeat(100_000),
    '"\\'.repeat(100_000),
    "\\".repeat(100_001),
    "é\u{1f600}",
  ])
    expect(parseForeign(JSON.stringify([text, { a: text }]))).toEqual([text, { a: text }]);
  expect(parseForeign(list("7", VALUES / 2))).toHaveLength(VALUES / 2);
});

test("what is no JSON is told as that", () => {
  for (const text of [
    '"',
    `"${"x".repeat(100_000)}`,
    `"${"x".repeat(100_000)}\\`,
    "[".repeat(50_000),
  ])
    expect(() => parseForeign(text)).toThrow();
});
