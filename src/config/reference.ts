/** The table of all keys of a config, or of another file, in Markdown, from the schema that checks them. */
import { KindGuard, type TSchema } from "@sinclair/typebox";
import { annotations } from "./annotations.ts";
import { Config } from "./schema.ts";

/** Types and defaults have the marks of Markdown's code. */
export interface KeyRow {
  /** `[]` is each element of a list. */
  readonly path: string;
  readonly type: string;
  readonly default: string;
  readonly description: string;
}

/** Every key, each above those within it. */
export const keyRows = (schema: TSchema = Config): KeyRow[] => rows(schema, "");

/** One line per key: path, type, default, description. */
export function referenceMarkdown(schema: TSchema = Config): string {
  const lines = keyRows(schema).map((row) =>
    [`\`${row.path}\``, row.type, row.default, row.description].map(cell).join(" | "),
  );
  return [
    "| Key | Type | Default | Description |",
    "|---|---|---|---|",
    ...lines.map((l) => `| ${l} |`),
    "",
  ].join("\n");
}

function rows(schema: TSchema, path: string): KeyRow[] {
  if (KindGuard.IsArray(schema)) return rows(schema.items, `${path}[]`);
  if (!KindGuard.IsObject(schema)) return [];
  return Object.entries(schema.properties).flatMap(([key, property]) => {
    const notes = annotations(property);
    const place = path === "" ? key : `${path}.${key}`;
    const row: KeyRow = {
      path: place,
      type: typeOf(property) + (schema.required?.includes(key) ? ", required" : ""),
      default: notes.default === undefined ? "" : `\`${JSON.stringify(notes.default)}\``,
      description: notes.description ?? "",
    };
    return [row, ...rows(property, place)];
  });
}

function typeOf(schema: TSchema): string {
  const notes = annotations(schema);
  if (notes.words !== undefined) return (notes.enum ?? []).map((word) => `\`${word}\``).join(", ");
  if (KindGuard.IsArray(schema)) return `${typeOf(schema.items)}, or list of them`;
  if (KindGuard.IsUnion(schema)) return schema.anyOf.map(typeOf).join(" or ");
  if (notes.text === true) return "string or number";
  if (KindGuard.IsUnknown(schema)) return "any";
  if (KindGuard.IsRecord(schema)) return "object";
  if (notes.shorthand !== undefined) return `string (its \`${notes.shorthand}\`) or object`;
  return typeof schema["type"] === "string" ? schema["type"] : "any";
}

/** A bar or a line break would end the cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
