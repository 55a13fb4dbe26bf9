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
const oneLine = (text: string): string => {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > MOST_SHOWN ? `${line.slice(0, MOST_SHOWN)}…` : line;
};

/** What is changed, in one line: by it and its file a mistake is known, wherever its line has gone. */
export function change(text: string, { start, end, replacement }: Mistake): string {
  const from = text.lastIndexOf("\n", start) + 1;
  const next = text.indexOf("\n", end);
  const to = next < 0 ? text.length : next;
  const before = oneLine(text.slice(from, to));
  const after = oneLine(text.slice(from, start) + replacement + text.slice(end, to));
  return `${before} → ${after === "" ? "(nothing)" : after}`;
}

/** In an order that the seed repeats. */
export function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const next = seeded(seed);
  return items
    .map((item) => ({ item, key: next() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
