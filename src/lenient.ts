/**
 * JSON as json-c reads it where it is not told to be strict, since scripts write such and AFB's clients and pages live with it:
 * trailing commas, strings in single quotes, comments, words in any case (`True`, `NULL`), `NaN` and `Infinity`, numbers that
 * begin with zeros or end with a point or an `e`, control characters in strings. Keys may do without quotes, too.
 *
 * One pass, time linear in the text, and a bounded depth.
 */

export interface Leniency {
  /** Most brackets within brackets. */
  readonly depth: number;
  /** What a number becomes, from its text in the grammar of JSON. */
  readonly number: (source: string) => unknown;
  /** So many values, and what is thrown for more. */
  readonly most?: { readonly values: number; readonly error: () => Error };
  /** Within brackets, words that are nothing else are texts, as people type them on a command line. */
  readonly words?: boolean;
}

const LITERALS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["true", true],
  ["false", false],
  ["null", null],
  // JSON has no such numbers: texts, as in the JSON mapping of protocol buffers, still say which it was.
  ["nan", "NaN"],
  ["infinity", "Infinity"],
  ["-infinity", "-Infinity"],
]);
const LONGEST_LITERAL = 9;

/** Without a digit before its point only where it is negative, as json-c has it. */
const NUMBER = /^(-?)(\d+|(?<=-)(?=\.\d))(?:\.(\d*))?(?:([eE][+-]?\d+)|[eE][+-]?)?$/;
const KEY_WORD = /^[A-Za-z_$][\w$.-]*$/;

const ESCAPED: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** @throws SyntaxError saying what is wrong, and at which character */
export function parseLenient(text: string, leniency: Leniency): unknown {
  return new Reader(text, leniency).whole();
}

class Reader {
  #at = 0;
  #depth = 0;
  #values = 0;

  constructor(
    readonly text: string,
    readonly leniency: Leniency,
  ) {}

  whole(): unknown {
    const value = this.#value();
    this.#blanks();
    if (this.#at < this.text.length) throw this.#fault("nothing more");
    return value;
  }

  #fault(expected: string): SyntaxError {
    const found = this.text.codePointAt(this.#at);
    const shown = found === undefined ? "the end" : JSON.stringify(String.fromCodePoint(found));
    return new SyntaxError(`expected ${expected} at character ${this.#at}, found ${shown}`);
  }

  #value(): unknown {
    const { most } = this.leniency;
    if (++this.#values > (most?.values ?? Infinity)) throw most?.error();
    this.#blanks();
    switch (this.text[this.#at]) {
      case "{":
        return this.#nested(() => this.#object());
      case "[":
        return this.#nested(() => this.#list());
      case '"':
      case "'":
        return this.#string();
      default:
        return this.#word();
    }
  }

  #nested<T>(read: () => T): T {
    const most = this.leniency.depth;
    if (++this.#depth > most) throw new SyntaxError(`nested deeper than ${most}`);
    this.#at++;
    const value = read();
    this.#at++;
    this.#depth--;
    return value;
  }

  /** Behind the opening bracket; stops at the closing one. */
  #list(): unknown[] {
    const list: unknown[] = [];
    for (;;) {
      this.#blanks();
      if (this.text[this.#at] === "]") return list;
      list.push(this.#value());
      if (this.#separated("]")) return list;
    }
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    for (;;) {
      this.#blanks();
      if (this.text[this.#at] === "}") return object;
      const key = this.#key();
      this.#blanks();
      if (this.text[this.#at] !== ":") throw this.#fault('":"');
      this.#at++;
      // Not by assignment: __proto__ is a key like any other.
      Object.defineProperty(object, key, {
        value: this.#value(),
        configurable: true,
        enumerable: true,
        writable: true,
      });
      if (this.#separated("}")) return object;
    }
  }

  /** Passes a comma; true at the closing bracket. */
  #separated(closing: string): boolean {
    this.#blanks();
    const found = this.text[this.#at];
    if (found === closing) return true;
    if (found !== ",") throw this.#fault(`"," or "${closing}"`);
    this.#at++;
    return false;
  }

  #key(): string {
    const first = this.text[this.#at];
    if (first === '"' || first === "'") return this.#string();
    const start = this.#at;
    const word = this.#run(":/");
    if (KEY_WORD.test(word)) return word;
    this.#at = start;
    throw this.#fault("a key");
  }

  #word(): unknown {
    const start = this.#at;
    // What is typed may be an address or a path.
    const word = this.#run(this.leniency.words ? "" : ":/");
    const literal = word.length <= LONGEST_LITERAL ? word.toLowerCase() : "";
    if (LITERALS.has(literal)) return LITERALS.get(literal);
    const number = NUMBER.exec(word);
    if (number) return this.leniency.number(numberOf(number));
    if (this.leniency.words && this.#depth > 0 && word !== "") return word;
    this.#at = start;
    throw this.#fault("a value");
  }

  /** As far as nothing ends a word: a blank, a quote, a bracket, a comma, or another of these. */
  #run(more: string): string {
    const { text } = this;
    const start = this.#at;
    const ends = `"'[]{},${more}`;
    let at = start;
    while (at < text.length && text.charCodeAt(at) > 0x20 && !ends.includes(text.charAt(at))) at++;
    this.#at = at;
    return text.slice(start, at);
  }

  #string(): string {
    const { text } = this;
    const quote = text.charCodeAt(this.#at);
    let result = "";
    let start = this.#at + 1;
    for (let at = start; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === quote) {
        this.#at = at + 1;
        return result === "" ? text.slice(start, at) : result + text.slice(start, at);
      }
      if (code !== 0x5c) continue;
      result += text.slice(start, at);
      this.#at = at + 1;
      const letter = text.charAt(at + 1);
      const escaped = ESCAPED[letter];
      if (escaped !== undefined) {
        result += escaped;
        at += 1;
      } else {
        const digits = text.slice(at + 2, at + 6);
        if (letter !== "u" || !/^[\da-fA-F]{4}$/.test(digits)) throw this.#fault("an escape");
        result += String.fromCharCode(Number.parseInt(digits, 16));
        at += 5;
      }
      start = at + 1;
    }
    this.#at = text.length;
    throw this.#fault("the end of a string");
  }

  #blanks(): void {
    const { text } = this;
    for (;;) {
      let code = text.charCodeAt(this.#at);
      while (code === 0x20 || (code >= 0x09 && code <= 0x0d)) code = text.charCodeAt(++this.#at);
      if (code !== 0x2f) return;
      const next = text.charAt(this.#at + 1);
      if (next !== "/" && next !== "*") return;
      const end = text.indexOf(next === "/" ? "\n" : "*/", this.#at + 2);
      if (end < 0 && next === "*") throw this.#fault("the end of a comment");
      this.#at = end < 0 ? text.length : end + (next === "/" ? 1 : 2);
    }
  }
}

/** A number as JSON has it: without zeros before it, or a point or an `e` behind it. */
function numberOf([
  ,
  sign = "",
  whole = "",
  fraction = "",
  exponent = "",
]: RegExpExecArray): string {
  const digits = whole === "" ? "0" : whole.replace(/^0+(?=\d)/, "");
  return `${sign}${digits}${fraction === "" ? "" : `.${fraction}`}${exponent}`;
}
