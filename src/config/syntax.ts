/**
 * JSON text → value, with what JSON.parse does not tell: line, column and text of a syntax error, and keys given twice.
 *
 * Comments and trailing commas are accepted, as the JSON library of existing configs does. Numbers stay as they are written, see
 * numbers.ts.
 */
import { columns } from "../columns.ts";
import { isWritten, parseExact } from "../numbers.ts";
import { visible } from "../visible.ts";
import { suggestion } from "./nearest.ts";
import { element, member, quoted, type Report } from "./place.ts";

/** Deeper nesting than any config has, well below what would exhaust the stack. */
const MAX_DEPTH = 200;

const SPACE = /(?:[ \t\r\n]+|\/\/[^\n]*|\/\*[^]*?\*\/)+/y;
// Unrolled, so that a string without an end costs linear time.
const STRING = /"[^"\\]*(?:\\[^][^"\\]*)*"/y;
/** What is not meant as it stands, or must not stand there. */
const ESCAPED = /[\u0000-\u001f\\]/;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const WORD = /(?:true|false|null)(?!\w)/y;

/** What somebody may have meant to be one of these. */
const LIKE_VALUE = /[-+.\w]+/y;
/** What JSON does not take within a string. */
const BAD = /[\u0000-\u001f]|\\(?!["\\/bfnrt]|u[\da-fA-F]{4})[^]/;

/** @param bad what {@link BAD} finds */
function whyBad(bad: string): string {
  if (bad === "\\u") return "\\u in a string needs four hexadecimal digits behind it";
  if (/[\r\n]$/.test(bad))
    return "a string ends in its line: a double quote is missing, or a line break is to be written \\n";
  if (bad.startsWith("\\"))
    return `a string has no escape ${visible(bad)}: a backslash itself is written \\\\`;
  const escape = JSON.stringify(bad).slice(1, -1);
  return `a control character in a string is to be written ${escape}`;
}

class SyntaxFault extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

/** The value of `text`, or undefined after a report. Keys given twice are reported, the last one counts. */
export function parseJson(text: string, report: Report): unknown {
  const plain = parsePlain(text);
  if (plain) return plain.value;
  try {
    return new Reader(text, report).document();
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    report("", `${error.message}\n${locate(text, error.offset)}`);
    return undefined;
  }
}

/** All strings of a text that is JSON, keys too. */
const STRINGS = /"[^"\\]*(?:\\[^][^"\\]*)*"/g;

/**
 * What JSON.parse makes of it, in a tenth of the time, where nothing is to be told: it is JSON and not nested too deep, and all of its
 * strings are there, which they are not where a key is given twice.
 */
function parsePlain(text: string): { readonly value: unknown } | undefined {
  let value: unknown;
  try {
    value = parseExact(text);
  } catch {
    // The reader below knows where, if it is wrong.
    return undefined;
  }
  return stringsIn(value, 0) === (text.match(STRINGS)?.length ?? 0) ? { value } : undefined;
}

/** How many strings a value has, keys too; NaN where it is nested too deep. */
function stringsIn(value: unknown, depth: number): number {
  if (depth > MAX_DEPTH) return NaN;
  if (typeof value === "string") return 1;
  if (typeof value !== "object" || value === null || isWritten(value)) return 0;
  const inner: unknown[] = Array.isArray(value) ? value : Object.values(value);
  let count = Array.isArray(value) ? 0 : inner.length;
  for (const one of inner) count += stringsIn(one, depth + 1);
  return count;
}

class Reader {
  private offset = 0;
  #lineEnds: readonly number[] | undefined;
  constructor(
    private readonly text: string,
    private readonly report: Report,
  ) {}

  document(): unknown {
    const value = this.value("", 0);
    if (this.peek() !== "") throw this.fault("expected the end of the file");
    return value;
  }

  private value(path: string, depth: number): unknown {
    if (depth > MAX_DEPTH) throw this.fault(`nested more than ${MAX_DEPTH} deep`);
    const next = this.peek();
    if (next === "{") return this.object(path, depth);
    if (next === "[") return this.list(path, depth);
    const scalar = next === '"' ? this.string() : (this.take(NUMBER) ?? this.take(WORD));
    if (scalar === undefined) throw this.noValue();
    return next === '"' ? scalar : parseExact(scalar);
  }

  private object(path: string, depth: number): unknown {
    const lines = new Map<string, number>();
    const result: Record<string, unknown> = {};
    this.offset++;
    while (this.peek() !== "}") {
      if (this.peek() !== '"') throw this.fault("expected a key in double quotes, or `}`");
      const start = this.offset;
      const key = this.string();
      const place = member(path, key);
      const earlier = lines.get(key);
      if (earlier !== undefined) {
        const [first, second] = [this.line(earlier), this.line(start)];
        this.report(place, `key \`${key}\` is given twice, at lines ${first} and ${second}`);
      }
      lines.set(key, start);
      if (this.peek() !== ":") throw this.fault("expected `:`");
      this.offset++;
      const value = this.value(place, depth + 1);
      if (key === "__proto__") define(result, key, value);
      else result[key] = value;
      this.separator("}");
    }
    this.offset++;
    return result;
  }

  private list(path: string, depth: number): unknown {
    const result: unknown[] = [];
    this.offset++;
    while (this.peek() !== "]") {
      result.push(this.value(element(path, result.length), depth + 1));
      this.separator("]");
    }
    this.offset++;
    return result;
  }

  private separator(end: string): void {
    const next = this.peek();
    if (next === ",") this.offset++;
    else if (next !== end) throw this.fault(`expected \`,\` or \`${end}\``);
  }

  private string(): string {
    const start = this.offset;
    const raw = this.take(STRING);
    if (raw === undefined)
      throw new SyntaxFault(
        start,
        "the string that begins here has no end: a double quote is missing",
      );
    if (!ESCAPED.test(raw)) return raw.slice(1, -1);
    // Of two backslashes the second escapes nothing.
    const bad = BAD.exec(raw.replaceAll("\\\\", "__"));
    if (bad) throw new SyntaxFault(start + bad.index, whyBad(bad[0]));
    return String(JSON.parse(raw));
  }

  /** From 1 on. A file can have a hundred thousand keys twice, so the line ends are looked for once. */
  private line(offset: number): number {
    this.#lineEnds ??= lineEnds(this.text);
    let [low, high] = [0, this.#lineEnds.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#lineEnds[middle] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  }

  /** The next character after space and comments; "" is the end. */
  private peek(): string {
    const next = this.text.charAt(this.offset);
    // Most of what a machine has written has neither.
    if (next > " " && next !== "/") return next;
    this.take(SPACE);
    return this.text.charAt(this.offset);
  }

  private take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.offset;
    const found = pattern.exec(this.text)?.[0];
    this.offset += found?.length ?? 0;
    return found;
  }

  private noValue(): SyntaxFault {
    const at = this.offset;
    const word = this.take(LIKE_VALUE);
    this.offset = at;
    if (word === undefined) return this.fault("expected a value");
    const advice = /^[-+.\d]/.test(word)
      ? "; a number is such as 10, 0.5 or -1e3"
      : suggestion(word, ["true", "false", "null"]) || "; a text stands in double quotes";
    return new SyntaxFault(at, `expected a value, found ${quoted(word)}${advice}`);
  }

  private fault(message: string): SyntaxFault {
    return new SyntaxFault(
      this.offset,
      `${message}, found ${characterAt(this.text, this.offset) ?? "the end of the file"}`,
    );
  }
}

/** With its number where it may look like another, or like nothing: blanks and quotes of word processors. undefined at the end. */
function characterAt(text: string, offset: number): string | undefined {
  const code = text.codePointAt(offset);
  if (code === undefined) return undefined;
  const shown = quoted(String.fromCodePoint(code));
  if (code >= 0x20 && code < 0x7f) return shown;
  return `${shown} (U+${code.toString(16).toUpperCase().padStart(4, "0")})`;
}

/** Assignment would set the prototype. */
const define = (object: object, key: string, value: unknown): unknown =>
  Object.defineProperty(object, key, {
    value,
    ...{ writable: true, enumerable: true, configurable: true },
  });

function lineEnds(text: string): number[] {
  const ends: number[] = [];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) ends.push(at);
  return ends;
}

function position(text: string, offset: number): { line: number; column: number; start: number } {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < start; at = text.indexOf("\n", at + 1))
    line++;
  return { line, column: offset - start + 1, start };
}

/** The line of an offset with a caret below the culprit; long lines are shown around it. */
function locate(text: string, offset: number): string {
  const { line, column, start } = position(text, offset);
  const from = Math.max(start, offset - 60);
  const end = text.indexOf("\n", offset);
  const shown = text.slice(from, Math.min(end === -1 ? text.length : end, offset + 40));
  // As it is shown, so that the caret stands where it should.
  const seen = (part: string): string => visible(part.replace(/[\u0000-\u001f]/g, " "));
  const before = columns(seen(text.slice(from, offset)));
  return `line ${line}, column ${column}:\n  ${seen(shown).trimEnd()}\n  ${" ".repeat(before)}^`;
}
