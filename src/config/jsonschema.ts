/**
 * The JSON Schema (draft 2020-12) of what users may write: the normal form of schema.ts, widened by its annotations.
 * It is for editors and other tools; spawnbox itself checks with conform.ts, which knows more than it can say.
 */
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { type Annotations, annotations, PRIVATE_KEYS, spellings } from "./annotations.ts";
import { optionSchema } from "./encoder-options.ts";
import { Config } from "./schema.ts";
import { anyCase } from "./shapes.ts";

export type JsonSchema = { [key: string]: unknown };

/** The JSON Schema of a config file. */
export const configJsonSchema = (): JsonSchema => fileJsonSchema("config", Config);

/** The JSON Schema of one of spawnbox's files. */
export function fileJsonSchema(name: string, schema: TSchema): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `urn:spawnbox:${name}`,
    title: `spawnbox ${name}`,
    // As these files are read: else VS Code and what descends from it mark both as errors.
    ...{ allowComments: true, allowTrailingCommas: true },
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
    const { type, ...rest } = plain;
    return { ...documented(rest), if: { type }, then: { type, items }, else: items };
  }
  if (KindGuard.IsObject(schema)) {
    const properties: Record<string, JsonSchema> = {};
    for (const [key, value] of Object.entries(schema.properties)) {
      properties[key] = toJsonSchema(value);
    }
    const { named } = notes;
    const own = named && { [named.key]: { ...properties[named.key], ...likeWords(named.words) } };
    const chosen = named?.choice && choiceOf(named.key, named.choice);
    const object: JsonSchema = {
      ...plain,
      properties,
      ...(named && {
        if: { required: [named.unless] },
        then: {},
        else: { properties: own, ...chosen },
      }),
    };
    if (notes.shorthand === undefined) return object;
    return {
      ...documented(object),
      type: ["string", "object"],
      if: { type: "string" },
      then: undocumented({ ...properties[notes.shorthand], ...(named && likeWords(named.words)) }),
      else: undocumented(object),
    };
  }
  if (notes.values) {
    const { patternProperties: _, ...rest } = plain;
    return { ...rest, additionalProperties: notes.values };
  }
  if (KindGuard.IsUnion(schema)) return ofUnion(plain, schema.anyOf.map(toJsonSchema));
  if (notes.like) {
    const { pattern, words } = notes.like;
    return pattern === undefined
      ? { ...plain, ...likeWords(words) }
      : { ...plain, if: { pattern }, then: {}, else: { enum: [...words] } };
  }
  // The checks of strings mean nothing for the other types, as JSON Schema has it.
  if (notes.text === true && "maximum" in schema) return { ...plain, type: ["string", "integer"] };
  if (notes.text === true) return { ...plain, type: ["string", "number", "boolean"] };
  return plain;
}

/** One object among others is judged as that, so that what is told is what is wrong within. */
function ofUnion({ anyOf: _, ...plain }: JsonSchema, variants: JsonSchema[]): JsonSchema {
  const objects = variants.filter(({ type }) => type === "object");
  const others = variants.filter(({ type }) => type !== "object");
  const [meant] = objects;
  const rest = others.length === 1 ? others[0] : { anyOf: others };
  if (meant && objects.length === 1 && others.length > 0)
    return { ...plain, if: { type: "object" }, then: meant, else: rest };
  return { ...plain, anyOf: variants };
}

/**
 * `enum` knows no case, a pattern can: each letter as a class of both. What is like none is judged by the `enum`, which editors offer
 * and validators tell.
 */
function likeWords(words: readonly string[], all: Iterable<string> = words): JsonSchema {
  const classes = Array.from(all, anyCase);
  return { if: { pattern: `^(${classes.join("|")})$` }, then: {}, else: { enum: [...words] } };
}

type Choice = NonNullable<NonNullable<Annotations["named"]>["choice"]>;

/** By the word of a key, what the object of another has. */
const choiceOf = (named: string, { key, of }: Choice): JsonSchema =>
  Object.entries(of).reduceRight<JsonSchema>((otherwise, [word, options]) => {
    const properties = Object.fromEntries(
      Object.entries(options).map(([name, option]) => [name, optionSchema(option)]),
    );
    return {
      if: { properties: { [named]: { pattern: `^${anyCase(word)}$` } }, required: [named] },
      then: { properties: { [key]: { properties, additionalProperties: false } } },
      else: otherwise,
    };
  }, {});

function ofWords(notes: Annotations): JsonSchema {
  return {
    type: "string",
    ...likeWords(notes.enum ?? [], spellings(notes).keys()),
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
