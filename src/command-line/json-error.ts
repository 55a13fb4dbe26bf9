/** Where a text stops being JSON (RFC 8259). JavaScriptCore's own errors do not say. */

const SPACE = /[ \t\n\r]*/y;
const SCALAR =
  /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** The offset of the first character that is wrong (the length of the text if it is cut short); undefined if none is. */
export function jsonErrorAt(text: string): number | undefined {
  let at = 0;
  /** What is open, inside out; a stack, so that depth does not matter. */
  const open: ("}" | "]")[] = [];

  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const take = (character: string): boolean => {
    match(SPACE);
    if (text[at] !== character) return false;
    at++;
    return true;
  };
  /** A key and its colon. */
  const key = (): boolean => {
    match(SPACE);
    return text[at] === '"' && match(SCALAR) !== undefined && take(":");
  };

  for (;;) {
    // A value starts here.
    if (take("{")) {
      if (!take("}")) {
        open.push("}");
        if (!key()) return at;
        continue;
      }
    } else if (take("[")) {
      if (!take("]")) {
        open.push("]");
        continue;
      }
    } else if (match(SCALAR) === undefined) {
      return at;
    }
    // It has ended: close what ends with it, or go on to the next.
    for (;;) {
      const end = open.at(-1);
      if (end === undefined) {
        match(SPACE);
        return at === text.length ? undefined : at;
      }
      if (take(end)) {
        open.pop();
        continue;
      }
      if (!take(",") || (end === "}" && !key())) return at;
      break;
    }
  }
}
