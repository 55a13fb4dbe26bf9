import { describe, expect, test } from "bun:test";
import { blocksOf } from "../../src/guide/markdown.ts";
import { perhaps, guideOf, SUBJECTS, titleOf } from "../../src/guide/guides.ts";
import { pagerOf } from "../../src/guide/pager.ts";
import { terminalText } from "../../src/guide/terminal.ts";

const plain = (markdown: string, width = 40) => terminalText(markdown, { width, escapes: false });

describe("text for a terminal", () => {
  test("paragraphs and items are filled anew, code is not", () => {
    const text = `# A \`title\`

one two three four five six
seven eight nine ten

- an item of which there is more than one
  line can hold
  - below
- the next
10. ten

\`\`\`sh
echo   "a line of code is never broken, however long it is"

x
\`\`\`
`;
    expect(plain(text)).toBe(`A TITLE

one two three four five six seven eight
nine ten

  - an item of which there is more than
    one line can hold
    - below
  - the next
  10. ten

    echo   "a line of code is never broken, however long it is"

    x
`);
  });

  test("links to guides are how they are shown, others say where they lead", () => {
    expect(
      plain("see [the keys](reference.md#x), [this](../../a/b.md), [that](https://x.org)", 200),
    ).toBe(
      "see the keys (spawnbox help reference), this (a/b.md of the sources), that (https://x.org)\n",
    );
  });

  test("tables fit, and where they cannot are told row by row", () => {
    const table =
      "| key | what it is |\n| --- | :-: |\n| `a\\|b` | one two three four |\n| c | |\n";
    expect(plain(table, 24)).toBe(
      "key    what it is\n-----  -----------------\n`a|b`  one two three\n       four\nc\n",
    );
    expect(
      plain(table, 20)
        .split("\n")
        .every((line) => line.length <= 20),
    ).toBe(true);
    const many = "| a | b | c | d |\n|---|---|---|---|\n| 1234567 | 1234567 | 1234567 | |\n";
    expect(plain(many, 20)).toBe("a: 1234567\nb: 1234567\nc: 1234567\n");
  });

  test("escapes are there only where they are asked for, and are not counted", () => {
    const text = "# T\n\n**b** and `c d`, [l](x.md)\n\n| h |\n|---|\n| **x** |\n";
    // oxlint-disable-next-line no-control-regex
    const escapes = /\x1b\[\d*m/g;
    expect(plain(text)).not.toMatch(escapes);
    const styled = terminalText(text, { width: 40, escapes: true });
    expect(styled).toMatch(escapes);
    expect(styled.replaceAll(escapes, "")).toBe(plain(text).replaceAll("`", ""));
  });

  test.each(SUBJECTS)("the guide %s fits into any terminal, and loses no word", (subject) => {
    const guide = guideOf(subject) ?? "";
    const code = new Set(
      blocksOf(guide).flatMap((block) =>
        block.kind === "code" ? block.code.split("\n").map((line) => `    ${line}`) : [],
      ),
    );
    for (const width of [24, 80, 200]) {
      const lines = plain(guide, width).split("\n");
      const tooLong = lines.filter(
        (line) => line.length > width && !code.has(line) && / \S+ /.test(line),
      );
      // A single word may be longer than a narrow terminal.
      if (width >= 80) expect(tooLong).toEqual([]);
    }
    const squeezed = plain(guide, 200).replaceAll(/[\s-]/g, "").toLowerCase();
    for (const block of blocksOf(guide))
      if (block.kind === "code")
        expect(squeezed).toContain(block.code.replaceAll(/[\s-]/g, "").toLowerCase());
    expect(titleOf(subject).length).toBeGreaterThan(5);
  });
});

test("who asks for no guide is told of the nearest", () => {
  expect(perhaps("sandboxin")[0]).toBe("sandboxing");
  expect(perhaps("mig")[0]).toBe("migration");
  expect(perhaps("WebSocket")).toContain("calling");
  expect(perhaps("pool")).toContain("sandboxing");
  for (const none of ["qqqqq", ""]) expect(perhaps(none)).toEqual([]);
});

test("the pager is the user's, else less or more; what sudo lets run is no shell", () => {
  const all = (name: string) => `/usr/bin/${name}`;
  const onlyMore = (name: string) => (name === "more" ? "/bin/more" : null);
  expect(pagerOf({ PAGER: "less -S" }, all)).toBe("less -S");
  expect(pagerOf({}, all)).toBe("less");
  expect(pagerOf({}, onlyMore)).toBe("more");
  expect(pagerOf({}, () => null)).toBeUndefined();
  expect(pagerOf({ TERM: "dumb" }, all)).toBeUndefined();
  expect(pagerOf({ TERM: "dumb", PAGER: "less -S" }, all)).toBe("less -S");
  for (const none of ["", "cat", " cat "]) expect(pagerOf({ PAGER: none }, all)).toBeUndefined();
  for (const caller of [{ SUDO_UID: "1000" }, { DOAS_USER: "me" }, { PKEXEC_UID: "1000" }])
    expect(pagerOf({ PAGER: "sh", ...caller }, all)).toBe("less");
  expect(pagerOf({ SUDO_UID: "1000" }, onlyMore)).toBeUndefined();
});
