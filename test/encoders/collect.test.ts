/** What is collected is whole: all lines, also of much output, and what is not kept is counted to the byte. */
import { describe, expect, test } from "bun:test";
import { sync } from "../../src/encoders/sync.ts";
import { about, feed, random, utf8 } from "./feed.ts";

const bytesOf = (lines: readonly string[]) =>
  lines.reduce((sum, one) => sum + utf8(one).length + 1, 0);

describe("much output, which becomes lines in several turns", () => {
  const KIB64 = 64 << 10;
  const next = random(7);
  const line = () => `${"é".repeat(next(3))}${"x".repeat(next(200))}`;
  const lines = (bytes: number) => {
    const made: string[] = [];
    for (let size = 0; size < bytes; size += utf8(made.at(-1) ?? "").length + 1) made.push(line());
    return made;
  };
  const table: [string, string][] = [
    ["lines of any length", `${lines(500_000).join("\n")}\n`],
    ["the last without its end", lines(300_000).join("\n")],
    ["empty lines", "\n".repeat(KIB64 * 2 + 5)],
    ["one line", "y".repeat(KIB64 * 3)],
    ["one line, then others", `${"y".repeat(KIB64 * 2)}\na\nb\n`],
    ["a first line that is empty", `\n${"z\n".repeat(KIB64)}`],
    ...[-2, -1, 0, 1, 2].map((more): [string, string] => [
      `a line that ends ${more} bytes behind a turn`,
      `${"a".repeat(KIB64 - 1 + more)}\n${"b".repeat(KIB64)}\nc\n`,
    ]),
  ];
  test.each(table)("%s", async (_, text) => {
    const expected = text.split("\n");
    if (expected.at(-1) === "") expected.pop();
    for (const [stdout, stderr] of [
      [text, "e\n"],
      ["o\n", text],
      [text, text],
    ] as const) {
      const { fields, loss } = await feed(sync, stdout, { stderr });
      expect(fields["stdout"]).toEqual(stdout === text ? expected : ["o"]);
      expect(fields["stderr"]).toEqual(stderr === text ? expected : ["e"]);
      expect(loss).toEqual({ overflow: 0, replaced: 0 });
    }
  });

  test("others are heard in between", async () => {
    const encoding = sync.begin({}, () => {}, about());
    await encoding.stdout(utf8("x\n".repeat(KIB64 * 4)));
    let heard = 0;
    let ended = false;
    const listen = () => {
      heard++;
      if (!ended) setImmediate(listen);
    };
    const end = encoding.end();
    setImmediate(listen);
    await end;
    ended = true;
    expect(heard).toBeGreaterThan(3);
  });
});

describe("what a task may hold", () => {
  test("whole lines are kept, and the rest is counted", async () => {
    const all = Array.from({ length: 300 }, (_, i) => `line ${i}`);
    const size = bytesOf(all);
    for (let buffer = 1024; buffer < 1044; buffer++) {
      const { fields, loss } = await feed(sync, `${all.join("\n")}\n`, { buffer, sizes: [100] });
      const kept = fields["stdout"] as string[];
      expect(kept).toEqual(all.slice(0, kept.length));
      // As many as fit.
      expect(bytesOf(kept)).toBeLessThanOrEqual(buffer);
      expect(bytesOf(all.slice(0, kept.length + 1))).toBeGreaterThan(buffer);
      expect(fields["stdout-overflow"]).toBe(true);
      expect(loss).toEqual({ overflow: size - bytesOf(kept), replaced: 0 });
    }
  });

  test("of a line that does not fit its beginning is kept, without a part of a character", async () => {
    for (let more = 0; more < 4; more++) {
      const text = `${"x".repeat(more)}${"€".repeat(1000)}`;
      const { fields, loss } = await feed(sync, text, { buffer: 1024 });
      const [kept = ""] = fields["stdout"] as string[];
      expect(text.startsWith(kept)).toBe(true);
      expect(utf8(kept).length).toBeWithin(1022, 1025);
      expect(loss).toEqual({ overflow: utf8(text).length - utf8(kept).length, replaced: 0 });
    }
  });

  test("lines beyond maxline are counted in bytes", async () => {
    const text = "ab\nc\ndéf\ngh\n";
    for (const [maxline, kept] of [
      [1, "ab\n"],
      [2, "ab\nc\n"],
      [3, "ab\nc\ndéf\n"],
      [4, text],
    ] as const)
      for (const sizes of [[100], [1], [3, 2]]) {
        const { fields, loss } = await feed(sync, text, { opts: { maxline }, sizes });
        const lines = kept.trimEnd().split("\n");
        expect(fields["stdout"]).toEqual(kept === text ? lines : [...lines, "..."]);
        expect(loss.overflow).toBe(utf8(text).length - utf8(kept).length);
      }
  });
});

test.each([
  ["ab\ncde", 5, ["ab"], 3],
  ["ab\ncd", 5, ["ab", "cd"], 0],
  ["ab\ncdefg", 5, ["ab"], 5],
  ["abcdef", 5, ["abcde"], 1],
  ["ab\n\ncd", 4, ["ab", ""], 2],
])(
  "of %j in %d bytes there are whole lines, though only one byte is lost",
  async (text, buffer, kept, lost) => {
    const { fields, loss } = await feed(sync, text, { buffer });
    expect([fields["stdout"], loss.overflow]).toEqual([kept, lost]);
  },
);
