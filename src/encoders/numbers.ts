/** JSON.parse that does not change numbers. */

declare global {
  interface JSON {
    /** ES2026, https://tc39.es/proposal-json-parse-with-source/; not yet in TypeScript's library. */
    rawJSON(text: string): object;
  }
}

/** What may be a number that a double cannot hold: many digits, or an exponent. */
const SUSPECT = /\d{16}|\d[eE]/;

/**
 * Parses, and keeps a number as it is written where a double would change it: 64-bit counters and ids are common in what
 * commands print, and existing clients get them unchanged. Such a number is a `JSON.rawJSON` object, which JSON.stringify
 * writes back as it was.
 */
export function parseExact(text: string): unknown {
  if (!SUSPECT.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key: string, value: unknown, context?: { source?: string }) => {
    if (typeof value !== "number" || context?.source === undefined) return value;
    const whole = Number.isInteger(value) && !Number.isSafeInteger(value);
    return whole || !Number.isFinite(value) ? JSON.rawJSON(context.source) : value;
  });
}
