import { describe, expect, test } from "bun:test";
import { parseExact } from "../src/numbers.ts";
import { random } from "./encoders/feed.ts";
import { parseLenient } from "../src/lenient.ts";

const read = (text: string, words = false) =>
  JSON.stringify(parseLenient(text, { depth: 8, number: parseExact, words }));

describe("what json-c reads", () => {
  const table: [string, string][] = [
    ['{"a":1,}', '{"a":1}'],
    ["[1,2,]", "[1,2]"],
    ["{'a':'b \"c\" \\' d'}", '{"a":"b \\"c\\" \' d"}'],
    ['/* one */ {/**/"a"/* two */:// three\n1} // four', '{"a":1}'],
    ["[NaN, nan, Infinity, -infinity]", '["NaN","NaN","Infinity","-Infinity"]'],
    ["[True, FALSE, Null, NULL]", "[true,false,null,null]"],
    ["{version: 1, _x.y-z: 2, $k:3}", '{"version":1,"_x.y-z":2,"$k":3}'],
    ["[007, -0012.50, 5., 1e3]", "[7,-12.50,5,1e3]"],
    ["[12e, 1.50E-, 007e+, -.5]", "[12,1.50,7,-0.5]"],
    ["[9007199254740993,]", "[9007199254740993]"],
    ['"a\tb\u0001"', '"a\\tb\\u0001"'],
    ['"\\u00e9\\/\\b"', '"é/\\b"'],
    ["{'__proto__': {'x': 1,},}", '{"__proto__":{"x":1}}'],
    ["{'a': 1, 'a': 2}", '{"a":2}'],
    ["[[[[[[[[]]]]]]]]", "[[[[[[[[]]]]]]]]"],
  ];
  test.each(table)("%j", (text, json) => expect(read(text)).toBe(json));
});

test.each([
  "",
  "hello",
  "{",
  "[,]",
  "[1,,2]",
  "[1 2]",
  '{"a" 1}',
  '{"a":}',
  "{,}",
  "{{}}",
  "{1a:1}",
  "'a",
  "'a\\",
  '"\\x"',
  '"\\u12g4"',
  "[1] 2",
  "/* ",
  "/",
  "+1",
  ".5",
  "0x10",
  "1ee",
  "1e+-",
  "12:30",
  "[[[[[[[[[]]]]]]]]]",
])("what is none even so: %j", (text) => {
  expect(() => read(text)).toThrow(SyntaxError);
});

test.each([
  ["1 2", 'nothing more at character 2, found "2"'],
  ['{"a" 1}', '":" at character 5, found "1"'],
  ["[1 2]", '"," or "]" at character 3, found "2"'],
  ['{"a":1 é}', '"," or "}" at character 7, found "é"'],
  ["{1:2}", 'a key at character 1, found "1"'],
  ["{", "a key at character 1, found the end"],
  ["[1,,2]", 'a value at character 3, found ","'],
  ['["a\\nb\\x"]', 'an escape at character 7, found "x"'],
  ['["\\u12g4"]', 'an escape at character 3, found "u"'],
  ["['a", "the end of a string at character 3, found the end"],
  ["[1 /* x", 'the end of a comment at character 3, found "/"'],
])("what is wrong is told with its place: %j", (text, wrong) => {
  expect(() => read(text)).toThrow(new SyntaxError(`expected ${wrong}`));
});

test("JSON is read as JSON.parse reads it", () => {
  const words = [
    '{"a":1}',
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"k"',
    '"\\u00e9"',
    "1",
    "-0.5e1",
    "true",
    " ",
  ];
  let read = 0;
  for (let seed = 1; seed <= 20_000; seed++) {
    const next = random(seed);
    const text = Array.from({ length: 1 + next(7) }, () => words[next(words.length)]).join("");
    let expected: string;
    try {
      expected = JSON.stringify(JSON.parse(text));
    } catch {
      // It may be lenient, or no JSON at all; but nothing else is thrown.
      try {
        parseLenient(text, { depth: 8, number: parseExact });
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
      }
      continue;
    }
    read++;
    expect(JSON.stringify(parseLenient(text, { depth: 8, number: JSON.parse }))).toBe(expected);
  }
  expect(read).toBeGreaterThan(1000);
});

test("words", () => {
  expect(read("[2,1,p/say,{file:/etc/hosts, at: eth0:1, n: 5, ok: true}]", true)).toBe(
    '[2,1,"p/say",{"file":"/etc/hosts","at":"eth0:1","n":5,"ok":true}]',
  );
});

test("blanks are those of ASCII, and a comment is one wherever they are", () => {
  const blank = (code: number) => [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d].includes(code);
  for (let code = 0; code < 0x2f; code++) {
    const text = `[${String.fromCharCode(code)}1]`;
    // A sign and a comma are others' affair, a quote begins a string.
    if (["-", ",", '"', "'"].includes(text.charAt(1))) continue;
    if (blank(code)) expect([code, read(text)]).toEqual([code, "[1]"]);
    else expect(() => read(text)).toThrow(SyntaxError);
  }
  expect(read("/**/[1,/* a *//* b */2]/**/")).toBe("[1,2]");
});

test("any character above the blank may be of a word, but for those that end it", () => {
  for (let code = 0; code < 0x7f; code++) {
    const text = String.fromCharCode(code);
    const ends = code <= 0x20 || "\"'[]{},".includes(text);
    const words = `[a${text}b]`;
    if (text === ",") expect(read(words, true)).toBe('["a","b"]');
    else if (ends) expect(() => read(words, true)).toThrow(SyntaxError);
    else expect(read(words, true)).toBe(JSON.stringify([`a${text}b`]));
  }
});

test("the time of a text is that of its length", () => {
  const most = 1 << 20;
  for (const text of [
    "0".repeat(most) + "x",
    "[".repeat(most),
    "/*".repeat(most / 2),
    "'" + "\\\\".repeat(most / 2),
    "//\n".repeat(most / 3),
    `{${"a:1,".repeat(most / 4)}`,
    `[${"'',".repeat(most / 3)}`,
  ]) {
    expect(() => read(text)).toThrow(SyntaxError);
    expect(() => read(`[${text}`, true)).toThrow(SyntaxError);
  }
  const long = `[${"1,".repeat(most / 2)}]`;
  expect(read(long).length).toBe(most + 1);
});
