/** What a subcommand says of itself: the text of --help, the page of the manual and the completions are made from it. */
import { optionLines, type Options } from "./options.ts";

export interface Manual<Table extends Options = Options> {
  /** As it is called, such as `spawnbox serve`. */
  readonly name: string;
  /** What follows the name, in each way of calling it. */
  readonly synopsis: readonly string[];
  /** What it does: paragraphs, with an empty line between two. */
  readonly about: string;
  readonly options: Table;
  /** What else there is to know: paragraphs. */
  readonly notes?: string;
  readonly exit: string;
  /** Command lines. */
  readonly examples?: readonly string[];
  /** What stands there besides options may be one of these words, or a file. */
  readonly operands?: { readonly words?: readonly string[]; readonly path?: "file" };
}

export function helpOf({ name, synopsis, about, options, notes, exit, examples }: Manual): string {
  const usage = synopsis.map((how, index) => {
    const start = index === 0 ? "usage:" : "      ";
    return `${start} ${name} ${how}`.trimEnd();
  });
  const parts = [usage.join("\n"), about, optionLines(options)];
  if (notes !== undefined) parts.push(notes);
  parts.push(`Exit code: ${exit}`);
  if (examples) parts.push(["Examples:", ...examples.map((line) => `  ${line}`)].join("\n"));
  return parts.join("\n\n");
}
