/** Text for man(7), which mandoc and groff both read. */

/** Of a line of input: marks of the language become characters, and no line is a request. */
export const escaped = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("…", "\\[u2026]")
    .replaceAll("–", "\\(en")
    .replaceAll("→", "\\(->")
    .replaceAll("µ", "\\(mc")
    .replace(/^(?=\.)/gm, "\\&");

/** Of a line of input, before marks become longer. */
const WIDTH = 72;

/** Prose, in lines that are filled anew when it is shown. */
export function prose(text: string): string {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1) ?? "";
    if (last !== "" && last.length + word.length < WIDTH)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return escaped(lines.filter((line) => line !== "").join("\n"));
}

/** Paragraphs, with an empty line between two. */
export const paragraphs = (text: string): string =>
  text
    .split("\n\n")
    .map((one) => `.PP\n${prose(one)}`)
    .join("\n");

/** Lines as they are. */
export const verbatim = (lines: readonly string[]): string =>
  [".PP", ".in +4n", ".nf", ...lines.map((line) => escaped(line)), ".fi", ".in"].join("\n");

/** What is told, and what of it. */
export const entry = (term: string, text: string): string =>
  `.TP\n.B ${escaped(term)}\n${prose(text)}`;

export const section = (title: string): string => `.SH ${quoted(title.toUpperCase())}`;
export const subsection = (title: string): string => `.SS ${quoted(title)}`;

const quoted = (text: string): string => `"${escaped(text).replaceAll('"', "\\(dq")}"`;

/** The first lines of a page. @param date as YYYY-MM-DD */
export const head = (
  name: string,
  chapter: number,
  date: string,
  version: string,
  about: string,
): string =>
  [
    `.TH ${name.toUpperCase()} ${chapter} ${date} "spawnbox ${version}"`,
    section("name"),
    `${escaped(name)} \\- ${escaped(about)}`,
  ].join("\n");

/** Below a title a paragraph begins anyway. */
export const page = (parts: readonly string[]): string =>
  `${parts.join("\n").replaceAll(/^(\.S[HS] .*\n)\.PP\n/gm, "$1")}\n`;
