/** A mistake that is made on purpose in one place of one file. */
import { seeded } from "../config/random.ts";

export interface Mistake {
  /** From the root of the project. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Of what is replaced. */
  readonly lastLine: number;
  /** Offsets in the text of the file: what is replaced. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** What the rule is called. */
  readonly rule: string;
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length;

export const linesAt = (text: string, start: number, end: number) => ({
  line: lineAt(text, start),
  lastLine: lineAt(text, end),
});

export const made = (text: string, { start, end, replacement }: Mistake): string =>
  text.slice(0, start) + replacement + text.slice(end);

const MOST_SHOWN = 90;
/** Of a line that is longer, so much in front of what differs. */
const BEFORE = 30;
const inOneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim();

/** What is changed, in one line: by it and its file a mistake is known, wherever its line has gone. */
export function change(text: string, { start, end, replacement }: Mistake): string {
  const from = text.lastIndexOf("\n", start) + 1;
  const next = text.indexOf("\n", end);
  const to = next < 0 ? text.length : next;
  const before = inOneLine(text.slice(from, to));
  const after = inOneLine(text.slice(from, start) + replacement + text.slice(end, to));
  let differs = 0;
  while (differs < before.length && before[differs] === after[differs]) differs++;
  const isLong = before.length > MOST_SHOWN && differs + BEFORE > MOST_SHOWN;
  const begin = isLong ? differs - BEFORE : 0;
  const shown = (line: string): string => {
    const part = line.slice(begin, begin + MOST_SHOWN);
    return `${begin > 0 ? "…" : ""}${part}${begin + MOST_SHOWN < line.length ? "…" : ""}`;
  };
  return `${shown(before)} → ${after === "" ? "(nothing)" : shown(after)}`;
}

/** In an order that the seed repeats. */
export function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const next = seeded(seed);
  return items
    .map((item) => ({ item, key: next() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
