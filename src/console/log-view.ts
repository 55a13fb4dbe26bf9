/**
 * Lines of output on the screen, as many as there may be: in blocks that the browser leaves out while they are out of sight
 * (`content-visibility`), written once a frame and for some milliseconds at most, the oldest forgotten. Every line becomes texts,
 * never markup.
 */
import { lastOf, parseLine, type Piece, PLAIN, plainOf, type Style } from "./ansi.ts";
import { momentOf } from "./time.ts";

export interface Line {
  readonly text: string;
  /** `note`: of the page itself. */
  readonly from: "out" | "err" | "note";
  /** ms since 1970, when it came here. */
  readonly at: number;
  /** The next of its kind is written over it, as a terminal does. */
  readonly over?: boolean;
}

const BLOCK = 100;
/** Rows on the screen. */
export const KEPT = 20_000;
/** Lines for search and download, and their characters. */
const HELD = 200_000;
const HELD_TEXT = 32 << 20;
/** ms of a frame for rows, and with their place on the screen, of which nobody can tell before: so many rows as the last frames bore. */
const BUDGET = 8;
const WITH_PLACE = 16;
const LEAST_ROWS = 25;
const MOST_ROWS = 800;
/** Characters of a row: more than these of a line are in files and copies only, as one row would take longer than a frame. */
const WIDEST = 10_000;
/** px from the end at which one is there. */
const NEAR = 24;

export class LogView {
  readonly #lines: Line[] = [];
  #held = 0;
  /** Of what is held the first that is not on the screen yet. */
  #next = 0;
  /** The line of the last row. */
  #last: Line | undefined;
  #rows = 0;
  #most = 200;
  #count = 0;
  #frame: number | undefined;
  #styles: Record<Line["from"], Style> = { out: PLAIN, err: PLAIN, note: PLAIN };
  #filter = "";
  #follows = true;
  #top = 0;

  /** @param changed when it follows the end, or does not any more */
  constructor(
    readonly box: HTMLElement,
    readonly changed: (follows: boolean) => void,
  ) {
    box.addEventListener("scroll", this.#scrolled, { passive: true });
  }

  get count(): number {
    return this.#count;
  }

  add(line: Line): void {
    const before = this.#lines.at(-1);
    if (before?.over && before.from === line.from) this.#drop(before);
    this.#lines.push(line);
    this.#count++;
    this.#held += line.text.length;
    if (this.#lines.length > HELD * 1.1 || this.#held > HELD_TEXT * 1.1) this.#forget();
    this.#ask();
  }

  #drop(line: Line): void {
    this.#lines.pop();
    this.#count--;
    this.#held -= line.text.length;
    this.#next = Math.min(this.#next, this.#lines.length);
    if (this.#last !== line) return;
    this.box.lastElementChild?.lastElementChild?.remove();
    this.#rows--;
  }

  set filter(text: string) {
    this.#filter = text.toLowerCase();
    this.#again();
  }

  follow(): void {
    this.#setFollows(true);
    this.#toEnd();
  }

  /** All that is held. */
  text(): string {
    return this.#lines.map(({ text }) => `${plainOf(text)}\n`).join("");
  }

  close(): void {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.box.removeEventListener("scroll", this.#scrolled);
  }

  #again(): void {
    this.box.replaceChildren();
    this.#rows = 0;
    this.#styles = { out: PLAIN, err: PLAIN, note: PLAIN };
    this.#next = 0;
    this.#ask();
  }

  #ask(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#write();
    });
  }

  #write(): void {
    const begin = performance.now();
    let left = this.#most;
    // What would be gone at once is not written at all.
    if (this.#filter === "") this.#next = Math.max(this.#next, this.#lines.length - KEPT);
    let block = this.box.lastElementChild;
    while (this.#next < this.#lines.length && left > 0 && performance.now() < begin + BUDGET) {
      const line = this.#lines[this.#next++];
      if (!line || !this.#fits(line)) continue;
      if (!block || block.childElementCount >= BLOCK) {
        block = document.createElement("div");
        block.className = "block";
        this.box.append(block);
      }
      block.append(this.#row(line));
      this.#last = line;
      this.#rows++;
      left--;
    }
    while (this.#rows > KEPT && this.box.firstElementChild) {
      this.#rows -= this.box.firstElementChild.childElementCount;
      this.box.firstElementChild.remove();
    }
    if (this.#follows) this.#toEnd();
    if (performance.now() - begin > WITH_PLACE) this.#most = Math.max(LEAST_ROWS, this.#most / 2);
    else if (left <= 0) this.#most = Math.min(MOST_ROWS, this.#most * 2);
    if (this.#next < this.#lines.length) this.#ask();
  }

  #fits({ text }: Line): boolean {
    return this.#filter === "" || plainOf(text).toLowerCase().includes(this.#filter);
  }

  #row({ text, from, at }: Line): HTMLElement {
    const row = document.createElement("div");
    row.className = `row ${from}`;
    row.dataset["at"] = momentOf(at);
    const { pieces, after } = parseLine(beginning(text), this.#styles[from]);
    this.#styles[from] = after;
    for (const piece of pieces) row.append(nodeOf(piece));
    return row;
  }

  #forget(): void {
    let count = 0;
    let size = this.#held;
    const most = { lines: this.#lines.length - HELD, text: HELD_TEXT };
    while (count < most.lines || size > most.text) size -= this.#lines[count++]?.text.length ?? 0;
    this.#lines.splice(0, count);
    this.#held = size;
    this.#next = Math.max(0, this.#next - count);
  }

  readonly #scrolled = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.#setFollows(true);
    // Up, by the reader: what is added or forgotten never leads there while it follows.
    else if (scrollTop < this.#top - 1) this.#setFollows(false);
    this.#top = scrollTop;
  };

  #setFollows(follows: boolean): void {
    if (this.#follows === follows) return;
    this.#follows = follows;
    this.changed(follows);
  }

  #toEnd(): void {
    this.box.scrollTop = this.box.scrollHeight;
    this.#top = this.box.scrollTop;
  }
}

function beginning(text: string): string {
  if (text.length <= WIDEST) return text;
  const last = lastOf(text);
  return last.length > WIDEST ? `${last.slice(0, WIDEST)} …` : last;
}

function nodeOf({ text, style }: Piece): Node {
  if (style === PLAIN) return document.createTextNode(text);
  const span = document.createElement("span");
  span.textContent = text;
  const { color, back } = style.inverse
    ? { color: style.back ?? "inverse", back: style.color ?? "inverse" }
    : style;
  const names = (["bold", "dim", "italic", "underline", "strike"] as const).filter(
    (name) => style[name],
  );
  span.className = names.join(" ");
  paint(span, "color", "f", color);
  paint(span, "background", "b", back);
  return span;
}

function paint(
  span: HTMLElement,
  property: "color" | "background",
  prefix: string,
  value: string | undefined,
): void {
  if (value === undefined) return;
  if (value.startsWith("rgb(")) span.style[property] = value;
  else span.classList.add(prefix + value);
}
