import { describe, expect, jest, test } from "bun:test";
import { json } from "../../src/encoders/json.ts";
import { about, feed, random, utf8 } from "./feed.ts";

async function events(
  stdout: string | Uint8Array,
  opts: Record<string, unknown> = {},
  sizes = [65536],
): Promise<string[]> {
  const fed = await feed(json, stdout, { opts, sizes });
  expect(fed.fields).toEqual({});
  return fed.events.map((fields) => JSON.stringify(fields));
}

const out = (...values: string[]) => values.map((value) => `{"stdout":${value}}`);
const error = (message: string, bytes?: number) =>
  JSON.stringify({ "json-error": message, ...(bytes !== undefined && { bytes }) });

test("bytes that are no text are counted once, wherever they are shown", async () => {
  const lossOf = async (bytes: number[], sizes: number[]) => {
    const { events: seen, loss } = await feed(json, Buffer.from(bytes), { sizes });
    return [JSON.stringify(seen), loss];
  };
  const line = [...utf8('["'), 0xff, 0xc3, ...utf8('"]\n')];
  const bad = [...utf8("no json "), 0xff, 0xff, ...utf8("\n1\n")];
  for (const sizes of [[65536], [1], [3, 5]]) {
    const none = { overflow: 0, replaced: 2 };
    expect(await lossOf(line, sizes)).toEqual(['[{"stdout":["\ufffd\ufffd"]}]', none]);
    const shown = '[{"json-error":"not JSON: no json \ufffd\ufffd"},{"stdout":1}]';
    const [seen, loss] = await lossOf(bad, sizes);
    expect([String(seen).replace(/"json-error":"[^:]*/, '"json-error":"not JSON'), loss]).toEqual([
      shown,
      none,
    ]);
    // A word by itself is looked at as a value before it is an error; its end may be half of a character.
    for (const [word, shownAs, replaced] of [
      [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd", 3],
      [[0xff, 0x61], "\ufffda", 1],
      [[0x61, 0xc3], "a\ufffd", 1],
      [[0xf0, 0x9f], "\ufffd", 2],
    ] as const)
      for (const end of [utf8("\n"), []])
        expect(await lossOf([...word, ...end], sizes)).toEqual([
          `[{"json-error":"not JSON: ${shownAs}"}]`,
          { overflow: 0, replaced },
        ]);
  }
});

test("of a value that is too long each byte is lost, however it comes", async () => {
  const text = '{"a":"0123456789"}';
  for (const sizes of [[65536], [1], [7], [11, 3], [17]]) {
    const { events: seen, loss } = await feed(json, `${text}1 `, { sizes, opts: { maxlen: 10 } });
    expect([sizes, seen.length, loss.overflow]).toEqual([sizes, 2, text.length] as never);
  }
});

test("separators of records and byte order marks stand between values, however they come", async () => {
  const text = '\ufeff{"a":1}\n\x1e{"a":2}\n\x1e[3]\x1e\x1e"4"\n\ufeff5 \ufeff"6"\ufeff\n';
  for (const opts of [{}, { strict: true }])
    for (const sizes of [[65536], [1], [2, 3]]) {
      expect(await events(text, opts, sizes)).toEqual(
        out('{"a":1}', '{"a":2}', "[3]", '"4"', "5", '"6"'),
      );
      // Within one they are what they were.
      expect(await events('["\ufeff"]\n', opts, sizes)).toEqual(out('["\ufeff"]'));
    }
});

test("a record that is cut short, wherever, costs only itself", async () => {
  for (const cut of ['{"a":\n', '{"a":', '{"a":1,\n', '{"a":1', "[1,[tr", "{", '{"a"'])
    for (const opts of [{}, { strict: true }])
      for (const sizes of [[65536], [1], [2, 3]])
        expect(await events(`\x1e${cut}\x1e{"b":2}\n`, opts, sizes)).toEqual([
          error(`cut short: ${cut.trimEnd()}`),
          ...out('{"b":2}'),
        ]);
});

test("whole lines, and what only looks like them, are the same in any pieces", async () => {
  const lines = [
    ...['{"a":1}', "[1]", "  [1] \r", '{"a":1}{"b":2}', "[1] 2", "[1],[2]", "{'a':1}", "[NaN]"],
    ...[
      "// [1]",
      "/* [1]",
      '{"a":2} */ [3]',
      '{"a":[1.50]}',
      '["[",{"]":"}"}]',
      "[[[[1]]]]",
      "]",
      "{}",
    ],
    ...[
      '["\ttab"]',
      "[1",
      "2]",
      '{"long":"' + "x".repeat(300) + '"}',
      "[1] x",
      "# [1]",
      "[01]",
      "[]",
    ],
  ];
  const next = random(11);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 1 + next(12) }, () => lines[next(lines.length)]).join("\n");
    const opts = {
      maxlen: [40, 1000][next(2)],
      maxdepth: [2, 512][next(2)],
      strict: next(2) === 0,
    };
    const ended = next(2) ? text : `${text}\n`;
    expect(await events(ended, opts, [1 + next(30)])).toEqual(await events(ended, opts));
    expect(await events(ended, opts, [1])).toEqual(await events(ended, opts));
  }
});

describe("values", () => {
  const table: [string, string[]][] = [
    ["", []],
    [" \n\t\r\n", []],
    ['{"a":1}\n', out('{"a":1}')],
    ['{"a":1}{"b":2} [3]\n[]', out('{"a":1}', '{"b":2}', "[3]", "[]")],
    ['{\n  "a": [\n    1,\n    {"b": {}}\n  ]\n}\n', out('{"a":[1,{"b":{}}]}')],
    ["1 2\n3", out("1", "2", "3")],
    ["true false null -1.5e1", out("true", "false", "null", "-1.5e1")],
    ['"a""b" "\\"\\\\"', out('"a"', '"b"', '"\\"\\\\"')],
    ['{"}":"{[\\"","]":"]"}', out('{"}":"{[\\"","]":"]"}')],
    ['"é€😀\\u00e9\\u0000"', out('"é€😀é\\u0000"')],
    ['{"__proto__":1,"a":{"constructor":2}}', out('{"__proto__":1,"a":{"constructor":2}}')],
    ["[9007199254740993,18446744073709551615,1]", out("[9007199254740993,18446744073709551615,1]")],
    ["1e400 12345678901234567890", out("1e400", "12345678901234567890")],
    ['{"a":1,}[1,]', out('{"a":1}', "[1]")],
    ["{'a':'it\\'s'}'x' ", out('{"a":"it\'s"}', '"x"')],
    ["// one\n{ // two }\n 'a' /* ] */: 1 /**/, }\n/* three\n */ 2 // four", out('{"a":1}', "2")],
    ["/* a/b * / ** **/ 1 /***/ 2 /*/ 3 */ ", out("1", "2")],
    ["[NaN,-Infinity] nan ", out('["NaN","-Infinity"]', '"NaN"')],
    ["True FALSE NULL [Null]", out("true", "false", "null", "[null]")],
    ['{version: 1, state:"up"}', out('{"version":1,"state":"up"}')],
    ['{"t":"a\tb"}', out('{"t":"a\\tb"}')],
    ["{'v': 9007199254740993,}", out('{"v":9007199254740993}')],
    ["007 [-01.50,]", out("7", "[-1.50]")],
  ];
  test.each(table)("%j", async (text, expected) => {
    expect(await events(text)).toEqual(expected);
    expect(await events(text, {}, [1])).toEqual(expected);
  });

  test("stderr by line", async () => {
    const fed = await feed(json, "", { stderr: "warning\n{" });
    expect(fed.events).toEqual([{ stderr: "warning" }, { stderr: "{" }]);
  });
});

test("strictly, a string has blanks and no control characters, however it comes", async () => {
  const strict = { strict: true };
  for (const sizes of [[65536], [1], [5, 3]]) {
    expect(await events('["a b", " "]\n', strict, sizes)).toEqual(out('["a b"," "]'));
    const [bad, ...rest] = await events('["a\u001fb"]\n3 ', strict, sizes);
    expect([bad?.includes("json-error"), ...rest]).toEqual([true, ...out("3")]);
  }
});

test("a word ends where a string or another value begins", async () => {
  for (const text of ['[1"a"]\n3 ', "[1[2]]\n3 ", "[true{}]\n3 "]) {
    const [bad, ...rest] = await events(text, {}, [1]);
    expect(bad).toMatch(/^{"json-error":"unexpected (string|bracket)/);
    expect(rest).toEqual(out("3"));
  }
});

test("what has not ended on stderr waits for its end", async () => {
  jest.useFakeTimers();
  try {
    const seen: object[] = [];
    const encoding = json.begin({}, (fields) => void seen.push(fields), about());
    void encoding.stderr(utf8("Pass"));
    jest.advanceTimersByTime(1000);
    expect(seen).toEqual([]);
    void encoding.stderr(utf8("word\r"));
    jest.advanceTimersByTime(200);
    jest.advanceTimersByTime(1);
    expect(seen).toEqual([{ stderr: "Password", cr: true }]);
    await encoding.end();
  } finally {
    jest.useRealTimers();
  }
});

describe("errors", () => {
  const table: [string, string, Record<string, unknown>, string[]][] = [
    ["text", "hello world\n1\n", {}, [error("not JSON: hello world"), ...out("1")]],
    ["a time stamp", "12:30:45 x\n1 ", {}, [error("not JSON: 12:30:45 x"), ...out("1")]],
    ["a missing value", "[1,,2]\n3 ", {}, [error("unexpected text: [1,,2]"), ...out("3")]],
    [
      "a trailing comma, strictly",
      '{"a":1,}\n3 ',
      { strict: true },
      [error('unexpected bracket: {"a":1,}'), ...out("3")],
    ],
    [
      "single quotes, strictly",
      "{'a':1}\n3 ",
      { strict: true },
      [error("unexpected text: {'a':1}"), ...out("3")],
    ],
    ["a comment, strictly", "// x\n3 ", { strict: true }, [error("not JSON: // x"), ...out("3")]],
    [
      "a capital literal, strictly",
      "True\n3 ",
      { strict: true },
      [error("not JSON: True"), ...out("3")],
    ],
    [
      "NaN, strictly",
      '{"a":NaN}\n3 ',
      { strict: true },
      [error('not JSON: {"a":NaN}'), ...out("3")],
    ],
    [
      "NaN behind a comma, strictly",
      '[1,NaN]\n{"a":1,"b":NaN}\n3 ',
      { strict: true },
      [error("not JSON: [1,NaN]"), error('not JSON: {"a":1,"b":NaN}'), ...out("3")],
    ],
    [
      "a tab in a string, strictly",
      '"\t"\n3 ',
      { strict: true },
      [error('control character in a string: "\t"'), ...out("3")],
    ],
    ["two commas", '{"a":1,,}\n3 ', {}, [error('unexpected text: {"a":1,,}'), ...out("3")]],
    [
      "a path",
      "/etc/hosts\n/\n3 ",
      {},
      [error("not JSON: /etc/hosts"), error("unexpected text: /"), ...out("3")],
    ],
    ["a slash within", "[1/2]\n3 ", {}, [error("unexpected text: [1/2]"), ...out("3")]],
    [
      "a comment without end",
      "3 /* x\n",
      {},
      [...out("3"), error("unfinished at the end of the output: /* x")],
    ],
    [
      "a string over two lines",
      "{'a':'b\n{'c':1}\n",
      {},
      [error("control character in a string: {'a':'b"), ...out('{"c":1}')],
    ],
    ["the wrong bracket", "[1}\n3 ", {}, [error("unexpected bracket: [1}"), ...out("3")]],
    [
      "one bracket too many",
      "[1]]\n3 ",
      {},
      [...out("[1]"), error("unexpected bracket: ]"), ...out("3")],
    ],
    ["no colon", '{"a" 1}\n3 ', {}, [error('unexpected text: {"a" 1}'), ...out("3")]],
    ["no value", '{"a"}\n3 ', {}, [error('unexpected bracket: {"a"}'), ...out("3")]],
    ["a comma for a colon", '{"a",1}\n3 ', {}, [error('unexpected text: {"a",1}'), ...out("3")]],
    ["a colon for a comma", "[1:2]\n3 ", {}, [error("unexpected text: [1:2]"), ...out("3")]],
    ["two colons", '{"a"::1}\n3 ', {}, [error('unexpected text: {"a"::1}'), ...out("3")]],
    ["two values", '{"a":1 2}\n3 ', {}, [error('unexpected text: {"a":1 2}'), ...out("3")]],
    ["two texts", '["a" "b"]\n3 ', {}, [error('unexpected string: ["a" "b"]'), ...out("3")]],
    ["a list for a key", "{[]:1}\n3 ", {}, [error("unexpected bracket: {[]:1}"), ...out("3")]],
    ["a colon alone", ":\n3 ", {}, [error("unexpected text: :"), ...out("3")]],
    ["a comma alone", ",\n3 ", {}, [error("unexpected text: ,"), ...out("3")]],
    [
      "a number for a key, strictly",
      "{1:2}\n3 ",
      { strict: true },
      [error("unexpected text: {1:2}"), ...out("3")],
    ],
    ["no key", "{{}}\n3 ", {}, [error("unexpected bracket: {{}}"), ...out("3")]],
    ["a bad word", '{"a":tru}\n3 ', {}, [error('not JSON: {"a":tru}'), ...out("3")]],
    ["a bad escape", '"\\x"\n3 ', {}, [error('not JSON: "\\x"'), ...out("3")]],
    [
      "a string without end",
      '{"a":"b\n{"c":1}\n',
      {},
      [error('control character in a string: {"a":"b'), ...out('{"c":1}')],
    ],
    [
      "an object cut short",
      '{"a":1\n{"b":2}\n',
      {},
      [error('unexpected bracket: {"a":1'), ...out('{"b":2}')],
    ],
    ["an unfinished value", '{"a":[1', {}, [error('unfinished at the end of the output: {"a":[1')]],
    ["an unfinished string", '"a', {}, [error('unfinished at the end of the output: "a')]],
    [
      "too deep",
      "[[[[]]]]\n[[[]]]",
      { maxdepth: 3 },
      [error("nested deeper than 3: [[[[]]]]"), ...out("[[[]]]")],
    ],
    [
      "too long",
      '{"a":"0123456789"}[0]\n{"a":1}',
      { maxlen: 10 },
      [error('longer than 10 bytes: {"a":"0123…', 18), ...out("[0]", '{"a":1}')],
    ],
    [
      "a long excerpt",
      `x${"é".repeat(60)}\n1 `,
      {},
      [error(`not JSON: x${"é".repeat(39)}…`, 121), ...out("1")],
    ],
  ];
  test.each(table)("%s", async (_, text, opts, expected) => {
    expect(await events(text, opts)).toEqual(expected);
    expect(await events(text, opts, [1])).toEqual(expected);
  });

  test("a deep nest without end does not hide what follows", async () => {
    const seen = await events(`${"[".repeat(100_000)}\n{"ok":1}\n`);
    expect(seen.length).toBe(2);
    expect(seen[1]).toBe('{"stdout":{"ok":1}}');
  });
});

test("any chunking gives the same events", async () => {
  const words = [
    '{"a":',
    "}",
    "[",
    "]",
    ",",
    '"é😀',
    '"',
    "\\",
    "\n",
    " ",
    "12",
    "true",
    ":",
    '{"k":[1,"x"]}',
    "\n",
    "'",
    "/",
    "//",
    "/*",
    "*/",
    "{a:",
    "NaN,",
  ];
  for (let seed = 1; seed <= 500; seed++) {
    const next = random(seed);
    const bytes: number[] = [];
    for (let n = next(30); n > 0; n--) {
      if (next(20) === 0) bytes.push(next(256));
      else bytes.push(...utf8(words[next(words.length)] ?? ""));
    }
    const data = Uint8Array.from(bytes);
    const opts = { maxlen: 5 + next(40), maxdepth: 1 + next(4) };
    const whole = await events(data, opts);
    const sizes = [1 + next(3), 1 + next(9)];
    expect({ seed, events: await events(data, opts, sizes) }).toEqual({ seed, events: whole });
    expect({ seed, events: await events(data, opts, [1]) }).toEqual({ seed, events: whole });
  }
});

test("valid values come through whatever is around them", async () => {
  const value = (next: (below: number) => number, depth: number): unknown => {
    switch (next(depth > 3 ? 4 : 6)) {
      case 0:
        return next(1e9) - 5e8;
      case 1:
        return ["", "é😀", 'q"\\', "\n\u0001", "{[,:]}"][next(5)];
      case 2:
        return next(2) === 0;
      case 3:
        return null;
      case 4:
        return Array.from({ length: next(4) }, () => value(next, depth + 1));
      default:
        return Object.fromEntries(
          Array.from({ length: next(4) }, (_, n) => [`k${n}`, value(next, depth + 1)]),
        );
    }
  };
  for (let seed = 1; seed <= 200; seed++) {
    const next = random(seed);
    const values = Array.from({ length: 1 + next(6) }, () => value(next, 0));
    const space = [" ", "\n", "\r\n\t"][next(3)] ?? " ";
    const text = values.map((item) => JSON.stringify(item, null, next(3))).join(space);
    const expected = values.map((item) => `{"stdout":${JSON.stringify(item)}}`);
    expect(await events(text, {}, [1 + next(5)])).toEqual(expected);
  }
});

test("an endless value is bounded and takes the time of its bytes", async () => {
  const seen: string[] = [];
  const emit = (fields: object): void => void seen.push(JSON.stringify(fields));
  const encoding = json.begin({ maxlen: 1000 }, emit, about());
  await encoding.stdout(utf8('["'));
  const chunk = new Uint8Array(65536).fill(0x61);
  for (let n = 0; n < 256; n++) await encoding.stdout(chunk);
  await encoding.stdout(utf8('"] 1\n'));
  await encoding.end();
  expect(seen.length).toBe(2);
  expect(seen[0]).toStartWith('{"json-error":"longer than 1000 bytes: [\\"aaa');
  expect(seen[1]).toBe('{"stdout":1}');
});
