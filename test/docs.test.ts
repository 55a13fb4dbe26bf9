import { expect, test } from "bun:test";
import { compare, readme } from "./docs.ts";

test("the reference of the README is the schema's: npm run docs", async () => {
  const { written, generated } = compare(await Bun.file(readme).text());
  expect(generated.length).toBeGreaterThan(100);
  expect(written).toEqual(generated);
});
