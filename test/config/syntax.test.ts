import { describe, expect, test } from "bun:test";
import { parseJson } from "../../src/config/syntax.ts";
import { pick, seeded } from "./random.ts";

function parse(text: string) {
  const problems: string[] = [];
  const value = parseJson(text, (path, message) => problems.push(`${path}: ${message}`));
  return { value, problems };
}

describe("syntax errors", () => {
  test("tell line, column, the line's text and a caret", () => {
    const { problems } = parse('{\n  "a": 1,\n\t"b" 2\n}');
    expect(problems).toEqual([': expected `:`, found "2"\nline 3, column 6:\n   "b" 2\n       ^']);
  });

  test.each([
    ["", "expected a value, found the end of the file\nline 1, column 1:"],
    ["[1 2]", 'expected `,` or `]`, found "2"\nline 1, column 4:'],
    ["{'a': 1}", "expected a key in double quotes"],
    ["[01]", "line 1, column 2:"],
    ["tru", "expected a value"],
    ["{} x", "expected the end of the file"],
    ["{\u00a0}", 'found "\u00a0" (U+00A0)'],
    ['{"a": \u201cb\u201d}', 'found "\u201c" (U+201C)'],
    ["[😀]", 'found "😀" (U+1F600)'],
    ["{\0", 'found "\\u0000" (U+0000)'],
    ['"abc', "the string that begins here has no end: a double quote is missing"],
    ['"a\tb"', "a control character in a string is to be written \\t\nline 1, column 3"],
    ['"a\x1b"', "a control character in a string is to be written \\u001b\nline 1, column 3"],
    ['{"a": "b,\n"c": 1}', "a double quote is missing, or a line break is to be written \\n"],
    ['"a\\\nb"', "a double quote is missing, or a line break is to be written \\n"],
    [
      '"C:\\\\a\\dir"',
      "a string has no escape \\d: a backslash itself is written \\\\\nline 1, column 7",
    ],
    ["[+1]", 'found "+1"; a number is such as 10, 0.5 or -1e3'],
    ["[0x10]", 'found "0x10"; a number is'],
    ["[.5]", 'found ".5"; a number is'],
    ["[10s]", 'found "10s"; a number is'],
    ["[True]", 'found "True"; did you mean `true`?'],
    ["[yes]", 'found "yes"; a text stands in double quotes'],
    ['"a\\qb"', "line 1, column 3:"],
    ['"a\nb"', "line 1, column 3:"],
    ["[".repeat(100_000), "nested more than 200 deep"],
  ])("%.20s", (text, message) => {
    expect(parse(text).problems[0]).toContain(message);
  });

  test.each([
    ["}", "line 1, column 1:\n  }\n  ^"],
    ["{}\n]", "line 2, column 1:\n  ]\n  ^"],
    ["{}\n\n] x", "line 3, column 1:\n  ] x\n  ^"],
    ["[1,\n2\n3,\n]", "line 3, column 1:\n  3,\n  ^"],
    ["\n", "line 2, column 1:\n  \n  ^"],
    ["[1,\n", "line 2, column 1:\n  \n  ^"],
    ["{}\n ]", "line 2, column 2:\n   ]\n   ^"],
    // As wide as it is shown.
    ['["日本😀e\u0301", ]]', `line 1, column 13:\n  ["日本😀e\u0301", ]]\n  ${" ".repeat(12)} ^`],
    ['["\u202e" x', `line 1, column 6:\n  ["\\u202e" x\n  ${" ".repeat(10)}^`],
  ])("where a line begins, and behind: %j", (text, place) => {
    expect(parse(text).problems[0]).toEndWith(place);
  });

  // Looking from each escape to the end of the file would take hours: the runner's time limit tells.
  test("a string without end in a large file takes time in proportion", () => {
    expect(parse(`["${"a\\n".repeat(1_000_000)}`).problems).toHaveLength(1);
  });
});

test("keys given twice are reported where they stand", () => {
  const { value, problems } = parse('{"a": {"b": 1,\n"b": 2}}');
  expect(problems).toEqual(["a.b: key `b` is given twice, at lines 1 and 2"]);
  expect(value).toEqual({ a: { b: 2 } });
});

test.each(["", "//"])("__proto__ is an own key %s", (comment) => {
  const { value } = parse(`{"__proto__": {"x": 1}}${comment}`);
  expect(Object.keys(value as object)).toEqual(["__proto__"]);
  expect((value as { x?: unknown }).x).toBeUndefined();
});

test("comments and trailing commas are accepted", () => {
  expect(parse('/* a */ {"a": [1, 2,], // b\n "c": "// no",}').value).toEqual({
    a: [1, 2],
    c: "// no",
  });
});

test("fuzz: agrees with JSON.parse on JSON, and never throws on what is not", () => {
  const random = seeded(7);
  const value = (depth: number): unknown => {
    const kind = Math.floor(random() * (depth > 0 ? 6 : 4));
    if (kind === 0) return pick(random, [null, true, false]);
    if (kind === 1) return (random() - 0.5) * 10 ** Math.floor(random() * 40 - 20);
    if (kind <= 3) return pick(random, ["", 'a"\\b\n\u0001', "é😀\ud800", "// x", "{[", "\\"]);
    if (kind === 4) return Array.from({ length: Math.floor(random() * 4) }, () => value(depth - 1));
    return Object.fromEntries(
      Array.from({ length: Math.floor(random() * 4) }, (_, i) => [`k${i}`, value(depth - 1)]),
    );
  };
  const end = performance.now() + 1000;
  for (let i = 0; i < 3000 && performance.now() < end; i++) {
    const text = JSON.stringify(value(5), null, pick(random, [0, 1, "\t"]));
    expect(parse(text)).toEqual({ value: JSON.parse(text), problems: [] });
    // With a comment it is read another way.
    expect(parse(`${text}//`)).toEqual({ value: JSON.parse(text), problems: [] });
    const at = Math.floor(random() * text.length);
    const broken =
      text.slice(0, at) + pick(random, ["", '"', "{", ",", "\\", "\0"]) + text.slice(at + 1);
    parse(broken);
  }
});

test("what JSON.parse would pass over is told as it is behind a comment: keys given twice, and too deep", () => {
  const twice = [
    ...['{"a":1,"a":1}', '{"a":"","a":{}}', '{"a":{"b":["c"]},"a":0}', '{"a":1,"\\u0061":"a"}'],
    ...['{"":1,"":2}', '[{"a":1},{"b":"a","b":"\\"a\\":"}]', '{"a":{"x":1,"x":2,"x":3}}'],
    ...['{"__proto__":1,"__proto__":{}}', '{"a":1e400,"a":12345678901234567890}'],
  ];
  for (const text of twice) {
    const { value, problems } = parse(text);
    expect([text, problems.length]).toEqual([text, text.includes('"x":3') ? 2 : 1]);
    expect(problems[0]).toContain("is given twice");
    expect({ value, problems }).toEqual(parse(`/**/${text}`));
  }
  const once = [
    '{"a":"b","c":":d"}',
    '{"a":{"a":{"a":"a"}}}',
    '["\\"", "\\\\", "a\\\\\\"b"]',
    '" : "',
  ];
  for (const text of once)
    expect(parse(text)).toEqual({ value: JSON.parse(text) as unknown, problems: [] });
  for (const [open, close] of [
    ["[", "]"],
    ['{"a":', "}"],
  ] as const) {
    for (const comment of ["", "//"]) {
      const nested = (depth: number, inner: string) =>
        parse(open.repeat(depth) + inner + close.repeat(depth) + comment).problems;
      expect(nested(200, "1")).toEqual([]);
      expect(nested(201, "1")[0]).toContain("nested more than 200 deep");
      expect(nested(100_000, "1")[0]).toContain("nested more than 200 deep");
    }
  }
  // As long as there is nothing in it.
  for (const comment of ["", "//"]) {
    expect(parse(`${"[".repeat(201)}${"]".repeat(201)}${comment}`).problems).toEqual([]);
    expect(parse(`${"[".repeat(202)}${"]".repeat(202)}${comment}`).problems).toHaveLength(1);
  }
});

test("many keys given twice take time in proportion", () => {
  const { problems } = parse(`{${'"a": 1,\n'.repeat(300_000)}"a": 1}`);
  expect(problems).toHaveLength(300_000);
  expect(problems.at(-1)).toBe("a: key `a` is given twice, at lines 300000 and 300001");
});
