/** Files of variables, as systemd.exec(5) has them. */
import { expect, test } from "bun:test";
import { parseEnvFile } from "../../src/plan/env-file.ts";

const read = (text: string) => Object.fromEntries(parseEnvFile(text));

test.each([
  ["", {}],
  ["\n \n# A=1\n ; B=2\n", {}],
  ["A=1", { A: "1" }],
  ["A=1\nB=2\n", { A: "1", B: "2" }],
  ["A=1\nA=2\n", { A: "2" }],
  ["  A = 1  \n", { A: "1" }],
  ["A=\nB=x", { A: "", B: "x" }],
  ["A=two words\t \n", { A: "two words" }],
  ["A=a=b\n", { A: "a=b" }],
  ["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
  ["A=x # no comment\n", { A: "x # no comment" }],
  ['A="two  words " \n', { A: "two  words " }],
  ['A="a\\"b\\\\c\\$d\\`e\\nf"\n', { A: 'a"b\\c$d`e\\nf' }],
  ["A='a\\b\"c$D'\n", { A: 'a\\b"c$D' }],
  ["A='two\nlines'\nB=3\n", { A: "two\nlines", B: "3" }],
  ["A=a\\\nb\nB=3\n", { A: "ab", B: "3" }],
  ["A=a\\ \n", { A: "a " }],
  ['A="a b "c\n', { A: "a b c" }],
  ['A=\\a "b"\n', { A: 'a "b"' }],
  ['A="\\\\" "b"\n', { A: "\\b" }],
  ["A=\"a\"  'b '\n", { A: "ab " }],
  ["A=it's fine\n", { A: "it's fine" }],
  ['A=a" b "c\n', { A: 'a" b "c' }],
  ['A=say "x" \n', { A: 'say "x"' }],
  ["A=$HOME ${X} %h `x`\n", { A: "$HOME ${X} %h `x`" }],
  ["__proto__=1\n", Object.fromEntries([["__proto__", "1"]])],
  ["A=\\", { A: "" }],
])("%j", (text, variables) => {
  expect(read(text)).toEqual(variables);
});

test.each([
  ["A=1\nhunter2\n", "line 2"],
  ["export A=1\n", "line 1"],
  ["1A=1\n", "line 1"],
  ["=1\n", "line 1"],
  ["A-B=1\n", "line 1"],
  ["\nA='x\ny\n", "line 2: a quote"],
  ['A=1\nB="hunter2', "line 2: a quote"],
  ["A='x\ny'\nnothing\n", "line 3"],
  ["A=a\\\nb\nnothing", "line 3"],
])("%j is wrong at its line, and nothing of it is told", (text, where) => {
  let message = "";
  try {
    read(text);
  } catch (error) {
    message = String(error);
  }
  expect(message).toContain(where);
  expect(message).not.toContain("hunter2");
});

test("has so many variables", () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `A${i}=`).join("\n");
  expect(Object.keys(read(lines(1024)))).toHaveLength(1024);
  expect(() => read(lines(1025))).toThrow("1024");
});
