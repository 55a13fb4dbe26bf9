/** `spawnbox schema`: what a config may contain, for editors and for readers. */
import { parseArgs } from "node:util";
import { configJsonSchema } from "../config/jsonschema.ts";
import { referenceMarkdown } from "../config/reference.ts";

export const help = `usage: spawnbox schema [--markdown]

Prints the JSON Schema of config files, made from the very schema that checks them.
Name it in "$schema" of a config and editors complete and check while typing.

  --markdown   a reference table of all keys instead
  -h, --help   this text`;

/** Exit code: 0, or 2 for a wrong option. */
export async function run(argv: string[]): Promise<number> {
  let options: { markdown?: boolean; help?: boolean };
  try {
    ({ values: options } = parseArgs({
      args: argv,
      options: { markdown: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`spawnbox schema: ${error.message}\n\n${help}`);
    return 2;
  }
  if (options.help) console.log(help);
  else if (options.markdown) console.log(referenceMarkdown().trimEnd());
  else console.log(JSON.stringify(configJsonSchema(), null, 2));
  return 0;
}
