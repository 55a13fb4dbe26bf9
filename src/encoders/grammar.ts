/**
 * As much of the grammar of JSON (RFC 8259) as it takes to see, byte by byte, where a value ends and early that it has gone
 * wrong. Words (numbers, true, false, null) and escapes are left to who parses. Unless it is strict, also that of lenient.ts,
 * but for line feeds in strings: there the end of a line is where a missing quote is noticed.
 */

/** A value at the top level is complete. */
export const DONE: unique symbol = Symbol("end of a value");

/** Where the grammar is. */
const STRUCTURE = 0;
const STRING = 1;
const WORD = 2;
/** Behind a `/`: a comment, if another one or a `*` follows. */
const SLASH = 3;
const LINE_COMMENT = 4;
const COMMENT = 5;

/** What it takes next. At the top level, always a value. */
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const NEXT = 5;

const LF = 0x0a;
/** Begins each value of a sequence, see RFC 7464. */
export const SEPARATOR = 0x1e;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const ASTERISK = 0x2a;
const SLASH_SIGN = 0x2f;
const COMMA = 0x2c;
const COLON_SIGN = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

export const isBlank = (byte: number) =>
  byte === 0x20 || byte === 0x0a || byte === 0x09 || byte === 0x0d;
export const isOpen = (byte: number) => byte === OPEN_OBJECT || byte === 0x5b;
export const isClose = (byte: number) => byte === CLOSE_OBJECT || byte === 0x5d;

export class JsonGrammar {
  readonly #maxdepth: number;
  /** The closing brackets that are due, innermost last. */
  readonly #due: number[] = [];
  #mode = STRUCTURE;
  #expect = VALUE;
  #escaped = false;
  /** What ends the string. */
  #quote = QUOTE;
  #loose = false;
  /** Behind a comma. */
  #comma = false;
  /** In a comment, behind an asterisk. */
  #starred = false;

  constructor(
    maxdepth: number,
    readonly strict: boolean,
  ) {
    this.#maxdepth = maxdepth;
  }

  /** Between values; in a comment to the end of the line, too. */
  get idle(): boolean {
    return (this.#mode === STRUCTURE || this.#mode === LINE_COMMENT) && this.#due.length === 0;
  }

  /** Between values, and in no comment. */
  get resting(): boolean {
    return this.#mode === STRUCTURE && this.#due.length === 0;
  }

  /** The value is none of RFC 8259, as far as it has been seen. */
  get loose(): boolean {
    return this.#loose;
  }

  get depth(): number {
    return this.#due.length;
  }

  /** In a word at the top level: nothing but what follows it tells where it ends. */
  get inWord(): boolean {
    return this.#mode === WORD && this.#due.length === 0;
  }

  reset(): void {
    this.#due.length = 0;
    this.#mode = STRUCTURE;
    this.#expect = VALUE;
    this.#escaped = false;
    this.#loose = false;
    this.#comma = false;
  }

  /** Takes one byte. Returns DONE, the reason of a syntax error, or nothing. */
  step(byte: number): string | typeof DONE | undefined {
    if (this.#mode === STRING) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === this.#quote) return this.#stringEnd();
      // There are no raw control characters in strings: a missing quote is noticed at the end of its line.
      const bad = this.strict ? byte < 0x20 : byte === LF;
      return bad ? "control character in a string" : undefined;
    }
    if (this.#mode === WORD) {
      if (!this.endsWord(byte)) return undefined;
      if (this.#expect === COLON) this.#mode = STRUCTURE;
      else this.#valueEnd();
    }
    if (this.#mode >= SLASH) return this.#comment(byte);
    if (byte === SEPARATOR) return this.#due.length === 0 ? undefined : "cut short";
    return isBlank(byte) ? undefined : this.#structure(byte);
  }

  /** Whether a word ends before this byte. */
  endsWord(byte: number): boolean {
    if (isBlank(byte) || byte === QUOTE || isOpen(byte)) return true;
    // At the top level `12:30:45` or `1,2` is one bad word, not a number and a bad rest.
    if (this.#due.length === 0) return false;
    if (isClose(byte) || byte === COMMA || byte === COLON_SIGN || byte === SEPARATOR) return true;
    return byte === SLASH_SIGN && !this.strict;
  }

  #comment(byte: number): string | undefined {
    if (this.#mode === SLASH) {
      if (byte === SLASH_SIGN) this.#mode = LINE_COMMENT;
      else if (byte === ASTERISK) this.#mode = COMMENT;
      else if (this.#due.length > 0 || this.endsWord(byte)) return "unexpected text";
      // A path, perhaps.
      else this.#mode = WORD;
      this.#starred = false;
    } else if (this.#mode === LINE_COMMENT) {
      if (byte === LF) this.#mode = STRUCTURE;
    } else if (byte === SLASH_SIGN && this.#starred) this.#mode = STRUCTURE;
    else this.#starred = byte === ASTERISK;
    return undefined;
  }

  #structure(byte: number): string | typeof DONE | undefined {
    const expect = this.#expect;
    const value = expect === VALUE || expect === VALUE_OR_END;
    const key = expect === KEY || expect === KEY_OR_END;
    const comma = this.#comma;
    this.#comma = false;
    if (byte === QUOTE || (byte === APOSTROPHE && !this.strict)) {
      if (!value && !key) return "unexpected string";
      this.#mode = STRING;
      this.#quote = byte;
      if (byte === APOSTROPHE) this.#loose = true;
    } else if (byte === SLASH_SIGN && !this.strict) {
      this.#mode = SLASH;
      this.#comma = comma;
      this.#loose = true;
    } else if (isOpen(byte)) {
      if (!value) return "unexpected bracket";
      if (this.#due.length === this.#maxdepth) return `nested deeper than ${this.#maxdepth}`;
      // In ASCII, each closing bracket is two behind its opening one.
      this.#due.push(byte + 2);
      this.#expect = byte === OPEN_OBJECT ? KEY_OR_END : VALUE_OR_END;
    } else if (isClose(byte)) {
      const closes = expect === NEXT || expect === KEY_OR_END || expect === VALUE_OR_END;
      if (!closes || this.#due.at(-1) !== byte) return "unexpected bracket";
      if (comma) this.#loose = true;
      this.#due.pop();
      return this.#valueEnd();
    } else if (byte === COMMA && expect === NEXT) {
      const object = this.#due.at(-1) === CLOSE_OBJECT;
      this.#comma = true;
      if (this.strict) this.#expect = object ? KEY : VALUE;
      else this.#expect = object ? KEY_OR_END : VALUE_OR_END;
    } else if (byte === COLON_SIGN && expect === COLON) {
      this.#expect = VALUE;
    } else {
      const word = value || (key && !this.strict);
      if (!word || byte === COMMA || byte === COLON_SIGN) return "unexpected text";
      this.#mode = WORD;
      if (key) {
        this.#expect = COLON;
        this.#loose = true;
      }
    }
    return undefined;
  }

  #stringEnd(): typeof DONE | undefined {
    if (this.#expect !== KEY && this.#expect !== KEY_OR_END) return this.#valueEnd();
    this.#mode = STRUCTURE;
    this.#expect = COLON;
    return undefined;
  }

  #valueEnd(): typeof DONE | undefined {
    this.#mode = STRUCTURE;
    // Behind a whole value nothing is stepped before {@link reset}.
    this.#expect = NEXT;
    return this.#due.length > 0 ? undefined : DONE;
  }
}
