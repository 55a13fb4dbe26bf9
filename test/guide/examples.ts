/** What of a guide can be tried: its blocks of code, and what each of them is. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { blocksOf } from "../../src/guide/markdown.ts";

const root = join(import.meta.dir, "../..");

/** The README, and all that is written by hand or generated in config/guide. */
export const PAGES: readonly string[] = [
  "README.md",
  ...[...new Bun.Glob("config/guide/*.md").scanSync({ cwd: root })].toSorted(),
];

export interface Example {
  /** Such as `access.md:12 sh`. */
  readonly name: string;
  readonly language: string;
  /** What follows the language: of JSON the place in a config where it belongs. */
  readonly place: string;
  readonly code: string;
  /** The file that the sentence above names. */
  readonly file: string | undefined;
  /** It says in its first line that it needs something that is not here. */
  readonly elsewhere: boolean;
}

/** The last words above a block that is a file: "…, `my.json`:". */
const FILE = /`([\w.-]+\.\w+)`:$/;
const ELSEWHERE = /^# (On the board|On your machine|In the container|With systemd)\b.*:$/m;

export const textOf = (page: string): string => readFileSync(join(root, page), "utf8");

export function examplesOf(page: string): Example[] {
  const blocks = blocksOf(textOf(page));
  return blocks.flatMap((block, index) => {
    if (block.kind !== "code") return [];
    const above = blocks[index - 1];
    const sentence = above && "text" in above ? above.text : "";
    const [language = "", place = ""] = block.info.split(" ");
    return [
      {
        name: `${basename(page)}:${block.line} ${block.info}`,
        ...{ language, place, code: block.code },
        file: FILE.exec(sentence)?.[1],
        elsewhere: ELSEWHERE.test(block.code.split("\n", 1)[0] ?? ""),
      },
    ];
  });
}

export interface Typed {
  readonly command: string;
  readonly answer: string;
}

/** Of a block of language console: what is typed behind `$`, and what is answered. */
export function typed(code: string): Typed[] {
  return `\n${code}`
    .split("\n$ ")
    .slice(1)
    .map((part) => {
      const lines = part.split("\n");
      const end = lines.findIndex((line) => !line.endsWith("\\"));
      return {
        command: lines.slice(0, end + 1).join("\n"),
        answer: lines.slice(end + 1).join("\n"),
      };
    });
}

/** Whether that was answered: `…` stands for anything within a line, and alone in one for any lines. */
export function answers(answer: string, output: string): boolean {
  const pattern = answer
    .trimEnd()
    .split("\n")
    .map((line) => (line === "…" ? "[^]*" : line.split("…").map(RegExp.escape).join(".*")))
    .join("\n");
  return new RegExp(`^${pattern}$`).test(output.replaceAll("\r\n", "\n").trimEnd());
}
