import { describe, expect, test } from "bun:test";
import { compileParams } from "../../src/config/params.ts";
import { AfbError } from "../../src/errors.ts";
import { parseExact } from "../../src/numbers.ts";

function compile(params: Record<string, unknown>, names?: string[]) {
  const problems: string[] = [];
  const report = (path: string, message: string) => problems.push(`${path}: ${message}`);
  const compiled = compileParams(params, "params", report, names && new Set(names));
  return { ...compiled, problems };
}

function accepts(schema: unknown, value: unknown): boolean {
  const { check, problems } = compile({ a: schema });
  expect(problems).toEqual([]);
  try {
    check({ a: value });
    return true;
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    expect(error.status).toBe("invalid-request");
    expect(error.message).toStartWith("argument `a`: ");
    return false;
  }
}

describe("values are checked", () => {
  test.each<[unknown, unknown[], unknown[]]>([
    [{ type: "string", pattern: "^[a-z]+$", maxLength: 3 }, ["abc"], ["abcd", "A", 1]],
    [
      { type: "string", minLength: 2, maxLength: 3 },
      ["ab", "😀😀", "😀😀😀"],
      ["😀", "a", "😀😀😀😀"],
    ],
    [{ type: "string", pattern: "^.$" }, ["a", "😀"], ["", "ab", "\n"]],
    [{ type: "array", items: { type: "string", pattern: "^[a-z]+$" } }, [["a"], []], [["a", "1"]]],
    [
      { type: "array", uniqueItems: true },
      [
        [1, "1", true, "true", null, "null"],
        [[], {}],
        [{ a: 1 }, { a: 2 }],
      ],
      [
        [1, 1],
        [0, -0],
        ["a", "b", "a"],
        [null, null],
        [
          { a: 1, b: [] },
          { b: [], a: 1 },
        ],
      ],
    ],
    [{ type: "integer", minimum: 1, maximum: 9 }, [1, 9], [0, 10, 1.5, "1"]],
    [{ type: ["integer", "null", "boolean"] }, [1, true], ["x", 1.5]],
    [{ enum: ["on", "off", 1] }, ["on", 1], ["ON", 2]],
    [{ type: "string", enum: ["on", 1] }, ["on"], [1, "off"]],
    [{ const: "x" }, ["x"], ["y"]],
    [{ anyOf: [{ type: "string", minLength: 1 }, { type: "number" }] }, ["x", 1], ["", true]],
    [{ type: "array", items: { type: "string" }, minItems: 1 }, [["x"]], [[], [1], "x"]],
    [
      {
        type: "object",
        properties: { x: { type: "number" } },
        required: ["x", "y"],
        additionalProperties: false,
      },
      [{ x: 1, y: "any" }],
      [{ x: 1 }, { x: "1", y: 1 }, { x: 1, y: 1, z: 1 }],
    ],
    [{ type: "object", additionalProperties: { type: "string" } }, [{ q: "x" }], [{ q: 1 }]],
    [true, [1, "x"], []],
    [{ type: "string", description: "said", default: "x", examples: [] }, ["x"], [1]],
  ])("%j", (schema, good, bad) => {
    for (const value of good) expect([value, accepts(schema, value)]).toEqual([value, true]);
    for (const value of bad) expect([value, accepts(schema, value)]).toEqual([value, false]);
  });

  test("what is not given, or null, is not checked here", () => {
    const { check } = compile({ a: { type: "string" } });
    for (const args of [undefined, null, "x", {}, { a: null }, { b: 1 }])
      expect(() => check(args)).not.toThrow();
  });
});

test("a text is the value that it is the JSON of, to the letter, where all is text", () => {
  const { check } = compile({
    n: { type: ["integer", "null"], maximum: 10 },
    b: { type: "boolean" },
    s: { type: "string", maxLength: 2 },
    list: { type: "array" },
  });
  const good = [
    { n: "-5" },
    { n: 5 },
    { n: "5.0" },
    { n: "1e1" },
    { b: "true" },
    { s: "12" },
    { list: "[1]" },
  ];
  for (const args of good) expect(() => check(args, true)).not.toThrow();
  const others = ["1e2", "05", " 5", "5.5", "+5", "11", "0x5", "null", "", "[".repeat(1 << 20)];
  for (const args of [...others.map((n) => ({ n })), { b: "True" }, { s: "123" }, { list: "[ 1]" }])
    expect(() => check(args, true)).toThrow("argument `");
  expect(() => check({ n: "5" })).toThrow("argument `n`");
});

describe("what is not given has its default, and what a URL repeats is a list", () => {
  const { complete } = compile({
    n: { type: "integer", default: 5 },
    list: { type: "array", items: { type: "integer" } },
    texts: { type: "array" },
    either: { type: ["array", "string"], items: { type: "string" } },
    // Of "5" fits the text, but not the number; and the number, but not the text: a list of it would fit, too.
    asText: { type: ["array", "string"], items: { type: "integer" } },
    asNumber: { type: ["integer", "array"] },
    s: { type: "string" },
  });
  test.each<[unknown, unknown]>([
    [undefined, { n: 5 }],
    [{}, { n: 5 }],
    [{ n: null }, { n: 5 }],
    [{ s: null }, { s: null, n: 5 }],
    [{ n: 7 }, { n: 7 }],
    [{ list: 1 }, { list: 1, n: 5 }],
    [[1], [1]],
    ["x", "x"],
    [null, null],
  ])("%j is %j", (args, expected) => {
    expect(complete(args)).toEqual(expected);
  });
  test.each<[unknown, unknown]>([
    [{ list: ["1", "2"] }, { list: [1, 2], n: 5 }],
    [{ list: "1" }, { list: [1], n: 5 }],
    [{ list: "[1,2]" }, { list: "[1,2]", n: 5 }],
    [{ list: "x" }, { list: ["x"], n: 5 }],
    [{ texts: ["a", "1"] }, { texts: ["a", 1], n: 5 }],
    [{ either: "a" }, { either: "a", n: 5 }],
    [{ either: ["a", "1"] }, { either: ["a", "1"], n: 5 }],
    [{ asText: "5" }, { asText: "5", n: 5 }],
    [{ asNumber: "5" }, { asNumber: "5", n: 5 }],
    [{ asNumber: "x" }, { asNumber: ["x"], n: 5 }],
    [
      { s: "1", n: "6" },
      { s: "1", n: "6" },
    ],
    [{ other: "1" }, { other: "1", n: 5 }],
  ])("of texts %j is %j", (args, expected) => {
    expect(complete(args, true)).toEqual(expected);
  });
  test.each<[unknown, string]>([
    [{ s: ["a", "b"] }, "argument `s` is given 2 times, and takes one value"],
    [{ other: ["a", "b", "c"] }, "argument `other` is given 3 times, and takes one value"],
    [{ list: ["1", "x"] }, 'argument `list`: found "1" at /0: expected an integer'],
  ])("of texts %j: %s", (args, expected) => {
    expect(() => complete(args, true)).toThrow(expected);
  });
});

test("of a choice a text is told as a text", () => {
  const { check } = compile({ a: { enum: ["on", "off"] } });
  expect(() => check({ a: "5" }, true)).toThrow('argument `a`: found "5"');
});

test("where nothing is missing arguments are what was given, and texts are looked at all the same", () => {
  const { complete } = compile({ list: { type: "array" }, n: { type: "integer", default: 5 } });
  const given = { n: 1, list: ["1"] };
  expect(complete(given)).toBe(given);
  expect(complete({ n: 1, list: ["1", "2"] }, true)).toEqual({ n: 1, list: [1, 2] });
});

test("each value has all that a pattern may take, whatever came before it", () => {
  const { check } = compile({ a: { type: "string", pattern: "[a-z]{1,1000}@" } });
  for (let n = 0; n < 3; n++) {
    expect(() => check({ a: "a".repeat(100_000) })).toThrow("too long for its pattern");
    expect(() => check({ a: `${"a".repeat(600)}@` })).not.toThrow();
  }
});

test("a number in a text that does not fit is told as that, and not as a text", () => {
  const { check } = compile({
    n: { type: "integer", maximum: 10 },
    s: { type: ["integer", "string"], maximum: 10, maxLength: 1 },
  });
  const told = (args: unknown) => {
    try {
      check(args, true);
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };
  expect(told({ n: "11" })).toBe("argument `n`: found 11: expected an integer of at most 10");
  expect(told({ n: "x" })).toBe('argument `n`: found "x": expected an integer of at most 10');
  expect(told({ s: "11" })).toStartWith('argument `s`: found "11"');
});

test("a number with more digits than doubles have fits where both of its neighbours do, and is told where nobody knows", () => {
  const told = (schema: object, text: string) => {
    try {
      compile({ a: schema }).check({ a: parseExact(text) });
      return "fits";
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };
  const vague = "argument `a`: a number has more digits than can be checked: give it as a string";
  const type = "number";
  expect(told({ type }, "9007199254740993")).toBe("fits");
  expect(told({ type, maximum: 9007199254740992 }, "9007199254740993")).toContain("of at most");
  expect(told({ type: "integer" }, "9007199254740993")).toBe("fits");
  expect(told({ type, multipleOf: 2 }, "9007199254740993")).toBe(vague);
  expect(told({ type }, "9007199254740993.5")).toBe(vague);
  expect(told({ type }, "0.1000000000000000000001")).toBe("fits");
  expect(told({ type }, `1${"0".repeat(400)}`)).toBe("fits");
  expect(told({ type, multipleOf: 2 }, `1${"0".repeat(400)}`)).toBe(vague);
  // As people reckon, not as doubles are.
  for (const [multipleOf, text] of [
    ...[[0.1, "0.3"] as const, [0.01, "143.48"] as const, [0.01, "1070468.14"] as const],
    ...[[0.1, "1.50"] as const, [1e-7, "3e-7"] as const, [0.5, "1e300"] as const],
    ...[[0.1, "-4.2"] as const, [1.5, "0"] as const, [2, "9007199254740990"] as const],
  ])
    expect([text, told({ type, multipleOf }, text)]).toEqual([text, "fits"]);
  for (const [multipleOf, text] of [
    ...[[0.1, "0.35"] as const, [0.01, "1.005"] as const, [2, "3"] as const],
    ...[[0.3, "1"] as const, [1e-7, "1e-8"] as const],
  ])
    expect(told({ type, multipleOf }, text)).toEndWith(`a multiple of ${multipleOf}`);
});

test("a number that does not fit is told as it is written, up to forty of its characters", () => {
  const { check } = compile({
    a: { type: "number", maximum: 1, exclusiveMaximum: 1 },
    list: { type: "array", items: { type: "integer", maximum: 1 } },
  });
  const long = `9${"0".repeat(60)}`;
  for (const [text, shown] of [
    ["1.50", "1.50"],
    ["9007199254740993", "9007199254740993"],
    ["-1.50e999", undefined],
    [long.slice(0, 40), long.slice(0, 40)],
    [long, long.slice(0, 40)],
  ] as const) {
    if (shown === undefined) expect(() => check({ a: parseExact(text) })).not.toThrow();
    else
      expect(() => check({ a: parseExact(text) })).toThrow(
        `argument \`a\`: found ${shown}: expected a number`,
      );
  }
  // In a list, the number that it stands for.
  expect(() => check({ list: parseExact("[1, 2.0]") })).toThrow("found 2 at /1: expected");
});

describe("problems at boot", () => {
  test.each([
    [
      { a: { type: "string", format: "date" } },
      "params.a.format: the keyword `format` is not supported",
    ],
    [
      { a: { type: "string", minimum: 1 } },
      "params.a.minimum: the keyword `minimum` is not supported",
    ],
    [{ a: { oneOf: [] } }, "params.a.type: expected a type"],
    [{ a: { type: "text" } }, "params.a.type: expected a type"],
    [{ a: { type: "constructor" } }, "params.a.type: expected a type"],
    [{ a: { type: "string", pattern: "(" } }, "params.a.pattern: found"],
    [
      { a: { type: "string", pattern: "^(?!root)" } },
      'params.a.pattern: found "^(?!root)": it looks around',
    ],
    [{ a: { type: "string", maxLength: "3" } }, "params.a.maxLength: found"],
    [{ a: { type: "string", minLength: -1 } }, "params.a.minLength: found -1"],
    [{ a: { type: "string", minLength: 1.5 } }, "params.a.minLength: found 1.5"],
    [{ a: { type: "array", maxItems: 1e300 } }, "params.a.maxItems: found 1e+300"],
    [{ a: { type: "integer", multipleOf: 0 } }, "params.a.multipleOf: found 0"],
    [{ a: { type: "array", items: { type: "x" } } }, "params.a.items.type: expected a type"],
    [{ a: 5 }, "params.a: found 5, expected a JSON Schema"],
    [{ a: { type: "string", allowDash: 1 } }, "params.a.allowDash: expected true or false"],
    [
      { fiel: { type: "string" } },
      "params.fiel: the command has no argument `fiel`; did you mean `file`?",
    ],
  ])("%j", (params, message) => {
    expect(compile(params, ["a", "file"]).problems.join("\n")).toContain(message);
  });
});

test("allowDash names the values that may begin with a dash", () => {
  const { allowDash, check, problems } = compile({
    a: { allowDash: true },
    b: { type: "integer", allowDash: true },
    c: { type: "integer", allowDash: false },
  });
  expect(problems).toEqual([]);
  expect([...allowDash]).toEqual(["a", "b"]);
  expect(() => check({ a: "anything", b: -5 })).not.toThrow();
});

test("what would fit is told in the letters of the config", () => {
  const told = (schema: unknown, value: unknown) => {
    try {
      compile({ a: schema }).check({ a: value });
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };
  expect(told({ type: "string", pattern: "^[A-Z]+$" }, "a")).toBe(
    'argument `a`: found "a": expected a string like /^[A-Z]+$/',
  );
  expect(told({ const: "Erase" }, "erase")).toBe('argument `a`: found "erase": expected "Erase"');
  expect(told({ enum: ["On", "Off", 1] }, "Onn")).toBe(
    'argument `a`: found "Onn": expected one of "On", "Off", 1; did you mean `On`?',
  );
  expect(told({ type: "array", items: { enum: ["On", "Off"] } }, ["On", 5])).toBe(
    'argument `a`: found 5 at /1: expected one of "On", "Off"',
  );
});

test("one check ends, whatever is given", () => {
  const told = (schema: unknown, value: unknown): unknown => {
    try {
      compile({ a: schema }).check({ a: value });
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };
  const mail = { type: "string", pattern: "^([a-zA-Z0-9._-]+)*@([a-zA-Z0-9-]+[.])+[a-z]+$" };
  expect(told(mail, "a".repeat(40))).toContain("expected a string like");
  const wide = { type: "string", pattern: "[a-z]{1,1000}@" };
  expect(told(wide, "a".repeat(100_000))).toContain("too long for its pattern");
  // The texts of a list share what one may take.
  const texts = Array.from({ length: 1000 }, () => `${"a".repeat(600)}@`);
  expect(told({ type: "array", items: wide }, texts)).toContain("too long for its pattern");
  expect(told({ anyOf: [wide, mail] }, "a".repeat(100_000))).toContain("too long for its pattern");
  expect(told({ type: "array", items: wide }, texts.slice(0, 3))).toBeUndefined();
  const many = Array.from({ length: 300_000 }, (_, i) => i);
  expect(told({ type: "array", uniqueItems: true }, many)).toBeUndefined();
  expect(told({ type: "array", uniqueItems: true }, [...many, 7])).toContain("all different");
});
