/** Every key and word of the config schema. */
import { Config } from "../../src/config/schema.ts";

function wordsOf(schema: unknown, found = new Set<string>()): Set<string> {
  if (typeof schema !== "object" || schema === null) return found;
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties") for (const name of Object.keys(value as object)) found.add(name);
    // An argument's schema has keywords for keys.
    if (key === "enum" && Array.isArray(value)) for (const word of value) found.add(String(word));
    wordsOf(value, found);
  }
  return found;
}

export const SCHEMA_WORDS: [string, ...string[]] = [
  "__proto__",
  "constructor",
  "",
  ...wordsOf(Config),
];
