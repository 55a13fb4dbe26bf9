/**
 * The JSON Schema (draft 2020-12) of what users may write: the normal form of schema.ts, widened by its annotations.
 * It is for editors and other tools; spawnbox itself checks with conform.ts, which knows more than it can say.
 */
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { type Annotations, annotations, PRIVATE_KEYS, spellings } from "./annotations.ts";
import { Config } from "./schema.ts";

export type JsonSchema = { [key: string]: unknown };

/** The JSON Schema of a config file. */
export const configJsonSchema = (): JsonSchema => fileJsonSchema("config", Config);

/** The JSON Schema of one of spawnbox's files. */
export function fileJsonSchema(name: string, schema: TSchema): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `urn:spawnbox:${name}`,
    title: `spawnbox ${name}`,
    ...toJsonSchema(schema),
  };
}

/** The JSON Schema of one annotated schema. */
export function toJsonSchema(schema: TSchema): JsonSchema {
  const notes = annotations(schema);
  if (notes.words !== undefined) return ofWords(notes);
  const plain: JsonSchema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (!PRIVATE_KEYS.has(key)) plain[key] = value;
  }
  if (KindGuard.IsArray(schema)) {
    const items = toJsonSchema(schema.items);
    if (notes.list !== true) return { ...plain, items };
    const { type, ...rest } = plain;
    return { ...documented(rest), anyOf: [items, { type, items }] };
  }
  if (KindGuard.IsObject(schema)) {
    const properties: JsonSchema = {};
    for (const [key, value] of Object.entries(schema.properties)) {
      properties[key] = toJsonSchema(value);
    }
    const object = { ...plain, properties };
    if (notes.shorthand === undefined) return object;
    return { ...documented(object), anyOf: [{ type: "string" }, undocumented(object)] };
  }
  if (KindGuard.IsUnion(schema)) return { ...plain, anyOf: schema.anyOf.map(toJsonSchema) };
  // The checks of strings mean nothing for the other types, as JSON Schema has it.
  if (notes.text === true && "maximum" in schema) return { ...plain, type: ["string", "integer"] };
  if (notes.text === true) return { ...plain, type: ["string", "number", "boolean"] };
  return plain;
}

/** `enum` knows no case, a pattern can: each letter as a class of both. */
function ofWords(notes: Annotations): JsonSchema {
  const all = [...spellings(notes).keys()].map((word) =>
    [...word].map((c) => (/[a-z]/.test(c) ? `[${c}${c.toUpperCase()}]` : c)).join(""),
  );
  return {
    type: "string",
    pattern: `^(${all.join("|")})$`,
    examples: [...(notes.enum ?? [])],
    ...documented({ description: notes.description, default: notes.default }),
  };
}

const DOCUMENTATION = new Set(["description", "default"]);

/** Only what is said about a value. */
const documented = (schema: JsonSchema): JsonSchema =>
  Object.fromEntries(
    Object.entries(schema).filter(([k, v]) => DOCUMENTATION.has(k) && v !== undefined),
  );

/** All but what is said about a value. */
const undocumented = (schema: JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(schema).filter(([k]) => !DOCUMENTATION.has(k)));
