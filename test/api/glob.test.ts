import { expect, test } from "bun:test";
import { globOf } from "../../src/api/glob.ts";

test.each<[string, string, boolean]>([
  ["*", "", true],
  ["p", "P", true],
  ["p", "pp", false],
  ["p/*", "p/a/b", true],
  ["*a*b*", "xaxbx", true],
  ["*a*b", "xaxbx", false],
  ["?", "", false],
  ["a?c", "abc", true],
  ["", "", true],
  ["", "a", false],
  ["!(monitor)", "Monitor", false],
  ["!(a|b*)", "c", true],
  ["!(a|b*)", "bc", false],
  ["[a]", "a", false],
])("%s and %s: %p", (pattern, name, expected) => {
  expect(globOf(pattern)(name)).toBe(expected);
});

test("no pattern takes long", () => {
  const name = `${"a".repeat(20_000)}b`;
  expect(globOf(`${"*a".repeat(120)}*c`)(name)).toBe(false);
  expect(globOf(`!(${"*a|".repeat(80)}x)`)(name)).toBe(true);
});
