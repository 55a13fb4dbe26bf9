/** `npm run docs`: writes the pages that are generated, each from what is the case: the schema, lists of the code, tests. */
import { join } from "node:path";
import { FleetFile } from "../src/fleet/schema.ts";
import { AccessFile } from "../src/access/schema.ts";
import { referenceMarkdown } from "../src/config/reference.ts";
import { variablesMarkdown } from "../src/plan/server-variables.ts";
import { guideMarkdown } from "./guide.ts";
import { placesMarkdown } from "./places-guide.ts";
import { protectionsMarkdown } from "./protections.ts";

const root = join(import.meta.dir, "..");

const reference = () => `# Look up a key

What \`spawnbox check\` knows, made by \`npm run docs\` from the schema and the lists of the program; \`spawnbox schema\` is the same for
editors. In the names, \`[]\` is each element of a list; where a list is wanted, one element may stand alone.

## Keys of a config

${referenceMarkdown()}

## Keys of an access file

${referenceMarkdown(AccessFile)}

## Keys of a fleet file

${referenceMarkdown(FleetFile)}

## Variables of the server that its commands do not inherit

All others are handed on, but for sandboxes with \`{"name": "*", "mode": "unset"}\` (the profiles among them). \`spawnbox explain\`
names those of this server that are kept back. \`"envs": {"name": "PYTHONPATH"}\` hands one on, \`"value"\` gives it another.

${variablesMarkdown()}
`;

const protections = () => `# What is proven by which test

Each of these tests launches for real, as root and as an ordinary user where both can. The table is made by \`npm run docs\` from
their names: \`[protection] what holds\`.

${protectionsMarkdown()}
`;

/** By path from the top of the sources. */
export const GENERATED: Readonly<Record<string, () => string>> = {
  "config/guide/reference.md": reference,
  "config/guide/migration.md": guideMarkdown,
  "config/guide/places.md": placesMarkdown,
  "test/sandbox/README.md": protections,
};

export const written = (page: string): Promise<string> => Bun.file(join(root, page)).text();

/** What a page says, however the formatter pads and rules its tables. */
export const gist = (markdown: string): string[] =>
  markdown
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\|[\s|:-]*$/.test(line))
    .map((line) =>
      line.startsWith("|")
        ? line
            .split("|")
            .map((cell) => cell.trim())
            .join("|")
        : line,
    );

if (import.meta.main) {
  for (const [page, generate] of Object.entries(GENERATED))
    await Bun.write(join(root, page), generate());
}
