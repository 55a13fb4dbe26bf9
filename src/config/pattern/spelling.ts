/**
 * A pattern as people write it → as ECMA-262 has it with the flag `u`, which JSON Schema asks for. Without the flag a browser
 * takes more spellings (Annex B); each means here what it means there, or is refused by the runtime's own parser.
 */

/** What `u` lets be escaped, in and outside of classes. */
const ESCAPABLE = /^[\^$\\.*+?()[\]{}|/]$/;
const PUNCTUATION = /^[\x20-\x7e]$/;
const WORD = /^[A-Za-z0-9_]$/;
const SET = /^\\(?:[dDwWsS]|[pP]\{[^}]*\})/;
const QUANTIFIER = /^\{\d+(?:,\d*)?\}/;
/** An escape that is more than a backslash and one character: those of names, properties and numbers. */
const LONG_ESCAPE = /^\\(?:u\{[\da-f]+\}|[pP]\{[^}]*\}|k<[^>]*>)/i;
/** The longest that one of them can be: names of properties have up to 60 characters. */
const LONGEST_ESCAPE = 100;

/** The same pattern in the strict spelling, where there is one. */
export function strictly(pattern: string): string {
  let strict = "";
  let inClass = false;
  for (let at = 0; at < pattern.length;) {
    const ahead = pattern.slice(at, at + LONGEST_ESCAPE);
    const char = pattern.charAt(at);
    if (char === "\\") {
      const set = SET.exec(ahead)?.[0];
      const whole = set ?? LONG_ESCAPE.exec(ahead)?.[0] ?? ahead.slice(0, 2);
      strict += escaped(whole, inClass);
      at += whole.length;
      // `[\w-.]`: a range cannot begin with a set, so the dash is one.
      if (inClass && set !== undefined && pattern[at] === "-" && pattern[at + 1] !== "]") {
        strict += "\\-";
        at++;
      }
      continue;
    }
    if (inClass) {
      if (char === "]") inClass = false;
      // `[.-\w]`: nor can it end with one.
      strict += char === "-" && SET.test(ahead.slice(1)) ? "\\-" : char;
      at++;
      continue;
    }
    const quantifier = char === "{" ? QUANTIFIER.exec(ahead)?.[0] : undefined;
    if (char === "[") inClass = true;
    if (quantifier === undefined && "{}]".includes(char)) strict += "\\";
    strict += quantifier ?? char;
    at += quantifier?.length ?? 1;
  }
  return strict;
}

/** `\@` is an `@` without the flag, and an error with it. Letters and digits are left: they may mean something elsewhere. */
function escaped(text: string, inClass: boolean): string {
  const char = text.charAt(1);
  if (text.length !== 2 || WORD.test(char) || ESCAPABLE.test(char)) {
    return text === "\\_" ? "_" : text;
  }
  if (char === "-") return inClass ? "\\-" : "-";
  return PUNCTUATION.test(char) ? char : text;
}
