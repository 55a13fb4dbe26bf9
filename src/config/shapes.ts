/**
 * The words in which schemas are written. A single value is accepted for a list; what users may write besides that and the
 * normal form is an annotation, not a second shape:
 *  - `words: {…}`   an enumeration matched without regard to case, with its aliases
 *  - `text: true`   a number or boolean is accepted for the string
 */
import type { Annotations } from "./annotations.ts";
import { type TSchema, type TString, type TUnsafe, Type } from "@sinclair/typebox";

type Doc = { description: string; default?: unknown; named?: Annotations["named"] };

export const object = <P extends Record<string, TSchema>>(properties: P, doc: Doc) =>
  Type.Object(properties, { additionalProperties: false, ...doc });
export const list = <S extends TSchema>(item: S, doc: Doc) => Type.Array(item, doc);
export const text = (doc: Doc): TString => Type.String({ text: true, ...doc });
/** A text for the command, which gets a number as the config has it. */
export const written = (doc: Doc): TString => Type.String({ text: true, exact: true, ...doc });
export const flag = (doc: Doc) => Type.Boolean(doc);
export const optional = Type.Optional;

/** A pattern for the word, each letter as a class of both cases: JSON Schema knows no other way. */
export const anyCase = (word: string): string =>
  [...word].map((c) => (/[a-z]/i.test(c) ? `[${c.toLowerCase()}${c.toUpperCase()}]` : c)).join("");

/** An enumeration; `aliases` maps further spellings to the canonical word. */
export function words<const W extends string>(
  canonical: readonly W[],
  doc: Doc,
  aliases: Record<string, W> = {},
): TUnsafe<W> {
  return Type.Unsafe<W>({ type: "string", enum: [...canonical], words: aliases, ...doc });
}
