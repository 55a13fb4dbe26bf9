/** `spawnbox schema`: what a config may contain, for editors and for readers. */
import { AccessFile } from "../access/schema.ts";
import { configJsonSchema, fileJsonSchema } from "../config/jsonschema.ts";
import { referenceMarkdown } from "../config/reference.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions, type Values } from "../manual/options.ts";
import { withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  access: { text: "of access files (serve --access) instead" },
  markdown: { text: "a reference table of all keys instead" },
} as const;

export const manual: Manual = {
  name: "spawnbox schema",
  synopsis: ["[--access] [--markdown]"],
  about: `Prints the JSON Schema of config files, made from the very schema that checks them.
Name it in "$schema" of a config and editors complete and check while typing.`,
  options: OPTIONS,
  exit: "0, or 2 for wrong usage.",
};

/** Exit code: 0, or 2 for a wrong option. */
export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, (args) => readOptions(OPTIONS, args), argv, print);

function print({ access, markdown }: Values<typeof OPTIONS>): number {
  if (markdown) {
    console.log(referenceMarkdown(access ? AccessFile : undefined).trimEnd());
  } else {
    const schema = access ? fileJsonSchema("access", AccessFile) : configJsonSchema();
    console.log(JSON.stringify(schema, null, 2));
  }
  return 0;
}
