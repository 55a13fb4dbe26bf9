/** `npm run docs`: writes the reference table, made from the schema, into README.md. */
import { join } from "node:path";
import { referenceMarkdown } from "../src/config/reference.ts";

export const readme = join(import.meta.dir, "../README.md");
const REGION = /(<!-- reference -->)[^]*?(<!-- \/reference -->)/;

/** The rows of a Markdown table as lists of cells; padding and the ruler line are the formatter's. */
function rows(table: string): string[][] {
  return table
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\|[\s|-]*$/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

/** The reference as it stands in the README, and as the schema gives it. */
export function compare(text: string): { written: string[][]; generated: string[][] } {
  return { written: rows(REGION.exec(text)?.[0] ?? ""), generated: rows(referenceMarkdown()) };
}

if (import.meta.main) {
  const text = await Bun.file(readme).text();
  await Bun.write(
    readme,
    text.replace(
      REGION,
      (_, open, close) => `${open}\n\n${referenceMarkdown().trim()}\n\n${close}`,
    ),
  );
}
