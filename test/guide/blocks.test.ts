/** Guides in their parts, and how each part is shown: to the letter. */
import { describe, expect, test } from "bun:test";
import { type Block, blocksOf, spansOf } from "../../src/guide/markdown.ts";
import { page } from "../../src/guide/pager.ts";
import { terminalText } from "../../src/guide/terminal.ts";

const shown = (markdown: string, width = 40, escapes = false) =>
  terminalText(markdown, { width, escapes });
const paragraph = (text: string): Block => ({ kind: "paragraph", text });

test.each<[string, Block[]]>([
  ["", []],
  ["# a", [{ kind: "heading", level: 1, text: "a" }]],
  ["###### a", [{ kind: "heading", level: 6, text: "a" }]],
  ["####### a", [paragraph("####### a")]],
  ["#a", [paragraph("#a")]],
  [" a \n b\n\nc", [paragraph("a b"), paragraph("c")]],
  ["a\n# b\nc", [paragraph("a"), { kind: "heading", level: 1, text: "b" }, paragraph("c")]],
  ["a\n<!-- x -->\nb", [paragraph("a"), paragraph("b")]],
  [
    "- a\n  b\n  - c\n12. d\n* e",
    [
      { kind: "item", indent: 0, mark: "-", text: "a b" },
      { kind: "item", indent: 1, mark: "-", text: "c" },
      { kind: "item", indent: 0, mark: "12.", text: "d" },
      { kind: "item", indent: 0, mark: "*", text: "e" },
    ],
  ],
  ["-a", [paragraph("-a")]],
  [
    "a\n```sh x \n1\n```\nb",
    [paragraph("a"), { kind: "code", info: "sh x", code: "1", line: 3 }, paragraph("b")],
  ],
  ["````\n```\n````", [{ kind: "code", info: "", code: "```", line: 2 }]],
  ["```\n1\n2", [{ kind: "code", info: "", code: "1\n2", line: 2 }]],
  ["```\n```", [{ kind: "code", info: "", code: "", line: 2 }]],
  [
    "a\n| x | y\\|z |\n| :-- | --- |\n| 1 | 2 |\nb",
    [paragraph("a"), { kind: "table", head: ["x", "y|z"], rows: [["1", "2"]] }, paragraph("b")],
  ],
  ["|xy|z|", [{ kind: "table", head: ["xy", "z"], rows: [] }]],
])("%j in its blocks", (markdown, blocks) => {
  expect(blocksOf(markdown)).toEqual(blocks);
});

test.each([
  ["", []],
  ["a", [{ kind: "text", text: "a" }]],
  [
    "a `b`**c `d`**[e `f`](g) h",
    [
      ...[
        { kind: "text", text: "a " },
        { kind: "code", text: "b" },
      ],
      ...[
        { kind: "strong", text: "c d" },
        { kind: "link", text: "e f", to: "g" },
      ],
      { kind: "text", text: " h" },
    ],
  ],
  ["`a`", [{ kind: "code", text: "a" }]],
  ["[a](b c) ** `", [{ kind: "text", text: "[a](b c) ** `" }]],
])("%j in its spans", (text, spans) => {
  expect(spansOf(text)).toEqual(spans as ReturnType<typeof spansOf>);
});

describe("lines", () => {
  test("as wide as there is room, and not wider than somebody reads", () => {
    const words = (length: number) => `${"a".repeat(length - 4)} b c`;
    expect(shown("aaaa bbbb cccc dddd eeee", 19)).toBe("aaaa bbbb cccc dddd\neeee\n");
    expect(shown("aaaa bbbb cccc dddd eeee", 20)).toBe("aaaa bbbb cccc dddd\neeee\n");
    // Of a narrower one there is no room for anything.
    expect(shown("aaaa bbbb cccc dddd eeee", 5)).toBe("aaaa bbbb cccc dddd\neeee\n");
    expect(shown(words(100), 300).split("\n")).toHaveLength(2);
    expect(shown(words(101), 300).split("\n")).toHaveLength(3);
    expect(shown(words(81), 80).split("\n")).toHaveLength(3);
    expect(shown(words(80), 80).split("\n")).toHaveLength(2);
    expect(shown(`a ${"b".repeat(60)} c`)).toBe(`a\n${"b".repeat(60)}\nc\n`);
  });
  test("of what belongs together", () => {
    expect(shown("aaaaaaaaaaaaaaaaaa **bb**`cc`, d", 22)).toBe("aaaaaaaaaaaaaaaaaa\nbb`cc`, d\n");
    expect(shown("a  b")).toBe("a b\n");
  });
  test("of items below items", () => {
    expect(shown("- aaaa bbbb cccc dddd\n  * eeee ffff gggg hh\n1. x", 20)).toBe(
      "  - aaaa bbbb cccc\n    dddd\n    - eeee ffff gggg\n      hh\n  1. x\n",
    );
  });
  test("between blocks", () => {
    expect(shown("# a b\n## C d\n\nt\n- i\n- j\n\nu\n```\n\n  1\n```")).toBe(
      "A B\n\nC d\n\nt\n\n  - i\n  - j\n\nu\n\n\n      1\n",
    );
    expect(shown("")).toBe("\n");
  });
  test.each([
    ["[a](config.md)", "a (spawnbox help config)"],
    ["[a](config.md#x)", "a (spawnbox help config)"],
    ["[a](#x)", "a (in this guide)"],
    ["[a](../../src/a.ts)", "a (src/a.ts of the sources)"],
    ["[a](README.md)", "a (README.md of the sources)"],
    ["[a](mailto:x)", "a (mailto:x)"],
  ])("of the link %s", (link, text) => {
    expect(shown(link, 100)).toBe(`${text}\n`);
  });
  test("with their styles", () => {
    expect(shown("# a `b`\n\n**c** `d e` f", 40, true)).toBe(
      "\x1b[1mA B\x1b[0m\n\n\x1b[1mc\x1b[0m \x1b[36md\x1b[0m \x1b[36me\x1b[0m f\n",
    );
  });
});

describe("tables", () => {
  const table = (...rows: string[]) => [rows[0], "|-|-|", ...rows.slice(1)].join("\n");
  test("of what they have, and bold above", () => {
    expect(shown(table("| a | bb |", "| ccc | d |", "| e |"), 40, true)).toBe(
      "\x1b[1ma\x1b[0m    \x1b[1mbb\x1b[0m\n---  --\nccc  d\ne\n",
    );
    expect(shown(table("| a | b |", "| | |"))).toBe("a  b\n-  -\n");
  });
  test("the widest column gives up first, as far as its words let it", () => {
    const text = table("| h | i |", "| aa bb cc dd | ee ff gg hh ii jj |");
    expect(shown(text, 30)).toBe(
      "h            i\n-----------  -----------------\naa bb cc dd  ee ff gg hh ii jj\n",
    );
    expect(shown(text, 29)).toBe(
      "h            i\n-----------  ----------------\naa bb cc dd  ee ff gg hh ii\n             jj\n",
    );
    expect(shown(text, 20)).toBe(
      "h          i\n---------  ---------\naa bb cc   ee ff gg\ndd         hh ii jj\n",
    );
  });
  test("told row by row where there is no room", () => {
    const [a, b] = ["a".repeat(10), "b".repeat(9)];
    expect(shown(table("| h | i |", `| ${a} | ${b}x |`, "| c d | |"), 21)).toBe(
      `h: ${a}\ni: ${b}x\n\nh: c d\n`,
    );
    expect(shown(table("| h | i |", `| ${a} | ${b} |`), 21)).toBe(
      `h           i\n----------  ---------\n${a}  ${b}\n`,
    );
    expect(shown(table("| | i |", `| ${a} ${a} | ${b} ${b} ${b} |`), 20)).toBe(
      `${a}\n  ${a}\ni: ${b}\n  ${b}\n  ${b}\n`,
    );
  });
});

test("a pager that cannot show anything, and one that has", async () => {
  const env = { PATH: "/usr/bin:/bin" };
  expect(await page("x", "cat >/dev/null", env)).toBe(true);
  expect(await page("x", "exit 1", env)).toBe(true);
  for (const code of [126, 127]) expect(await page("x", `exit ${code}`, env)).toBe(false);
  const has = (more: object, test: string) =>
    page("x", `[ ${test} ] || exit 127`, { ...env, ...more });
  expect(await has({}, '"$LESS$LESSSECURE" = FRX')).toBe(true);
  expect(await has({ LESS: "S" }, '"$LESS" = S')).toBe(true);
  expect(await has({ SUDO_UID: "5" }, '"$LESSSECURE" = 1')).toBe(true);
  expect(await page("text", '[ "$(cat)" = text ] || exit 127', env)).toBe(true);
  // Ctrl-C is for the pager alone.
  expect(await page("x", "kill -INT $PPID", env)).toBe(true);
  expect(process.listenerCount("SIGINT")).toBe(0);
});
