import { describe, expect, test } from "bun:test";
import { deliver, inPieces, LineSplitter } from "../../src/encoders/lines.ts";
import { chunks, random, utf8 } from "./feed.ts";

function split(bytes: Uint8Array, maxlen: number, sizes: number[] = [1 << 20]): string[] {
  const splitter = new LineSplitter(maxlen);
  const lines = chunks(bytes, sizes).flatMap((chunk) => [...splitter.push(chunk)]);
  return [...lines, ...splitter.end()];
}

describe("splitting", () => {
  const table: [string, string[]][] = [
    ["", []],
    ["\n", [""]],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["a\n\nb", ["a", "", "b"]],
    ["a\r\nb\r", ["a\r", "b\r"]],
    ["\ufeffa\n", ["\ufeffa"]],
    ["a\0b\n", ["a\0b"]],
    ["12345678\n", ["12345678"]],
    ["123456789\n", ["1234567\\", "89"]],
    ["1234567890123456789", ["1234567\\", "8901234\\", "56789"]],
    ["123456😀89\n", ["123456\\", "😀89"]],
    ["😀😀😀😀\n", ["😀😀😀😀"]],
    ["😀😀😀😀😀\n", ["😀😀😀\\", "😀😀"]],
  ];
  test.each(table)("%j at most 8 long", (text, lines) => {
    expect(split(utf8(text), 8)).toEqual(lines);
    expect(split(utf8(text), 8, [1])).toEqual(lines);
  });

  test("invalid UTF-8 is replaced, split or not", () => {
    const bytes = Uint8Array.of(0xf0, 0x9f, 0x41, 0xc3, 0x0a, 0xff, 0x0a, 0xe2, 0x82);
    expect(split(bytes, 512)).toEqual(["\ufffdA\ufffd", "\ufffd", "\ufffd"]);
    expect(split(bytes, 512, [1])).toEqual(split(bytes, 512));
  });
});

test("any chunking gives the same lines, and no piece is longer than maxlen", () => {
  const words = ["a", "é", "€", "😀", "\n", "\r\n", "\\", "\0", "\ufeff", "xyz"].map(utf8);
  for (let seed = 1; seed <= 300; seed++) {
    const next = random(seed);
    const bytes: number[] = [];
    for (let n = next(60); n > 0; n--) {
      if (next(8) === 0) bytes.push(128 + next(128));
      else bytes.push(...(words[next(words.length)] ?? []));
    }
    const data = Uint8Array.from(bytes);
    const maxlen = 3 + next(10);
    const whole = split(data, maxlen);
    const sizes = [1 + next(3), 1 + next(7), 1 + next(2)];
    expect({ seed, lines: split(data, maxlen, sizes) }).toEqual({ seed, lines: whole });
    expect(whole.filter((line) => line.length > maxlen)).toEqual([]);
    expect(whole.every((line) => line.isWellFormed())).toBe(true);
    // Uncut, the same text: nothing is lost or made up.
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
    expect(split(data, 1 << 20).join("\n")).toBe(text.endsWith("\n") ? text.slice(0, -1) : text);
  }
});

test("an endless line costs the time of its bytes, and leaves pieces only", () => {
  const splitter = new LineSplitter(512);
  const chunk = new Uint8Array(65536).fill(0x61);
  let pieces = 0;
  for (let n = 0; n < 512; n++) {
    for (const piece of splitter.push(chunk)) {
      pieces++;
      if (piece.length !== 512) throw new Error(`a piece of ${piece.length}`);
    }
  }
  const last = [...splitter.end()];
  expect(last.length).toBe(1);
  expect(pieces * 511 + (last[0]?.length ?? 0)).toBe(512 * 65536);
});

test.each([
  ["abcd", 4, ["abcd"]],
  ["abcde", 4, ["abc\\", "de"]],
  // The first and the last that two units stand for, and halves of them on their own.
  ["ab\u{10000}c", 4, ["ab\\", "\u{10000}c"]],
  ["ab\u{10ffff}c", 4, ["ab\\", "\u{10ffff}c"]],
  ["ab\udc00cd", 4, ["ab\udc00\\", "cd"]],
  ["ab\ud7ffcd", 4, ["ab\ud7ff\\", "cd"]],
  ["a\u{10000}bc", 4, ["a\u{10000}\\", "bc"]],
])("%j in pieces of %d", (line, most, pieces) => {
  expect([...inPieces(line, most)]).toEqual(pieces);
});

describe("deliver", () => {
  test("returns nothing when no receiver asked to wait", () => {
    const seen: number[] = [];
    const result = deliver([1, 2, 3].values(), (n) => {
      seen.push(n);
    });
    expect(result).toBeUndefined();
    expect(seen).toEqual([1, 2, 3]);
  });

  test("sends the next only when the last was taken", async () => {
    const seen: number[] = [];
    const taken = [1, 2, 3].map(() => Promise.withResolvers<void>());
    const done = deliver([0, 1, 2].values(), (n) => {
      seen.push(n);
      return taken[n]?.promise;
    });
    expect(seen).toEqual([0]);
    taken[0]?.resolve();
    await taken[0]?.promise;
    await Promise.resolve();
    expect(seen).toEqual([0, 1]);
    taken[1]?.resolve();
    taken[2]?.resolve();
    await done;
    expect(seen).toEqual([0, 1, 2]);
  });
});
