/** `spawnbox schema`: what a config may contain, for editors and for readers. */
import { parseArgs } from "node:util";
import { AccessFile } from "../access/schema.ts";
import { configJsonSchema, fileJsonSchema } from "../config/jsonschema.ts";
import { referenceMarkdown } from "../config/reference.ts";
import { withOptions } from "./usage.ts";

export const help = `usage: spawnbox schema [--access] [--markdown]

Prints the JSON Schema of config files, made from the very schema that checks them.
Name it in "$schema" of a config and editors complete and check while typing.

  --access     of access files (serve --access) instead
  --markdown   a reference table of all keys instead
  -h, --help   this text`;

/** Exit code: 0, or 2 for a wrong option. */
export const run = (argv: string[]): Promise<number> =>
  withOptions({ name: "spawnbox schema", help, parse }, argv, print);

interface Options {
  readonly access: boolean;
  readonly markdown: boolean;
}

function parse(argv: string[]): Options | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      access: { type: "boolean", default: false },
      markdown: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  return values.help ? undefined : values;
}

function print({ access, markdown }: Options): number {
  if (markdown) {
    console.log(referenceMarkdown(access ? AccessFile : undefined).trimEnd());
  } else {
    const schema = access ? fileJsonSchema("access", AccessFile) : configJsonSchema();
    console.log(JSON.stringify(schema, null, 2));
  }
  return 0;
}
