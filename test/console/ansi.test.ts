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

  test("each of 256 is that of xterm", () => {
    // As xterm's own table has them: a cube of six levels, then greys.
    const levels = [0, 95, 135, 175, 215, 255];
    const all = Array.from({ length: 256 }, (_, n) => {
      if (n < 16) return `c${n}`;
      if (n >= 232)
        return `rgb(${Array(3)
          .fill(8 + 10 * (n - 232))
          .join(",")})`;
      const cube = n - 16;
      const parts = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
      return `rgb(${parts.map((one) => levels[one]).join(",")})`;
    });
    expect(all.map((_, n) => piecesOf(`\x1b[38;5;${n}mx`)[0]?.style.color)).toEqual(all);
    expect(piecesOf("\x1b[38;5;256mx")[0]?.style.color).toBe("c7");
    expect(piecesOf("\x1b[48:5:255mx")[0]?.style.back).toBe("rgb(238,238,238)");
  });

  test("each code is what it stands for", () => {
    const of = (codes: string, before = "") => piecesOf(`\x1b[${before}m\x1b[${codes}mx`)[0]?.style;
    for (let n = 0; n < 8; n++) {
      expect([of(`${30 + n}`), of(`${90 + n}`)]).toEqual([
        { color: `c${n}` },
        { color: `c${n + 8}` },
      ]);
      expect([of(`${40 + n}`), of(`${100 + n}`)]).toEqual([
        { back: `c${n}` },
        { back: `c${n + 8}` },
      ]);
    }
    const switches = [
      ["1", "22", "bold"],
      ["2", "22", "dim"],
      ["3", "23", "italic"],
      ["4", "24", "underline"],
      ["7", "27", "inverse"],
      ["9", "29", "strike"],
    ] as const;
    for (const [on, off, name] of switches) {
      expect(of(on)).toEqual({ [name]: true });
      expect(of(off, on)?.[name]).toBe(false);
    }
    const both = "31;42;3";
    expect([of("39", both), of("49", both), of("0", both), of("", both)]).toEqual([
      ...[{ back: "c2", italic: true }, { color: "c1", italic: true }, {}, {}],
    ]);
    expect([of("39", "3"), of("49", "3")]).toEqual([{ italic: true }, { italic: true }]);
    for (const none of [5, 6, 8, 10, 20, 21, 25, 28, 50, 58, 68, 98, 99, 108, 109, 110, 999])
      expect([none, of(`${none}`, both)]).toEqual([none, of("3", both)] as never);
  });

  test("what is behind a colon belongs to what is before it", () => {
    const of = (codes: string) => piecesOf(`\x1b[${codes}mx`)[0]?.style;
    expect(of("38:2::255:0:1")).toEqual({ color: "rgb(255,0,1)" });
    expect(of("38:2:255:0:1;3")).toEqual({ color: "rgb(255,0,1)", italic: true });
    expect(of("48:2:0:9:8:7::0;1")).toEqual({ back: "rgb(9,8,7)", bold: true });
    expect(of("38:5:9;4;3")).toEqual({ color: "c9", underline: true, italic: true });
    // Curly, and none; the colour of the line alone.
    expect(of("4:3")).toEqual({ underline: true });
    expect(of("1;4;4:0")).toEqual({ bold: true, underline: false });
    expect(of("1;58:2::1:2:3;58:5:7")).toEqual({ bold: true });
  });

  test("what follows one of many is not a part of it", () => {
    const of = (codes: string) => piecesOf(`\x1b[${codes}mx`)[0]?.style;
    expect(of("38;5;9;1")).toEqual({ color: "c9", bold: true });
    expect(of("48;2;1;2;3;4")).toEqual({ back: "rgb(1,2,3)", underline: true });
    expect(of("38;2")).toEqual({ color: "rgb(0,0,0)" });
    expect(of("38;5")).toEqual({ color: "c0" });
    expect(of("58;5;1;3")).toEqual({ italic: true });
    expect(of("58;2;1;0;4;3")).toEqual({ italic: true });
    // A kind that there is not.
    expect(of("38;9;1")).toEqual({ bold: true });
    expect(of("38;2;256;255;254")).toEqual({ color: "rgb(255,255,254)" });
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
    expect(plainOf("\x01\x1f\x7f\x80\x81\u061c")).toBe("␁␟␡<U+0080><U+0081><U+061C>");
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
