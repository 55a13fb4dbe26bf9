/** JSON that comes from outside. */
import { parseExact } from "./numbers.ts";

/**
 * Deeper than anything that is meant. JSON.parse takes any depth, but JSON.stringify looks for cycles in time quadratic in the
 * depth: 40,000 brackets hold a server up for seconds.
 */
export const MOST_NESTED = 512;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Numbers stay as they are written, see numbers.ts.
 * @throws SyntaxError as JSON.parse does, and when it is nested deeper than {@link MOST_NESTED}
 */
export function parseForeign(text: string): unknown {
  if (isTooDeep(text)) throw new SyntaxError(`JSON nested deeper than ${MOST_NESTED}`);
  return parseExact(text);
}

/** Nested deeper than {@link MOST_NESTED}: exactly so of a text that is JSON, and of others it does not matter. */
export function isTooDeep(text: string): boolean {
  if (text.length <= MOST_NESTED) return false;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      if (++depth > MOST_NESTED) return true;
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth--;
  }
  return false;
}
