import { expect, test } from "bun:test";
import { compare, readme, regions } from "./docs.ts";

test.each(regions)("the %s of the README are current: npm run docs", async (region) => {
  const { written, generated } = compare(await Bun.file(readme).text(), region);
  expect(generated.length).toBeGreaterThan(5);
  expect(written).toEqual(generated);
});
