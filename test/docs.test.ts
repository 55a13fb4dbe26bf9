import { expect, test } from "bun:test";
import { compare, readme, regions, rows } from "./docs.ts";
import { guide, guideMarkdown } from "./guide.ts";
import { placesMarkdown, placesPage } from "./places-guide.ts";

test.each(regions)("the %s of the README are current: npm run docs", async (region) => {
  const { written, generated } = compare(await Bun.file(readme).text(), region);
  expect(generated.length).toBeGreaterThan(5);
  expect(written).toEqual(generated);
});

test("the migration guide is current: npm run docs", async () => {
  const cells = rows(guideMarkdown());
  expect(cells.length).toBeGreaterThan(80);
  expect(rows(await Bun.file(guide).text())).toEqual(cells);
});

test("the page of places is current: npm run docs", async () => {
  const made = placesMarkdown();
  const page = await Bun.file(placesPage).text();
  const sentences = (text: string) => text.split("\n").filter((line) => /^\d+\. /.test(line));
  expect(rows(made).length).toBeGreaterThan(80);
  expect(rows(page)).toEqual(rows(made));
  expect(sentences(page)).toEqual(sentences(made));
});
