/** The texts of the page in the language of the visitor. What the server says, names of verbs and output of commands stay as they
 * are. */
import { base } from "./connection.ts";
import { isObject, type Json, objectOf, textOf } from "./json.ts";
import { signal } from "./signal.ts";
import { keep, recall } from "./storage.ts";
import { TEXTS } from "./texts.ts";

export const LANGUAGES = ["en", "de", "fr"] as const;
type Language = (typeof LANGUAGES)[number];

export type Key = keyof typeof TEXTS;
/** Those that come with the first who needs them are not in the page, see src/make/console.ts. */
const here: Partial<Record<Key, readonly [string, ...string[]]>> = TEXTS;

const languageOf = (text: string | undefined): Language | undefined =>
  LANGUAGES.find((one) => text?.toLowerCase().startsWith(one));

export const language = signal<Language>("en");
/** By language, then by key; and `lessons`, by language, then by what a config says. */
let words: Json = {};

/** The language of the visitor, as chosen here before, or as the browser tells it. */
export const preferred = (): Language =>
  languageOf(recall("local", "language")) ??
  navigator.languages.map(languageOf).find((one) => one !== undefined) ??
  "en";

export async function setLanguage(text: string, choose = true): Promise<void> {
  const chosen = languageOf(text) ?? "en";
  if (choose) keep("local", "language", chosen);
  if (chosen !== "en") await loadWords();
  language.value = chosen;
}

/** Those of other languages, and the longer ones of all. English goes on where the server is not there. */
export async function loadWords(): Promise<void> {
  if (isObject(words["en"])) return;
  try {
    const response = await fetch(`${base}console/words.json`);
    if (response.ok) words = objectOf(await response.json());
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
  }
}

/** {@link values} stand for `{0}`, `{1}`. */
export function t(key: Key, ...values: readonly (string | number)[]): string {
  const text = textOf(objectOf(words[language.value])[key]) ?? here[key]?.[0] ?? "";
  return text.replace(/\{(\d)\}/g, (_, i: string) => shown(values[Number(i)]));
}

/** What a config says: where it is one of those that come with the server, in the language of the visitor (see lessons.ts). */
export const told = (text: string): string =>
  textOf(objectOf(objectOf(words["lessons"])[language.value])[text]) ?? text;

/** What comes with the words of other languages besides. */
export const more = (key: string): unknown => words[key];

/** Between thousands. A formatter of the browser's reads its tables first, for longer than all else of a frame takes. */
const GROUP: Readonly<Record<Language, string>> = { en: ",", de: ".", fr: "\u202f" };

/** Numbers are counts. */
const shown = (value: string | number | undefined): string =>
  typeof value === "number"
    ? String(value).replace(/\B(?=(?:\d{3})+$)/g, GROUP[language.value])
    : (value ?? "");
