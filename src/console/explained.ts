/** What the server says of a sandbox, in the language of the visitor: see explained-words.ts. */
import { listOf, objectOf, textOf } from "./json.ts";
import { patternOf } from "./pattern.ts";
import { language, more } from "./text.ts";

export function inWords(text: string): string {
  const words = objectOf(more("explained"));
  const here = listOf(words[language.value]);
  for (const [i, one] of listOf(words["en"]).entries()) {
    const found = patternOf(textOf(one) ?? "").exec(text);
    const other = textOf(here[i]);
    if (!found || other === undefined) continue;
    let part = 1;
    return other.replaceAll("{}", () => found[part++] ?? "");
  }
  return text;
}
