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

/**
 * What stands before a number that the kernel does not look at, as it is called here: one more does nothing.
 *
 * prctl(2) takes what is behind the value of these for nothing, and of those that only ask, the value too; clone(2) without flags
 * for them takes no numbers of threads, waitid(2) of all no number, ppoll(2) no size of a mask that is not given, mmap(2) its place
 * as a wish, and of what is no file no descriptor. What only asks whether a filter denies it has no arguments.
 * rt_sigprocmask(2) and rt_sigaction(2) set before they tell what was.
 */
const UNREAD = [
  /__NR_prctl, PR_(?:SET_DUMPABLE|SET_PDEATHSIG|SET_CHILD_SUBREAPER|SET_SECUREBITS|CAPBSET_DROP), \w+, [^;]*$/,
  /__NR_prctl, PR_GET_(?:DUMPABLE|TIMERSLACK), [^;]*$/,
  /__NR_clone, [^,;]+, 0, [^;]*$/,
  /__NR_waitid, P_ALL, $/,
  /__NR_ppoll\b[^;]*, 0, $/,
  /__NR_mmap, $/,
  /__NR_rt_sig(?:procmask|action), [^,;]+, [^,;]+, $/,
  /(?:0x2[12]|MAP_ANONYMOUS) *, -$/,
  /__NR_(?:add|request)_key\b[^;|]*$/,
];
/** How far before it, at most. */
const CALL = 200;

/** Whether it is only asked whether it is 0: what is said of whether something is so, and how a process ends. */
function isTruth(code: string, index: number): boolean {
  if (/\tleave\($|\b(?:is|has)_\w+ = $/.test(code.slice(Math.max(0, index - CALL), index)))
    return true;
  if (!code.slice(0, index).endsWith("return ")) return false;
  const heads = [...code.slice(0, index).matchAll(/^(\w[\w *]*?)\w+\([^;{}]*\)\n\{/gm)];
  return /\bint $/.test(heads.at(-1)?.[1] ?? "");
}

/**
 * Of what runs where descriptor 0 is taken, so that what is opened is another: by the command's stdin before the exec, and in the
 * supervisor that watches by the mount namespace or the list of children.
 */
const BESIDE_0 =
  /\/(?:mounts|submounts|terminal|landlock|settings|shed|steps|listener|watch|sweep)\.c$/;
const DESCRIPTOR =
  /\b(?:fd|dir|fs|tree|place|path|master|slave|proc|kept|pidfd) (?:<|>=) 0(?=\)| \?)/g;

/** Where it is asked whether such a descriptor is one: beside 0, by either operator. */
function descriptorChecks(file: string, code: string): readonly (readonly [number, number])[] {
  if (!BESIDE_0.test(file)) return [];
  return [...code.matchAll(DESCRIPTOR)].map(({ 0: match, index }) => [index, index + match.length]);
}

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
  const checks = descriptorChecks(file, code);
  const isOfCheck = (index: number) => checks.some(([from, to]) => from < index && index < to);
  const add = (rule: string, start: number, end: number, replacement: string) =>
    void found.push({ file, ...linesAt(text, start, end), start, end, replacement, rule });

  for (const [operator, other] of OPERATORS)
    for (const { 0: match, index } of code.matchAll(operator))
      if (!(match === " > " && code.startsWith("-4096", index + match.length)) && !isOfCheck(index))
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
    const before = code.slice(Math.max(0, index - CALL), index);
    if (UNREAD.some((one) => one.test(before)) || (match !== "0" && isTruth(code, index))) continue;
    // An errno is less than that, and what is mapped begins below it.
    if ((match === "4096" && before.endsWith("> -")) || isOfCheck(index)) continue;
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
