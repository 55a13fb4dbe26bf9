/** The Markdown that guides are written in, as blocks: of CommonMark and its tables what the guides use, and no more. */

export type Block =
  | { readonly kind: "heading"; readonly level: number; readonly text: string }
  | { readonly kind: "paragraph"; readonly text: string }
  /** `indent` is the depth below other items, from 0. */
  | { readonly kind: "item"; readonly indent: number; readonly mark: string; readonly text: string }
  /** `line` is that of the first line of the code in the file, from 1. */
  | {
      readonly kind: "code";
      readonly info: string;
      readonly code: string;
      readonly line: number;
    }
  | { readonly kind: "table"; readonly head: Row; readonly rows: readonly Row[] };
export type Row = readonly string[];

const FENCE = /^(`{3,})(.*)$/;
const HEADING = /^(#{1,6}) (.*)$/;
const ITEM = /^( *)([-*]|\d+\.) +(.*)$/;
const RULER = /^\|[\s:|-]+\|$/;

export function blocksOf(markdown: string): Block[] {
  const lines = markdown.split("\n");
  const blocks: Block[] = [];
  /** Lines of a paragraph or item that may go on. */
  let open: { block: Block & { text: string }; at: number } | undefined;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const [, fence, info = ""] = FENCE.exec(line) ?? [];
    if (fence !== undefined) {
      const first = at + 1;
      while (++at < lines.length && lines[at] !== fence);
      const code = lines.slice(first, at).join("\n");
      blocks.push({ kind: "code", info: info.trim(), code, line: first + 1 });
    } else if (line.startsWith("|")) {
      const first = at;
      while (lines[at + 1]?.startsWith("|")) at++;
      const rows = lines.slice(first, at + 1).filter((row) => !RULER.test(row));
      const [head = [], ...rest] = rows.map(cellsOf);
      blocks.push({ kind: "table", head, rows: rest });
    } else {
      const [, marks, title = ""] = HEADING.exec(line) ?? [];
      const [, blanks, mark = "", text = ""] = ITEM.exec(line) ?? [];
      if (marks !== undefined) blocks.push({ kind: "heading", level: marks.length, text: title });
      else if (blanks !== undefined) {
        const block = { kind: "item" as const, indent: blanks.length >> 1, mark, text };
        blocks.push(block);
        open = { block, at };
        continue;
      } else if (line.trim() !== "" && !line.startsWith("<!--")) {
        if (open?.at === at - 1) {
          const block = { ...open.block, text: `${open.block.text} ${line.trim()}` };
          blocks[blocks.length - 1] = block;
          open = { block, at };
          continue;
        }
        const block = { kind: "paragraph" as const, text: line.trim() };
        blocks.push(block);
        open = { block, at };
        continue;
      }
    }
    open = undefined;
  }
  return blocks;
}

/** Bars that are escaped belong to a cell. */
const cellsOf = (row: string): Row =>
  row
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));

export type Span =
  | { readonly kind: "text" | "code" | "strong"; readonly text: string }
  | { readonly kind: "link"; readonly text: string; readonly to: string };

const SPAN = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

/** Within strong text and links, marks of code are left out. */
export function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (const found of text.matchAll(SPAN)) {
    const [whole, code, strong, label, to] = found;
    if (found.index > end) spans.push({ kind: "text", text: text.slice(end, found.index) });
    end = found.index + whole.length;
    if (code !== undefined) spans.push({ kind: "code", text: code });
    else if (strong !== undefined) spans.push({ kind: "strong", text: strong.replaceAll("`", "") });
    else spans.push({ kind: "link", text: (label ?? "").replaceAll("`", ""), to: to ?? "" });
  }
  if (end < text.length) spans.push({ kind: "text", text: text.slice(end) });
  return spans;
}
