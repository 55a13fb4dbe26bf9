import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { SUBJECTS } from "../src/guide/guides.ts";
import { GENERATED, gist, written } from "./docs.ts";
import { PAGES, textOf } from "./guide/examples.ts";

test.each(Object.keys(GENERATED))("%s is current: npm run docs", async (page) => {
  const generated = gist(GENERATED[page]?.() ?? "");
  expect(generated.length).toBeGreaterThan(60);
  expect(gist(await written(page))).toEqual(generated);
});

test("the README stays short", () => {
  expect(textOf("README.md").split("\n").length).toBeLessThanOrEqual(250);
});

test("every guide can be asked for, begins with a title, and the README leads to it", () => {
  const pages = PAGES.filter((page) => page.startsWith("config/"));
  const subjects = pages.map((page) => page.replace(/^config\/guide\/(.*)\.md$/, "$1"));
  expect(SUBJECTS.toSorted()).toEqual(subjects);
  for (const page of pages) {
    expect(textOf(page)).toStartWith("# ");
    expect(textOf("README.md")).toContain(`(${page})`);
  }
});

test("links lead somewhere", () => {
  const dead = [...PAGES, "CONTRIBUTING.md", "test/sandbox/README.md"].flatMap((page) =>
    [...textOf(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map(([, to = ""]) => to)
      .filter((to) => !/^[a-z]+:/.test(to))
      .filter((to) => !existsSync(join(import.meta.dir, "..", dirname(page), to)))
      .map((to) => `${page}: ${to}`),
  );
  expect(dead).toEqual([]);
});
