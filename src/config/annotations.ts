/** What schema.ts writes beside the normal form of a value, read back with types. */
import type { TSchema } from "@sinclair/typebox";
import type { Options } from "./encoder-options.ts";

export interface Annotations {
  readonly description?: string;
  readonly default?: unknown;
  /** A number or boolean is accepted for the string. */
  readonly text?: boolean;
  /** Of the number. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** A string is accepted for the object, and stands for this key. */
  readonly shorthand?: string;
  /** An enumeration matched without regard to case: its aliases; the words themselves are in `enum`. */
  readonly words?: Readonly<Record<string, string>>;
  readonly enum?: readonly string[];
  /** What the string has to be like, checked by who compiles it: for editors, with what they offer. Case does not matter. */
  readonly like?: { readonly pattern?: string; readonly words: readonly string[] };
  /** Of a text or a record: numbers for it, or in it, stay as they are written. */
  readonly exact?: boolean;
  /** Of a record: the JSON Schema of its values, which are checked by who uses them. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** Of an object: this key is one of the words, unless the object has the other key. */
  readonly named?: {
    readonly key: string;
    readonly words: readonly string[];
    readonly unless: string;
    /** What the object in another key has, by word. */
    readonly choice?: { readonly key: string; readonly of: Readonly<Record<string, Options>> };
  };
}

export const annotations = (schema: TSchema): Annotations => schema;

/** The keys of annotations that are ours and mean nothing in a JSON Schema. */
export const PRIVATE_KEYS: ReadonlySet<string> = new Set([
  "text",
  "shorthand",
  "words",
  "like",
  "named",
  "values",
  "exact",
]);

/** Of each schema, since a config has thousands of words of a few. */
const known = new WeakMap<Annotations, ReadonlyMap<string, string>>();

/** Every accepted spelling in lower case, with the canonical word it stands for. */
export function spellings(notes: Annotations): ReadonlyMap<string, string> {
  const before = known.get(notes);
  if (before) return before;
  const all = new Map<string, string>();
  known.set(notes, all);
  for (const word of notes.enum ?? []) all.set(word.toLowerCase(), word);
  for (const [alias, word] of Object.entries(notes.words ?? {})) all.set(alias.toLowerCase(), word);
  return all;
}
