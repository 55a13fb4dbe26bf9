/** Bytes to whole lines, with and without carriage returns that end one. */
import { describe, expect, test } from "bun:test";
import { ByteBuffer } from "../../src/encoders/bytes.ts";
import { Hold } from "../../src/encoders/hold.ts";
import { raw } from "../../src/encoders/raw.ts";
import { type Line, WholeLines } from "../../src/encoders/whole-lines.ts";
import { Backlog } from "../../src/backlog.ts";
import { chunks, random, utf8 } from "./feed.ts";

/** A line that a return ended as `text\r`, with what is lost behind. */
const shown = (line: Line): string => {
  if (typeof line === "string") return line;
  const { cr, partial, overflow } = line.marks;
  return `${line.text}${cr ? "<cr>" : ""}${partial ? "<partial>" : ""}${overflow ? `<${overflow.bytes} lost>` : ""}`;
};
function lines(
  text: string | Uint8Array,
  cr: boolean,
  sizes = [1 << 20],
  most = 1 << 20,
): string[] {
  const whole = new WholeLines(new Hold(most), cr);
  const bytes = typeof text === "string" ? utf8(text) : text;
  const found = chunks(bytes, sizes).flatMap((chunk) => [...whole.push(chunk)]);
  return [...found, ...whole.end()].map(shown);
}

describe("with returns", () => {
  test.each([
    ["", []],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["\n\n", ["", ""]],
    ["a\rb\rc\n", ["a<cr>", "b<cr>", "c"]],
    ["a\rb", ["a<cr>", "b"]],
    ["a\r", ["a<cr>"]],
    ["a\r\n", ["a\r"]],
    ["a\r\r\n", ["a<cr>", "\r"]],
    ["\r\r", ["<cr>", "<cr>"]],
    ["10%\r20%\r\ndone\n", ["10%<cr>", "20%\r", "done"]],
    ["x\n1\r2\r", ["x", "1<cr>", "2<cr>"]],
    ["1\r2\n3\r4\n", ["1<cr>", "2", "3<cr>", "4"]],
    ["é\r€\n", ["é<cr>", "€"]],
  ])("%j", (text, expected) => {
    expect(lines(text, true)).toEqual(expected);
    for (const size of [1, 2, 3]) expect(lines(text, true, [size])).toEqual(expected);
  });
  test("any pieces give the same", () => {
    const words = ["a", "é", "\n", "\r", "\r\n", "xyz", "\r\r"];
    for (let seed = 1; seed <= 400; seed++) {
      const next = random(seed);
      const text = Array.from({ length: next(14) }, () => words[next(words.length)] ?? "").join("");
      expect([text, lines(text, true, [1 + next(4), 1 + next(9)])]).toEqual([
        text,
        lines(text, true),
      ]);
    }
  });
});

test("without, a return stays in its line", () => {
  expect(lines("a\rb\r\nc\r", false)).toEqual(["a\rb\r", "c\r"]);
  expect(lines("a\rb\r\nc\r", false, [1])).toEqual(["a\rb\r", "c\r"]);
  for (const text of ["a\rb\n", "\r\n\r\n", "\ra\n\rb\n\r", "a\r\rb\nc\rd"])
    for (let first = 1; first <= text.length; first++)
      for (let next = 1; next <= text.length; next++)
        expect([first, next, lines(text, false, [first, next])]).toEqual([
          ...[first, next, text.replace(/\n$/, "").split("\n")],
        ]);
});

test("what has not ended can be looked at, and comes again", () => {
  const whole = new WholeLines(new Hold(), true);
  expect(whole.unfinished).toBe(false);
  expect([...whole.push(utf8("one\nPassw"))].map(shown)).toEqual(["one"]);
  expect([whole.unfinished, shown(whole.peek())]).toEqual([true, "Passw<partial>"]);
  expect([...whole.push(utf8("ord\r"))].map(shown)).toEqual([]);
  expect([whole.returned, shown(whole.settle()), whole.returned]).toEqual([
    true,
    "Password<cr>",
    false,
  ]);
  // The line feed that comes all the same belongs to it.
  expect([...whole.push(utf8("\nnext\n"))].map(shown)).toEqual(["next"]);
  whole.push(utf8("x\r")).next();
  expect(shown(whole.settle())).toBe("x<cr>");
  expect([...whole.push(utf8("y\n"))].map(shown)).toEqual(["y"]);
  // Half of a character is not shown yet.
  expect([...whole.push(Uint8Array.of(0x61, 0xe2, 0x82))]).toEqual([]);
  expect(shown(whole.peek())).toBe("a<partial>");
});

test("what is not held is lost, and counted", () => {
  expect(lines("abcdefgh\nij\n", false, [3], 5)).toEqual(["abcde<3 lost>", "ij"]);
  expect(lines("abcdefgh\rij\n", true, [3], 5)).toEqual([
    "abcde<3 lost>".replace("<3", "<cr><3"),
    "ij",
  ]);
  expect(lines("abcdé\n", false, [1], 5)).toEqual(["abcd<2 lost>"]);
});

test.each([
  ["abcdefgh\nij\n", false, 3],
  ["abcdefgh\rij\n", true, 3],
  // A return that was lost is known to be an end by what follows, or by nothing that does.
  ["abcde\rij\n", true, 0],
  ["abcdefgh\r", true, 3],
  ["abcdé\n", false, 2],
  ["abcd\n", false, 0],
  ["abcdefgh", false, 3],
])("of %j, as lines that end with returns: %p, so many bytes are lost: %d", (text, cr, lost) => {
  for (const size of [1, 2, 3, 1 << 20]) {
    // What comes whole is not held.
    if (size > text.length && text.includes("\n")) continue;
    const hold = new Hold(5);
    const whole = new WholeLines(hold, cr);
    for (const chunk of chunks(utf8(text), [size])) for (const _ of whole.push(chunk));
    for (const _ of whole.end());
    expect([size, hold.loss.overflow, hold.held, whole.unfinished]).toEqual([
      ...[size, lost, 0, false],
    ]);
  }
});

describe("what a task may hold", () => {
  test("is its own bound, and what is given back can be taken again", () => {
    const hold = new Hold(10);
    expect([hold.take(7), hold.take(7), hold.take(1)]).toEqual([7, 3, 0]);
    hold.give(4);
    expect(hold.take(9)).toBe(4);
    hold.lose(3);
    hold.lose(4);
    hold.replace(5);
    expect(hold.loss).toEqual({ overflow: 7, replaced: 5 });
  });
  test("is a part of what there is for all", () => {
    const backlog = new Backlog(1000, 10);
    const [greedy, other] = [new Hold(400, "a", backlog), new Hold(400, "b", backlog)];
    expect([greedy.take(400), other.take(400)]).toEqual([400, 400]);
    const third = new Hold(400, "c", backlog);
    expect(third.take(5)).toBe(5);
    greedy.close();
    expect(third.take(100)).toBe(100);
  });
  test("bytes beyond a limit are counted, and none after the first of these is kept", () => {
    const buffer = new ByteBuffer(new Hold(100), 5);
    expect([
      buffer.append(utf8("abc")),
      buffer.append(utf8("defg")),
      buffer.append(utf8("h")),
    ]).toEqual([true, false, false]);
    expect([new TextDecoder().decode(buffer.view()), buffer.length, buffer.lost]).toEqual([
      "abcde",
      5,
      3,
    ]);
    buffer.cut(2);
    expect([buffer.length, buffer.lost]).toEqual([2, 6]);
    buffer.clear();
    expect([buffer.length, buffer.lost, buffer.append(utf8("xyz"))]).toEqual([0, 0, true]);
    expect(new ByteBuffer(new Hold(100), 3).append(utf8("abc"))).toBe(true);
  });
});

test("raw takes each of its encodings", async () => {
  for (const encoding of ["auto", "utf8", "base64"])
    expect([encoding, await raw.check({ encoding })]).toEqual([encoding, []]);
  expect(await raw.check({ encoding: "utf16" })).not.toEqual([]);
});
