/**
 * `npm run docs`: writes what is generated into README.md: the reference, made from the schema, the variables that are kept
 * back, and the protections; the migration guide, made from the rows that test/compat proves; and the page of places.
 */
import { join } from "node:path";
import { AccessFile } from "../src/access/schema.ts";
import { referenceMarkdown } from "../src/config/reference.ts";
import { variablesMarkdown } from "../src/plan/server-variables.ts";
import { guide, guideMarkdown } from "./guide.ts";
import { placesMarkdown, placesPage } from "./places-guide.ts";
import { protectionsMarkdown } from "./protections.ts";

export const readme = join(import.meta.dir, "../README.md");
/** What stands between `<!-- name -->` and `<!-- /name -->`. */
const GENERATED = {
  reference: () => referenceMarkdown(),
  access: () => referenceMarkdown(AccessFile),
  protections: protectionsMarkdown,
  variables: variablesMarkdown,
} as const;
export type Region = keyof typeof GENERATED;
export const regions = Object.keys(GENERATED) as Region[];
const between = (region: Region) => new RegExp(`(<!-- ${region} -->)[^]*?(<!-- /${region} -->)`);

/** The rows of a Markdown table as lists of cells; padding and the ruler line are the formatter's. */
export function rows(table: string): string[][] {
  return table
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\|[\s|-]*$/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

/** A region as it stands in the README, and as it is generated. */
export function compare(
  text: string,
  region: Region,
): { written: string[][]; generated: string[][] } {
  return {
    written: rows(between(region).exec(text)?.[0] ?? ""),
    generated: rows(GENERATED[region]()),
  };
}

if (import.meta.main) {
  let text = await Bun.file(readme).text();
  for (const region of regions) {
    text = text.replace(
      between(region),
      (_, open, close) => `${open}\n\n${GENERATED[region]().trim()}\n\n${close}`,
    );
  }
  await Bun.write(readme, text);
  await Bun.write(guide, guideMarkdown());
  await Bun.write(placesPage, placesMarkdown());
}
