/** A pattern → its tree, without what no engine can match in linear time. See ECMA-262, Patterns. */
import { strictly } from "./spelling.ts";

/** One character that has to be there, as a regular expression of its own: the runtime knows what `\p{L}` or `[^\s]` mean. */
export type Atom = string;

export type Node =
  | { readonly kind: "atom"; readonly atom: Atom }
  | { readonly kind: "start" | "end" }
  /** Between a character that `word` matches and one that it does not, or not so. */
  | { readonly kind: "boundary"; readonly word: Atom; readonly wanted: boolean }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "choice"; readonly options: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly least: number; readonly most: number };

/** What a pattern cannot be, and what to write instead. */
export class PatternError extends Error {}

/** Of a pattern. It keeps what is written for each character, and the stack while groups are read, within bounds. */
const MOST_CHARACTERS = 4096;
const MOST_DEPTH = 100;

const CLASS = /\[(?:\\[^]|[^\]\\])*\]/uy;
/** Two escaped surrogates are one character. */
const ESCAPE =
  /\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u\{[\da-fA-F]+\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[A-Za-z]|[pP]\{[^}]*\}|[^])/uy;
const GROUP = /\((?:\?(?:<(?![=!])[^>]*>|([a-z]*(?:-[a-z]*)?):))?/uy;
const LOOK = /\(\?<?[=!]/uy;
const QUANTIFIER = /(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/uy;

/** @throws PatternError */
export function parsePattern(pattern: string): Node {
  if (pattern.length > MOST_CHARACTERS)
    throw new PatternError(`it has ${pattern.length} characters; at most ${MOST_CHARACTERS}`);
  if (!pattern.isWellFormed())
    throw new PatternError("it contains half of a surrogate pair: write it as \\uXXXX");
  const source = strictly(pattern);
  try {
    RegExp(source, "u");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const why = error.message.replace(/^Invalid regular expression: /, "");
    throw new PatternError(`it is no regular expression: ${why}`);
  }
  return new Parser(source).whole();
}

/** Reads a source that the runtime has found to be right. */
class Parser {
  #at = 0;
  #depth = 0;
  /** Such as `(?i:`, those of the groups around. */
  #modifiers: readonly string[] = [];

  constructor(readonly source: string) {}

  whole(): Node {
    const tree = this.#choice();
    if (this.#at < this.source.length) throw new PatternError("it cannot be understood");
    return tree;
  }

  #take(form: RegExp): RegExpExecArray | undefined {
    form.lastIndex = this.#at;
    const found = form.exec(this.source) ?? undefined;
    if (found) this.#at = form.lastIndex;
    return found;
  }

  #choice(): Node {
    if (++this.#depth > MOST_DEPTH)
      throw new PatternError(`its groups are nested deeper than ${MOST_DEPTH}`);
    const options = [this.#sequence()];
    while (this.source[this.#at] === "|") {
      this.#at++;
      options.push(this.#sequence());
    }
    this.#depth--;
    return { kind: "choice", options };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.source.length && !/^[|)]/.test(this.source.charAt(this.#at))) {
      parts.push(this.#repeated(this.#term()));
    }
    return { kind: "sequence", parts };
  }

  #repeated(node: Node): Node {
    const found = this.#take(QUANTIFIER);
    if (!found) return node;
    // Greedy or not, it is the same to who only asks whether there is a match.
    const [, sign, low, comma, high] = found;
    if (sign !== undefined)
      return {
        kind: "repeat",
        node,
        least: sign === "+" ? 1 : 0,
        most: sign === "?" ? 1 : Infinity,
      };
    const least = Number(low);
    return { kind: "repeat", node, least, most: comma === "" ? least : Number(high || Infinity) };
  }

  #term(): Node {
    const char = String.fromCodePoint(this.source.codePointAt(this.#at) ?? 0);
    if (char === "(") return this.#group();
    if (char === "[") return this.#atom(this.#take(CLASS)?.[0]);
    if (char === "\\") return this.#escape();
    this.#at += char.length;
    if (char === "^") return { kind: "start" };
    return char === "$" ? { kind: "end" } : this.#atom(char);
  }

  #escape(): Node {
    const text = this.#take(ESCAPE)?.[0];
    if (text === "\\b" || text === "\\B")
      return { kind: "boundary", word: this.#modified("\\w"), wanted: text === "\\b" };
    if (text === "\\k" || /^\\[1-9]/.test(text ?? ""))
      throw new PatternError(
        `it refers back to a group (${text}), which no engine can match in linear time: write out what is meant, or check it in the command`,
      );
    return this.#atom(text);
  }

  #group(): Node {
    const look = this.#take(LOOK)?.[0];
    if (look !== undefined) {
      throw new PatternError(
        `it looks around (${look}…)), which no engine can match in linear time: say with ^, $ and classes what the whole is, use minLength and maxLength, or check it in the command`,
      );
    }
    const flags = this.#take(GROUP)?.[1] ?? "";
    if (flags.includes("m"))
      throw new PatternError("the modifier m is not supported: write (?:^|\\n) and (?:$|\\n)");
    const around = this.#modifiers;
    if (flags !== "") this.#modifiers = [...around, `(?${flags}:`];
    const inside = this.#choice();
    this.#modifiers = around;
    this.#at++;
    return inside;
  }

  #atom(text: string | undefined): Node {
    if (text === undefined) throw new PatternError("it cannot be understood");
    return { kind: "atom", atom: this.#modified(text) };
  }

  #modified(text: string): Atom {
    return this.#modifiers.join("") + text + ")".repeat(this.#modifiers.length);
  }
}
