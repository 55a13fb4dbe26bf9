/** A guide as text for a terminal, or without escapes for whatever else reads it. */
import { type Block, blocksOf, type Row, type Span, spansOf } from "./markdown.ts";

export interface Look {
  /** Columns. */
  readonly width: number;
  readonly escapes: boolean;
}

/** Lines of prose are not longer, however wide the terminal is. */
const MOST = 100;
const BOLD = "1";
const CODE = "36";

/** A piece of a line: `text` is what is seen of it. */
interface Piece {
  readonly text: string;
  readonly style?: string;
}

export function terminalText(markdown: string, look: Look): string {
  const width = Math.max(20, look.width);
  const parts = blocksOf(markdown).map((block) => ({ block, text: shown(block, width, look) }));
  let text = "";
  for (const [index, { block, text: part }] of parts.entries()) {
    const before = parts[index - 1]?.block;
    const close = before?.kind === "item" && block.kind === "item";
    text += (index === 0 ? "" : close ? "\n" : "\n\n") + part;
  }
  return `${text}\n`;
}

function shown(block: Block, width: number, look: Look): string {
  const prose = Math.min(width, MOST);
  switch (block.kind) {
    case "heading": {
      const words = spansOf(block.text).map(({ text }) => text);
      const title = block.level === 1 ? words.join("").toUpperCase() : words.join("");
      return styled({ text: title, style: BOLD }, look);
    }
    case "paragraph":
      return filled(block.text, prose, look).join("\n");
    case "item": {
      const start = `${"  ".repeat(block.indent + 1)}${block.mark === "*" ? "-" : block.mark} `;
      const lines = filled(block.text, prose - start.length, look);
      return start + lines.join(`\n${" ".repeat(start.length)}`);
    }
    case "code":
      return block.code.replace(/^(?=.)/gm, "    ");
    case "table":
      return tableText(block.head, block.rows, width, look);
  }
}

/** Lines of at most so many columns; a word that is longer has one of its own. */
function filled(text: string, width: number, look: Look): string[] {
  return linesOf(piecesOf(text, look), width).map((line) =>
    line.map((piece) => styled(piece, look)).join(""),
  );
}

function piecesOf(text: string, { escapes }: Look): Piece[] {
  return spansOf(text).map((span): Piece => {
    switch (span.kind) {
      case "code":
        return escapes ? { text: span.text, style: CODE } : { text: `\`${span.text}\`` };
      case "strong":
        return { text: span.text, style: BOLD };
      case "link":
        return { text: `${span.text} ${whereto(span)}` };
      case "text":
        return { text: span.text };
    }
  });
}

/** Other guides are asked for as this one was: there may be no network, and no file of that name. */
function whereto({ to }: Extract<Span, { kind: "link" }>): string {
  const [, subject] = /^([a-z]+)\.md(?:#.*)?$/.exec(to) ?? [];
  if (subject !== undefined) return `(spawnbox help ${subject})`;
  if (to.startsWith("#")) return "(in this guide)";
  return /^[a-z]+:/.test(to) ? `(${to})` : `(${to.replace(/^(\.\.\/)+/, "")} of the sources)`;
}

/** Breaks between words; what is no blank between two pieces belongs together. */
function linesOf(pieces: readonly Piece[], width: number): Piece[][] {
  const lines: Piece[][] = [];
  let line: Piece[] = [];
  let used = 0;
  let word: Piece[] = [];
  const endWord = () => {
    if (word.length === 0) return;
    if (used > 0 && used + 1 + lengthOf(word) > width) {
      lines.push(line);
      line = [];
      used = 0;
    }
    if (used > 0) line.push({ text: " " });
    used += (used > 0 ? 1 : 0) + lengthOf(word);
    line.push(...word);
    word = [];
  };
  for (const { text, ...style } of pieces)
    for (const [index, part] of text.split(" ").entries()) {
      if (index > 0) endWord();
      if (part !== "") word.push({ text: part, ...style });
    }
  endWord();
  if (line.length > 0) lines.push(line);
  return lines.length > 0 ? lines : [[]];
}

const styled = ({ text, style }: Piece, { escapes }: Look): string =>
  escapes && style !== undefined ? `\x1b[${style}m${text}\x1b[0m` : text;

function tableText(head: Row, rows: readonly Row[], width: number, look: Look): string {
  const columns = head.length;
  const cells = [head, ...rows].map((row) =>
    head.map((_, column) => piecesOf(row[column] ?? "", look)),
  );
  const widest = (lengths: (cell: readonly Piece[]) => number) =>
    head.map((_, column) => Math.max(1, ...cells.map((row) => lengths(row[column] ?? []))));
  // No word is broken.
  const least = widest((cell) => Math.max(...linesOf(cell, 1).map(lengthOf)));
  const room = width - 2 * (columns - 1);
  if (sum(least) > room) return told(head, rows, width, look);
  const widths = squeezed(widest(lengthOf), least, room);
  const line = (row: readonly (readonly Piece[])[], bold: boolean) => {
    const broken = row.map((cell, column) => linesOf(cell, widths[column] ?? 1));
    const height = Math.max(...broken.map((lines) => lines.length));
    return Array.from({ length: height }, (_, at) =>
      broken
        .map((lines, column) => {
          const pieces = lines[at] ?? [];
          const text = pieces
            .map((piece) => styled(bold ? { ...piece, style: BOLD } : piece, look))
            .join("");
          return text + " ".repeat(Math.max(0, (widths[column] ?? 0) - lengthOf(pieces)));
        })
        .join("  ")
        .trimEnd(),
    ).join("\n");
  };
  const [first = [], ...others] = cells;
  const ruler = widths.map((column) => "-".repeat(column)).join("  ");
  return [line(first, true), ruler, ...others.map((row) => line(row, false))].join("\n");
}

const lengthOf = (pieces: readonly Piece[]): number => sum(pieces.map(({ text }) => text.length));

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** The widest columns give up first, as far as they can. */
function squeezed(natural: readonly number[], least: readonly number[], room: number): number[] {
  const widths = [...natural];
  for (let over = sum(widths) - room; over > 0; over--) {
    const free = widths.map((one, column) => (one > (least[column] ?? 0) ? one : 0));
    const widest = free.indexOf(Math.max(...free));
    widths[widest] = (widths[widest] ?? 1) - 1;
  }
  return widths;
}

function told(head: Row, rows: readonly Row[], width: number, look: Look): string {
  const row = (cells: Row) =>
    cells
      .flatMap((cell, column) => {
        if (cell === "") return [];
        const title = head[column] ?? "";
        return filled(title === "" ? cell : `${title}: ${cell}`, width - 2, look).join("\n  ");
      })
      .join("\n");
  return rows.map(row).join("\n\n");
}
