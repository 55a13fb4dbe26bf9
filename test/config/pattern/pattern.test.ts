import { describe, expect, test } from "bun:test";
import { PatternError } from "../../../src/config/pattern/parse.ts";
import { compilePattern, Effort } from "../../../src/config/pattern/pattern.ts";
import { strictly } from "../../../src/config/pattern/spelling.ts";
import { seeded } from "../random.ts";

const found = (pattern: string, text: string) => compilePattern(pattern).test(text, new Effort());

/** Counts instead of limiting. */
class Meter extends Effort {
  spent = 0;
  override spend(work: number): void {
    this.spent += work;
  }
}

const ATOMS = [
  ..."abcA1_ é😀-=:,",
  ...[
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    ".",
    "\\n",
    "\\t",
    "\\x61",
    "\\u0061",
    "\\u{1F600}",
  ],
  ...["\\ud83d\\ude00", "\\p{L}", "\\P{L}", "\\p{Script=Greek}", "\\.", "\\/", "\\$", "\\-", "\\@"],
  ...["[ab]", "[^ab]", "[a-c1]", "[\\w-]", "[\\w-.]", "[.-\\d]", "[^\\s]", "[\\]\\-]", "[^]", "[]"],
  ...["[😀-😂]", "[\\b]", "[é\\p{N}]", "\\cA", "\\0", "{", "}", "]", "a{,2}"],
];
const ENDS = ["*", "+", "?", "{2}", "{1,}", "{0,2}", "{2,3}", "*?", "+?", "??", "{1,2}?"];
const GROUPS = ["(", "(?:", "(?i:", "(?s:", "(?i-s:"];
const TEXT = [
  ..."abcABCkKſ019_ \t\n\r\u2028\u00a0éÉσς😀😂-=:,.{}]@/$",
  "\ud83d",
  "\ude00",
  "\u212a",
];

function randomPattern(pick: (most: number) => number, depth: number): string {
  const one = (list: readonly string[]) => list[pick(list.length)] ?? "";
  const term = (): string => {
    const kind = pick(12);
    if (kind === 0) return "^";
    if (kind === 1) return "$";
    if (kind === 2) return one(["\\b", "\\B"]);
    const atom =
      kind < 6 && depth > 0 ? `${one(GROUPS)}${randomPattern(pick, depth - 1)})` : one(ATOMS);
    return pick(3) === 0 ? atom + one(ENDS) : atom;
  };
  const sequence = () => Array.from({ length: pick(4) }, term).join("");
  return Array.from({ length: 1 + pick(2) }, sequence).join("|");
}

test("says what the engine of the runtime says", () => {
  const random = seeded(36);
  const pick = (most: number) => Math.floor(random() * most);
  let matches = 0;
  for (let round = 0; round < 5000; round++) {
    const source = randomPattern(pick, 3);
    const theirs = new RegExp(strictly(source), "u");
    const ours = compilePattern(source);
    for (let i = 0; i < 12; i++) {
      const length = pick(9);
      const text = Array.from({ length }, () => TEXT[pick(TEXT.length)]).join("");
      const expected = theirs.test(text);
      matches += Number(expected);
      expect([source, text, ours.test(text, new Effort())]).toEqual([source, text, expected]);
    }
  }
  // Neither always nor never: else it would compare nothing.
  expect(matches).toBeGreaterThan(10_000);
  expect(matches).toBeLessThan(50_000);
});

test("what only browsers spell so means what it means there", () => {
  const spellings = [
    "[\\w-.]",
    "[a-\\w]",
    "[\\d-x]",
    "\\-",
    "\\@",
    "\\_",
    "\\'",
    "]",
    "}",
    "{",
    "a{,2}",
  ];
  spellings.push(
    "x{",
    "{1",
    "[\\@\\_]",
    "\\ ",
    "[\\s-\\d]",
    "[-\\w]",
    "[\\w-]",
    "[^\\w-.]",
    "a{b}",
  );
  for (const source of spellings) {
    expect(() => new RegExp(source, "u").test(strictly(source))).toBeDefined();
    for (let code = 0; code < 0x80; code++) {
      for (const text of [String.fromCharCode(code), "a{,2}", "x{", "{1", "a{b}"]) {
        const browser = new RegExp(`^(?:${source})$`).test(text);
        expect([source, text, found(`^(?:${source})$`, text)]).toEqual([source, text, browser]);
      }
    }
  }
});

describe("what no engine matches in linear time, or what is no pattern, is refused", () => {
  test.each([
    ["(?=a)b", "looks around"],
    ["(?!a)b", "looks around"],
    ["(?<=a)b", "looks around"],
    ["^(?!.*\\.\\.).*$", "looks around"],
    ["(a)\\1", "refers back"],
    ["(?<x>a)\\k<x>", "refers back"],
    ["(?m:^a)", "modifier m"],
    ["(", "no regular expression"],
    ["a{3,1}", "no regular expression"],
    ["\\a", "no regular expression"],
    ["a**", "no regular expression"],
    ["\\p{Nothing}", "no regular expression"],
    ["(a{1,1000}){1,1000}", "more than 5000 steps"],
    ["(?:){1000000}", "more than 5000 steps"],
    ["((((){100}){100}){100}){100}", "more than 5000 steps"],
    ["a{4294967296}", "more than 5000 steps"],
    ["a{99999999999999999999}", "no regular expression"],
    ["a|".repeat(2049), "at most 4096"],
    ["(".repeat(101) + ")".repeat(101), "nested deeper"],
    ["\ud83d", "surrogate"],
  ])("case %#", (pattern, message) => {
    expect(() => compilePattern(pattern)).toThrow(PatternError);
    expect(() => compilePattern(pattern)).toThrow(message);
  });

  test("and what is just within is not", () => {
    for (const pattern of ["a{1,1000}", "a".repeat(4096), "(".repeat(99) + ")".repeat(99)])
      expect(() => compilePattern(pattern)).not.toThrow();
    expect(found("^a{1,1000}$", "a".repeat(1000))).toBe(true);
    expect(found("^a{1,1000}$", "a".repeat(1001))).toBe(false);
    expect(found("^(a{0,40}){0,40}$", "a".repeat(400))).toBe(true);
  });
});

describe("the work grows as the text does", () => {
  const hostile: [string, string, string][] = [
    ["^([a-zA-Z0-9._-]+)*@([a-zA-Z0-9-]+[.])+[a-z]+$", "a", ""],
    ["^(a+)+$", "a", "!"],
    ["^(a|a)*$", "a", "!"],
    ["^(a|aa)+$", "a", "!"],
    ["(.*)*x", "a", ""],
    ["(.*.*.*.*)=", "a", ""],
    ["a*a*a*a*a*b", "a", ""],
    ["(\\s+)+$", " ", "x"],
    ["(?:a?){50}a{50}!", "a", ""],
    ["\\s*,\\s*$", " ", "x"],
  ];
  test.each(hostile)("%s", (pattern, pump, end) => {
    const compiled = compilePattern(pattern);
    const work = [1000, 2000, 4000, 8000].map((count) => {
      const meter = new Meter();
      expect(compiled.test(pump.repeat(count) + end, meter)).toBe(false);
      return meter.spent;
    });
    for (const [i, spent] of work.slice(1).entries())
      expect(spent).toBeLessThan(2.2 * (work[i] ?? 0));
  });

  test("and is bounded for one check, whatever the texts", () => {
    const effort = new Effort();
    const wide = compilePattern("[a-z]{1,1000}@");
    expect(wide.test(`${"a".repeat(100_000)}@`, effort)).toBe(false);
    expect(effort.isSpent).toBe(true);
    effort.renew();
    expect(wide.test(`${"a".repeat(500)}@`, effort)).toBe(true);
    expect(effort.isSpent).toBe(false);
    // As long as an argument can be.
    expect(compilePattern("^[\\w./-]+$").test("a".repeat(131_071), effort)).toBe(true);
  });

  test("also where each character is another one", () => {
    const atoms = Array.from({ length: 300 }, (_, i) => `[\\u{${(0x4e00 + i).toString(16)}}]?`);
    const compiled = compilePattern(`^${atoms.join("")}[^]*!$`);
    const text = (count: number) =>
      Array.from({ length: count }, (_, i) => String.fromCodePoint(0x10000 + i)).join("");
    const effort = new Effort();
    expect(compiled.test(`${text(40_000)}!`, effort)).toBe(false);
    expect(effort.isSpent).toBe(true);
    expect(compiled.test(`${text(500)}!`, new Effort())).toBe(true);
  });
});
