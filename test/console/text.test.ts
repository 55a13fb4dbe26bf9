/** The texts of the page as a visitor has them, by the words that the build makes, and a server that has them or not. */
import { afterEach, describe, expect, test } from "bun:test";
import { EXPLAINED } from "../../src/console/explained-words.ts";
import { LESSONS } from "../../src/console/lessons.ts";
import { TEXTS } from "../../src/console/texts.ts";
import { bundleConsole } from "../../src/make/console.ts";
import { type Components, componentsAmid } from "./components.ts";

interface Parts {
  setLanguage(text: string, choose?: boolean): Promise<void>;
  loadWords(): Promise<void>;
  t(key: string, ...values: readonly (string | number)[]): string;
  told(text: string): string;
  more(key: string): unknown;
  inWords(text: string): string;
  readonly language: { readonly value: string };
  recall(store: string, key: string): string | undefined;
}

const words = (await bundleConsole(false)).more["words.json"];
const open: Components[] = [];
afterEach(async () => {
  for (const page of open.splice(0)) await page[Symbol.asyncDispose]();
});

/** @param answer to each that asks for the words */
async function page(answer: () => Response | Promise<Response> = () => new Response(words)) {
  const asked: string[] = [];
  const surroundings = {
    fetch: async (url: string) => {
      asked.push(url);
      return answer();
    },
  };
  const files = ["text.ts", "explained.ts", "storage.ts"];
  const made = await componentsAmid(surroundings, "http://localhost/x/", ...files);
  open.push(made);
  return { asked, ...(made.from as unknown as Parts) };
}
const [, LOST_DE, LOST_FR] = TEXTS.lost;

test("are English at first, and others once they are there, fetched once", async () => {
  const { t, setLanguage, language, recall, asked, loadWords } = await page();
  expect([t("lost"), language.value]).toEqual([TEXTS.lost[0], "en"]);
  await setLanguage("en-GB");
  expect([asked, recall("local", "language")]).toEqual([[], "en"]);
  await setLanguage("DE-at");
  expect([t("lost"), language.value, recall("local", "language")]).toEqual([LOST_DE, "de", "de"]);
  // What the browser says is no choice.
  await setLanguage("fr", false);
  expect([t("lost"), recall("local", "language")]).toEqual([LOST_FR, "de"]);
  await loadWords();
  expect(asked).toEqual(["/x/console/words.json"]);
  await setLanguage("xx");
  expect([t("lost"), recall("local", "language")]).toEqual([TEXTS.lost[0], "en"]);
});

test.each<[string, () => Response | Promise<Response>]>([
  ["has none", () => new Response(words, { status: 404 })],
  ["has something else", () => new Response("<html>")],
  ["has nothing in it", () => new Response("5")],
  ["is not there", () => Promise.reject(new TypeError("gone"))],
])("stay English where the server %s, and are asked for again", async (_what, answer) => {
  let now = answer;
  const { t, setLanguage, asked } = await page(() => now());
  await setLanguage("de");
  expect(t("lost")).toBe(TEXTS.lost[0]);
  now = () => new Response(words);
  await setLanguage("de");
  expect([t("lost"), asked.length]).toEqual([LOST_DE, 2]);
});

test("a fault is one", async () => {
  const { loadWords } = await page(() => Promise.reject(new RangeError("a fault")));
  await expect(loadWords()).rejects.toThrow("a fault");
});

test("have what is counted in them, as it is written there", async () => {
  const { t, setLanguage } = await page();
  const [english, german] = TEXTS.moreBoards;
  const told = (value: string | number) => t("moreBoards", value);
  const filled = (text: string, value: string) => text.replace("{0}", value);
  for (const [count, shown] of [
    [0, "0"],
    [999, "999"],
    [1000, "1,000"],
    [1234567, "1,234,567"],
  ] as const)
    expect(told(count)).toBe(filled(english, shown));
  // No number, and nothing.
  expect(told("1000")).toBe(filled(english, "1000"));
  expect(t("moreBoards")).toBe(filled(english, ""));
  await setLanguage("de");
  expect(told(12345)).toBe(filled(german, "12.345"));
  await setLanguage("fr");
  expect(told(12345)).toContain("12\u202f345");
});

describe("what a server says", () => {
  test("of its exercises is in the visitor's language, where it is one of those that come along", async () => {
    const { told, setLanguage } = await page();
    const [[english, [german, french]] = ["", ["", ""]]] = Object.entries(LESSONS);
    expect(told(english)).toBe(english);
    await setLanguage("de");
    expect([told(english), told(`${english}!`)]).toEqual([german, `${english}!`]);
    await setLanguage("fr");
    expect(told(english)).toBe(french);
  });

  test("of a sandbox, with the names that are in it", async () => {
    const { inWords, setLanguage, more } = await page();
    const mount = "mount /t from /s, if it is there, (read-only)";
    expect([inWords(mount), more("explained")]).toEqual([mount, undefined]);
    await setLanguage("de");
    expect(inWords(mount)).toBe("hängt /t ein, von /s, falls vorhanden (read-only)");
    expect(inWords("umask 077")).toBe("umask 077");
    expect(inWords("nobody says that")).toBe("nobody says that");
    const plain = EXPLAINED.find(([english]) => english === "no capabilities");
    expect(inWords("no capabilities")).toBe(plain?.[1] ?? "");
    await setLanguage("fr");
    expect(inWords("no capabilities")).toBe(plain?.[2] ?? "");
    expect(inWords("link /a to /b")).toBe("lien /a vers /b");
  });
});
