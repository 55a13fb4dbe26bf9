/** What a command prints, as the console shows it: colours as data, and nothing that would be obeyed. */
import { describe, expect, test } from "bun:test";
import { parseLine, PLAIN, plainOf } from "../../src/console/ansi.ts";

const piecesOf = (line: string) => parseLine(line).pieces;

describe("colours", () => {
  test("of 16, of 256 and of all, on either side, until they are taken back", () => {
    expect(piecesOf("\x1b[31mred\x1b[0m plain \x1b[1;92;44mmuch\x1b[39mless\x1b[m")).toEqual([
      { text: "red", style: { color: "c1" } },
      { text: " plain ", style: {} },
      { text: "much", style: { bold: true, color: "c10", back: "c4" } },
      { text: "less", style: { bold: true, back: "c4" } },
    ]);
    expect(piecesOf("\x1b[38;5;196mx\x1b[48;5;244my")).toEqual([
      { text: "x", style: { color: "rgb(255,0,0)" } },
      { text: "y", style: { color: "rgb(255,0,0)", back: "rgb(128,128,128)" } },
    ]);
    expect(piecesOf("\x1b[38;2;1;2;300mx")[0]?.style.color).toBe("rgb(1,2,255)");
  });

  test("go on in the next line", () => {
    const { after } = parseLine("\x1b[35m");
    expect(parseLine("next", after).pieces).toEqual([{ text: "next", style: { color: "c5" } }]);
  });

  test("that are cut short or unknown change nothing", () => {
    for (const line of [
      "\x1b[",
      "\x1b[38",
      "\x1b[38;5",
      "\x1b",
      "\x1b[38;9m",
      "\x1b[999m",
      "\x1b[?1m",
    ])
      expect(parseLine(line).pieces).toEqual([]);
  });
});

describe("what would be obeyed", () => {
  test("titles, links, moves and clears leave only what they show", () => {
    expect(
      plainOf("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1b]8;;\x1b\\d\x1b[2J\x1b[10;10He"),
    ).toBe("abcde");
    expect(plainOf("a\x9b31mb\x9d0;t\x9cc\x1bP+q\x1b\\d")).toBe("abcd");
  });

  test("other controls, and what turns text around, are seen", () => {
    expect(plainOf("a\0b\x08c\x7f")).toBe("a␀b␈c␡");
    expect(plainOf("safe\u202Egnp.exe\u2066")).toBe("safe<U+202E>gnp.exe<U+2066>");
  });

  test("of a line that is written again and again the last counts", () => {
    expect(plainOf("10%\r50%\r100%\r")).toBe("100%");
  });
});

test("whatever it is, no control is left, no text is lost but for sequences, and styles are of known words", () => {
  const alphabet = [
    "\x1b",
    "[",
    "]",
    "m",
    ";",
    "3",
    "8",
    "5",
    "2",
    "\x07",
    "\\",
    "P",
    "\r",
    "\x9b",
    "\x9d",
    "\0",
    "<b>",
    "&lt;",
    "é",
    "\u202e",
    "x",
    " ",
    "H",
    "?",
    ":",
    "\x1b[",
    "38;2;",
  ];
  let seed = 7;
  const next = (most: number): number => (seed = (seed * 48271) % 2147483647) % most;
  for (let i = 0; i < 20_000; i++) {
    const line = Array.from({ length: next(20) }, () => alphabet[next(alphabet.length)]).join("");
    const { pieces, after } = parseLine(line, i % 2 ? { color: "c3" } : PLAIN);
    const shown = pieces.map(({ text }) => text).join("");
    expect(shown).toBe(plainOf(line));
    // eslint-disable-next-line no-control-regex
    expect(/[\0-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e]/.test(shown)).toBe(false);
    if (!/[\x1b\x9b\x9d\r]/.test(line)) expect(shown.includes("<b>")).toBe(line.includes("<b>"));
    for (const { style } of [...pieces, { style: after }])
      for (const value of [style.color, style.back])
        expect(
          value === undefined || /^(c\d{1,2}|rgb\(\d{1,3},\d{1,3},\d{1,3}\))$/.test(value),
        ).toBe(true);
  }
});
