import { describe, expect, test } from "bun:test";
import { encoderNames, findEncoder } from "../../src/encoders/catalogue.ts";
import type { Encoder, Fields } from "../../src/encoders/encoder.ts";
import { line } from "../../src/encoders/line.ts";
import { log, logged } from "../../src/encoders/log.ts";
import { raw } from "../../src/encoders/raw.ts";
import { sync } from "../../src/encoders/sync.ts";
import { text } from "../../src/encoders/text.ts";
import { about, feed, utf8 } from "./feed.ts";

describe("catalogue", () => {
  test("names", () => {
    expect(encoderNames()).toEqual(["text", "sync", "line", "raw", "json", "file", "log"]);
    expect(findEncoder("LINE")).toBe(line);
    expect(findEncoder("lines")).toBeUndefined();
    expect(findEncoder("constructor")).toBeUndefined();
  });

  test("sync and raw are synchronous, the others are not", () => {
    const names = encoderNames().filter((name) => findEncoder(name)?.synchronous);
    expect(names).toEqual(["sync", "raw"]);
    // As a part of a reply that waits for the end.
    expect([log.synchronous, logged.synchronous]).toEqual([false, true]);
  });
});

describe("check", () => {
  const table: [string, Record<string, unknown>, string[]][] = [
    ["text", {}, []],
    ...(
      [
        ["json", "strict"],
        ["line", "cr"],
        ["line", "partial"],
      ] as const
    ).flatMap(([name, key]): [string, Record<string, unknown>, string[]][] => [
      [name, { [key]: true }, []],
      [name, { [key]: false }, []],
      [name, { [key]: "yes" }, [`${key}: must be true or false, not "yes"`]],
      [name, { [key]: 1 }, [`${key}: must be true or false, not 1`]],
    ]),
    ...(
      [
        ["text", "maxlen", 3, 1048576],
        ["text", "maxline", 1, 1048576],
        ["sync", "maxlen", 3, 1048576],
        ["sync", "maxline", 1, 1048576],
        ["line", "maxlen", 3, 1048576],
        ["raw", "maxlen", 1, 268435456],
        ["json", "maxlen", 1, 268435456],
        ["json", "maxdepth", 1, 4096],
      ] as const
    ).flatMap(([name, key, min, max]): [string, Record<string, unknown>, string[]][] => [
      [name, { [key]: min }, []],
      [name, { [key]: max }, []],
      ...[min - 1, max + 1].map((value): [string, Record<string, unknown>, string[]] => [
        name,
        { [key]: value },
        [`${key}: must be a whole number from ${min} to ${max}, not ${value}`],
      ]),
    ]),
    ...(["sync", "line", "raw", "json", "file", "log"] as const).flatMap(
      (name): [string, Record<string, unknown>, string[]][] =>
        name === "sync" ? [] : [[name, { maxline: "anything" }, []]],
    ),
    ["text", { maxlen: 80, maxline: 10 }, []],
    ["line", { maxlen: 80, maxline: 10 }, []],
    [
      "text",
      { maxlin: 3 },
      [
        "maxlin: the encoder text has no such option; did you mean `maxlen`? (it has maxlen, maxline)",
      ],
    ],
    ["sync", { maxlen: "80" }, ['maxlen: must be a whole number from 3 to 1048576, not "80"']],
    ["raw", { maxlen: 0 }, ["maxlen: must be a whole number from 1 to 268435456, not 0"]],
    ["json", { maxdepth: 1.5 }, ["maxdepth: must be a whole number from 1 to 4096, not 1.5"]],
    ["file", { type: "text/plain; charset=utf-8", name: 'a "b" é.jpg' }, []],
    ["file", { type: 'multipart/x-mixed-replace; boundary="a b"' }, []],
    ...["", "jpeg", "a/b/c", "image/jpeg\r\nx: y", "a/b; c", "a/ b", "ä/b", 5].map(
      (type): [string, Record<string, unknown>, string[]] => [
        "file",
        { type },
        [`type: must be a media type, such as image/jpeg, not ${JSON.stringify(type)}`],
      ],
    ),
    ...["", "a\nb", "a/b", "a\\b", "\u202egpj.exe", "\ud800", "x".repeat(256), null].map(
      (name): [string, Record<string, unknown>, string[]] => [
        "file",
        { name },
        [`name: must be a file name, without control characters, not ${JSON.stringify(name)}`],
      ],
    ),
    [
      "file",
      { type: "Text/JavaScript" },
      ['type: "Text/JavaScript" is run by pages; say application/octet-stream'],
    ],
    ["file", { type: "application/postscript; a=javascript" }, []],
    ["log", { stdout: "x.log" }, ['stdout: must be an absolute path, not "x.log"']],
    ["log", { stdout: "/var/log/x", stderr: "/var/log/x" }, []],
    [
      "raw",
      { toString: 1 },
      ["toString: the encoder raw has no such option (it has maxlen, encoding)"],
    ],
  ];
  test.each(table)("%s %j", (name, opts, problems) => {
    expect(findEncoder(name)?.check(opts)).toEqual(problems);
  });
});

test("file: each piece in base64, whatever it is", async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const { events, fields, loss } = await feed(findEncoder("file") ?? raw, bytes, {
    ...{ sizes: [100, 1], stderr: "e" },
  });
  const of = (stream: string) =>
    Buffer.concat(
      events.flatMap((one) => (stream in one ? [Buffer.from(String(one[stream]), "base64")] : [])),
    );
  expect(of("stdout")).toEqual(Buffer.from(bytes));
  expect(of("stderr").toString()).toBe("e");
  expect(events.every(({ encoding }) => encoding === "base64")).toBeTrue();
  expect([fields, loss]).toEqual([{}, { overflow: 0, replaced: 0 }]);
});

describe("text and sync", () => {
  const many = "x\n".repeat(5000);
  const long = "[1,2]".repeat(1000);
  const table: [string, string, string, Record<string, unknown>, string][] = [
    ["both", "out\n", "err\n", {}, '{"stdout":["out"],"stderr":["err"]}'],
    ["only stdout", "a\nb", "", {}, '{"stdout":["a","b"]}'],
    ["only stderr", "", "e", {}, '{"stderr":["e"]}'],
    ["an empty line", "\n", "", {}, '{"stdout":[""]}'],
    ["maxline", "a\nb\nc\n", "", { maxline: 3 }, '{"stdout":["a","b","c"]}'],
    [
      "over maxline",
      "a\nb\nc\nd\n",
      "e\n",
      { maxline: 3 },
      '{"stdout":["a","b","c","..."],"stderr":["e"],"stdout-overflow":true}',
    ],
    [
      "over maxline, last line without newline",
      "a\nb",
      "c\nd",
      { maxline: 1 },
      '{"stdout":["a","..."],"stderr":["c","..."],"stdout-overflow":true,"stderr-overflow":true}',
    ],
    ["no limit of lines", many, "", {}, JSON.stringify({ stdout: many.trimEnd().split("\n") })],
    ["no limit of length", long, "", {}, JSON.stringify({ stdout: [long] })],
    ["maxlen", "123456", "", { maxlen: 4 }, '{"stdout":["123\\\\","456"]}'],
  ];
  test.each(table)("%s", async (_, stdout, stderr, opts, json) => {
    for (const sizes of [[65536], [1]]) {
      const asEvent = await feed(text, stdout, { stderr, opts, sizes });
      expect(asEvent.events.map((fields) => JSON.stringify(fields))).toEqual([json]);
      expect(asEvent.fields).toEqual({});
      const asReply = await feed(sync, stdout, { stderr, opts, sizes });
      expect(asReply.events).toEqual([]);
      expect(JSON.stringify(asReply.fields)).toBe(json);
    }
  });

  test("text says nothing when nothing was printed", async () => {
    expect(await feed(text, "")).toMatchObject({ events: [], fields: {} });
  });

  test("end waits for the receiver of the event", async () => {
    const taken = Promise.withResolvers<void>();
    const encoding = text.begin({}, () => taken.promise, about());
    await encoding.stdout(utf8("a\n"));
    let ended = false;
    const end = Promise.resolve(encoding.end()).then(() => (ended = true));
    await Promise.resolve();
    expect(ended).toBe(false);
    taken.resolve();
    await end;
    expect(ended).toBe(true);
  });

  test("what is over the limits is not kept", async () => {
    const encoding = text.begin({}, () => {}, about());
    const chunk = utf8(`${"y".repeat(99)}\n`.repeat(650));
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    for (let n = 0; n < 4000; n++) await encoding.stdout(chunk);
    Bun.gc(true);
    // 260 MB went in.
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
    await encoding.end();
  });
});

describe("raw", () => {
  const table: [string, string, string, Record<string, unknown>, string][] = [
    ["nothing", "", "", {}, '{"stdout":"","stderr":""}'],
    ["whole", "a\nb", "", {}, '{"stdout":"a\\nb","stderr":""}'],
    ["a byte order mark", "\ufeffa", "e\n", {}, '{"stdout":"\ufeffa","stderr":"e\\n"}'],
    ["at the limit", "abc", "", { maxlen: 3 }, '{"stdout":"abc","stderr":""}'],
    [
      "over the limit",
      "abcd",
      "é€",
      { maxlen: 3 },
      '{"stdout":"abc","stderr":"é","stdout-overflow":true,"stderr-overflow":true}',
    ],
  ];
  test.each(table)("%s", async (_, stdout, stderr, opts, json) => {
    for (const sizes of [[65536], [1]]) {
      const fed = await feed(raw, stdout, { stderr, opts, sizes });
      expect(JSON.stringify(fed.fields)).toBe(json);
      expect(fed.events).toEqual([]);
    }
  });

  test("what is no text and too long is all that may be, also where that ends in a character", async () => {
    const { fields } = await feed(raw, Uint8Array.of(0xff, 0xe2, 0x82, 0xac), {
      opts: { maxlen: 3 },
    });
    expect(fields).toMatchObject({
      stdout: Buffer.from([0xff, 0xe2, 0x82]).toString("base64"),
      encoding: "base64",
    });
  });

  test.each([
    ["stdout and stderr", { maxlen: 4 }, undefined, 2 + 3],
    ["what a task may hold", {}, 4, 2 + 7],
  ])("what is lost of it is counted: %s", async (_, opts, buffer, lost) => {
    const fed = await feed(raw, "abcdef", {
      ...{ stderr: "1234567", opts, ...(buffer !== undefined && { buffer }) },
    });
    expect(fed.fields).toMatchObject({ "stdout-overflow": true, "stderr-overflow": true });
    expect(fed.loss.overflow).toBe(lost);
  });

  test("what is no text comes in base64, byte for byte, and says so", async () => {
    const bytes = Uint8Array.of(0x61, 0xe2, 0x82);
    const coded = { stdout: "YeKC", stderr: "ZQ==", encoding: "base64" };
    expect((await feed(raw, bytes, { stderr: "e", sizes: [1] })).fields).toEqual(coded);
    const opts = { encoding: "base64" };
    expect((await feed(raw, "a", { stderr: "e", opts })).fields).toEqual({
      ...coded,
      stdout: "YQ==",
    });
    const fed = await feed(raw, bytes, { opts: { encoding: "utf8" } });
    expect(fed.fields).toEqual({ stdout: "a\ufffd", stderr: "" });
    expect(fed.loss).toEqual({ overflow: 0, replaced: 2 });
  });
});

describe("line", () => {
  test("one event per line, each stream in its order", async () => {
    const fed = await feed(line, "l1\nl2\nlast", { stderr: "e1\n" });
    expect(fed.events.map((fields) => JSON.stringify(fields))).toEqual([
      '{"stdout":"l1"}',
      '{"stdout":"l2"}',
      '{"stderr":"e1"}',
      '{"stdout":"last"}',
    ]);
    expect(fed.fields).toEqual({});
  });

  test("waits for the receiver between lines", async () => {
    const turns: PromiseWithResolvers<void>[] = [];
    const seen: unknown[] = [];
    const emit = (fields: Fields): Promise<void> => {
      seen.push(fields["stdout"]);
      const turn = Promise.withResolvers<void>();
      turns.push(turn);
      return turn.promise;
    };
    const encoding = line.begin({}, emit, about());
    const done = encoding.stdout(utf8("a\nb\n"));
    expect(seen).toEqual(["a"]);
    turns[0]?.resolve();
    await Bun.sleep(0);
    expect(seen).toEqual(["a", "b"]);
    turns[1]?.resolve();
    await done;
  });

  const immediate: Encoder[] = [line, text, sync, raw];
  test.each(immediate.map((encoder) => [encoder.name, encoder] as const))(
    "%s returns nothing where the receiver does not ask to wait",
    (_, encoder) => {
      const encoding = encoder.begin({}, () => {}, about());
      expect(encoding.stdout(utf8("a\nb"))).toBeUndefined();
      expect(encoding.stderr(utf8("a\nb"))).toBeUndefined();
      expect(encoding.end()).not.toBeInstanceOf(Promise);
    },
  );
});
