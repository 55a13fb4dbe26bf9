/** `spawnbox schema`: what a config may contain, for editors and for readers. */
import { parseArgs } from "node:util";
import { AccessFile } from "../access/schema.ts";
import { configJsonSchema, fileJsonSchema } from "../config/jsonschema.ts";
import { referenceMarkdown } from "../config/reference.ts";

export const help = `usage: spawnbox schema [--access] [--markdown]

Prints the JSON Schema of config files, made from the very schema that checks them.
Name it in "$schema" of a config and editors complete and check while typing.

  --access     of access files (serve --access) instead
  --markdown   a reference table of all keys instead
  -h, --help   this text`;

/** Exit code: 0, or 2 for a wrong option. */
export async function run(argv: string[]): Promise<number> {
  let options: { access?: boolean; markdown?: boolean; help?: boolean };
  try {
    ({ values: options } = parseArgs({
      args: argv,
      options: {
        access: { type: "boolean" },
        markdown: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`spawnbox schema: ${error.message}\n\n${help}`);
    return 2;
  }
  if (options.help) console.log(help);
  else if (options.markdown) {
    console.log(referenceMarkdown(options.access ? AccessFile : undefined).trimEnd());
  } else {
    const schema = options.access ? fileJsonSchema("access", AccessFile) : configJsonSchema();
    console.log(JSON.stringify(schema, null, 2));
  }
  return 0;
}
