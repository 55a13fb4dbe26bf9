/** Which word was meant: the fewest edits, and not too many. */
import { expect, test } from "bun:test";
import { nearest, suggestion } from "../../src/config/nearest.ts";

const WORDS = ["verbose", "timeout", "commands", "uid", "info"];
test.each([
  ["verbos", "verbose"],
  ["Verbose", "verbose"],
  ["vebrose", "verbose"],
  ["evrbose", "verbose"],
  ["verboes", "verbose"],
  ["timout", "timeout"],
  ["tiemout", "timeout"],
  ["tmieuot", "timeout"],
  ["comands", "commands"],
  ["commnads", "commands"],
  ["udi", "uid"],
  ["idu", undefined],
  ["ui", "uid"],
  ["xyz", undefined],
  ["verb", undefined],
  ["inof", "info"],
  ["ofin", undefined],
  ["", undefined],
  ["x".repeat(65), undefined],
])("%s: %s", (word, meant) => {
  expect(nearest(word, WORDS)).toBe(meant as string);
  expect(suggestion(word, WORDS)).toBe(meant === undefined ? "" : `; did you mean \`${meant}\`?`);
});

test("the nearest of several, and the first of equals", () => {
  expect(nearest("abcd", ["abxy", "abcx", "abcy"])).toBe("abcx");
  expect(nearest("x".repeat(64), [`${"x".repeat(63)}y`])).toBe(`${"x".repeat(63)}y`);
});
