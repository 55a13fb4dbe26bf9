/** JSON that comes from outside: text that costs far more to take apart than to send is not. */
import { parseLenient } from "./lenient.ts";
import { parseExact } from "./numbers.ts";

/**
 * Deeper than anything that is meant. JSON.parse takes any depth, but JSON.stringify looks for cycles in time quadratic in the
 * depth: 40,000 brackets hold a server up for seconds.
 */
export const MOST_NESTED = 512;
/** Characters of a long text: some 0.1 ms to take apart. */
export const LONG = 32 * 1024;
/**
 * Most values of a text: a megabyte of empty objects would become 20 MB of them, and take 20 ms of everybody's time. A long text,
 * such as a file, is one value.
 */
export const VALUES = 1 << 16;

/** It has more values than any arguments. */
export class TooManyValues extends Error {
  constructor() {
    super(`there are over ${VALUES} values`);
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Numbers stay as they are written, see numbers.ts.
 * @throws SyntaxError as JSON.parse does, and when it is nested deeper than {@link MOST_NESTED}; TooManyValues
 */
export function parseForeign(text: string): unknown {
  const excess = excessOf(text);
  if (excess === "values") throw new TooManyValues();
  if (excess === "depth") throw new SyntaxError(`JSON nested deeper than ${MOST_NESTED}`);
  return parseExact(text);
}

/** As {@link parseForeign}, or as people and their scripts write it: see lenient.ts, with words. @throws SyntaxError, TooManyValues */
export function parseTyped(text: string): unknown {
  try {
    return parseForeign(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return parseLenient(text, {
      depth: MOST_NESTED,
      number: parseForeign,
      words: true,
      most: { values: VALUES, error: () => new TooManyValues() },
    });
  }
}

/** Nested deeper than {@link MOST_NESTED}: exactly so of a text that is JSON, and of others it does not matter. */
export const isTooDeep = (text: string): boolean => excessOf(text, Infinity) === "depth";

/** What there is too much of in a text that is JSON. */
function excessOf(text: string, most = VALUES): "depth" | "values" | undefined {
  if (text.length <= MOST_NESTED) return undefined;
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case COMMA:
        values++;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        values++;
        if (++depth > MOST_NESTED) return "depth";
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
    }
    if (values > most) return "values";
  }
  return undefined;
}

/** Where the string that begins at `start` has its last quote; the end of the text where it has none. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}
