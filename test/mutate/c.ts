/** Mistakes in the launcher's C, by its lines and words: what does not compile any more is found out by the compiler. */
import { linesAt, type Mistake } from "./mistake.ts";

const OPERATORS: readonly (readonly [RegExp, string])[] = [
  [/ == /g, " != "],
  [/ != /g, " == "],
  [/ < /g, " <= "],
  [/ <= /g, " < "],
  [/ > /g, " >= "],
  [/ >= /g, " > "],
  [/ && /g, " || "],
  [/ \|\| /g, " && "],
  [/ & (?=~|[a-zA-Z0-9(])/g, " | "],
  [/ - /g, " + "],
  [/ \+ /g, " - "],
];
/** What the kernel takes as well, and does otherwise. */
const EXCHANGED: Readonly<Record<string, string>> = {
  MS_PRIVATE: "MS_UNBINDABLE",
  O_RDONLY: "2",
  O_RDWR: "0",
  WNOHANG: "0",
  MSG_DONTWAIT: "0",
};

/** Flags that are 0: without them nothing is otherwise. */
const NOTHING = ["O_RDONLY", "BPF_LD", "BPF_W", "BPF_IMM", "BPF_ADD", "BPF_JA", "BPF_K"];
const isNothing = (text: string): boolean => NOTHING.includes(text.replace(/[ |]+/g, ""));

/** The same length: comments, strings, characters and lines of the preprocessor are blanks. */
function bare(text: string): string {
  const blank = (part: string) => part.replaceAll(/[^\n]/g, " ");
  return text
    .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, blank)
    .replaceAll(/^[ \t]*#.*(?:\\\n.*)*$/gm, blank);
}

/** The offset behind the parenthesis that closes the one at `open`. */
function closing(code: string, open: number): number {
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if (code[i] === "(") depth++;
    else if (code[i] === ")" && --depth === 0) return i + 1;
  }
  return code.length;
}

export function mistakesInC(file: string, text: string): Mistake[] {
  const code = bare(text);
  const found: Mistake[] = [];
  const add = (rule: string, start: number, end: number, replacement: string) =>
    void found.push({ file, ...linesAt(text, start, end), start, end, replacement, rule });

  for (const [operator, other] of OPERATORS)
    for (const { 0: match, index } of code.matchAll(operator))
      add("operator", index, index + match.length, other);
  for (const { 0: match, index } of code.matchAll(/\b(?:if|while) \(/g)) {
    const open = index + match.length - 1;
    const end = closing(code, open);
    add("condition turned", open, end, `(!${text.slice(open, end)})`);
  }
  // A guard with what it does, in one line or two.
  for (const { 0: match, index } of code.matchAll(/^\t+if \(/gm)) {
    const start = index + match.lastIndexOf("\t") + 1;
    const end = closing(code, index + match.length - 1);
    const rest = /^\s+(?:return\b[^;]*|continue|break|fail\([^;]*|give_up\([^;]*);(?!\s*else)/.exec(
      code.slice(end),
    );
    if (rest) add("guard dropped", start, end + rest[0].length, ";");
  }
  // What is done for its effect: a call, or an assignment that declares nothing.
  const statement =
    /^(\t+)((?:\w+\(.*\)|[\w.\->[\]*]+ (?:=|\|=|&=|\+=|-=) .*|\w[\w.\->]*(?:\+\+|--));)$/gm;
  for (const { index, 1: indent = "", 2: body = "" } of code.matchAll(statement)) {
    if (/^(?:return|if|for|while|else|switch|case|goto)\b/.test(body)) continue;
    const start = index + indent.length;
    add("statement dropped", start, start + body.length, ";");
  }
  for (const { 0: match, index } of code.matchAll(/(?<![\w.])(?:0x[0-9a-fA-F]+|\d+)(?![\w.])/g)) {
    // What lies in brackets behind a type is a size, where more does nothing.
    if (/\w\[$/.test(code.slice(Math.max(0, index - 2), index))) continue;
    // Of what is only opened, the mode of a new file is not looked at.
    const call = /__NR_openat\b([^;()]*), $/.exec(code.slice(Math.max(0, index - 200), index));
    if (match === "0" && call && !/O_CREAT/.test(call[1] ?? "")) continue;
    add("constant shifted", index, index + match.length, `(${match} + 1)`);
  }
  for (const { 0: match, index } of code.matchAll(/ \| [A-Z]\w*/g))
    if (!isNothing(match)) add("flag dropped", index, index + match.length, "");
  for (const { 0: match, index } of code.matchAll(/\b[A-Z]\w* \| /g))
    if (!isNothing(match)) add("flag dropped", index, index + match.length, "");
  for (const { 0: match, index } of code.matchAll(/!(?=[\w(])/g))
    add("condition turned", index, index + match.length, "");
  for (const { 0: match, index } of code.matchAll(/\b[A-Z]\w*\b/g)) {
    const other = Object.hasOwn(EXCHANGED, match) ? EXCHANGED[match] : undefined;
    if (other !== undefined) add("flag exchanged", index, index + match.length, other);
  }
  return found;
}
