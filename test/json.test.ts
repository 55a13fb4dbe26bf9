import { expect, test } from "bun:test";
import { MOST_NESTED, parseForeign } from "../src/json.ts";

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

test("JSON is taken up to a depth that can be written again at once", () => {
  expect(JSON.stringify(parseForeign(nested(MOST_NESTED)))).toBe(nested(MOST_NESTED));
  for (const depth of [MOST_NESTED + 1, 40_000, 500_000])
    expect(() => parseForeign(nested(depth))).toThrow(SyntaxError);
  expect(() => parseForeign('{"a":'.repeat(MOST_NESTED) + nested(1))).toThrow(SyntaxError);
});

test("brackets in texts, and beside each other, are not deep", () => {
  const text = JSON.stringify(['["\\'.repeat(2000), ...Array.from({ length: 2000 }, () => [{}])]);
  expect(JSON.stringify(parseForeign(text))).toBe(text);
  for (const wrong of ["", "[", "]", '"\\', "[1,]", "]".repeat(600) + "[".repeat(600)])
    expect(() => parseForeign(wrong)).toThrow(SyntaxError);
});
