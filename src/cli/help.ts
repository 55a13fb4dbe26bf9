/** `spawnbox help`: the guides, since a board may have no network. */
import { guideOf, perhaps, SUBJECTS, titleOf } from "../guide/guides.ts";
import { page, pagerOf } from "../guide/pager.ts";
import { type Look, terminalText } from "../guide/terminal.ts";
import { helpOf, type Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { printText } from "../command-line/print.ts";
import type { Subcommands } from "../manual/subcommand.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

export const manual: Manual = {
  name: "spawnbox help",
  synopsis: ["[SUBJECT | SUBCOMMAND]"],
  about: `Shows a guide, page by page on a terminal (by PAGER, less or more), or the options of a subcommand. Without a subject,
all there are.`,
  options: {},
  exit: "0, 2 when there is no such guide.",
  operands: { words: SUBJECTS },
};

export const run = (argv: string[], all: Subcommands): Promise<number> =>
  withOptions(manual, parse, argv, ({ subject }) => show(subject, all));

function parse(argv: string[]): { subject: string | undefined } | undefined {
  const read = readWithOperands({}, argv);
  if (!read) return undefined;
  const [subject, ...others] = read.positionals;
  if (others.length > 0) throw new UsageError("name one subject");
  // As links to other guides have it.
  return { subject: subject?.replace(/\.md$/, "") };
}

async function show(subject: string | undefined, all: Subcommands): Promise<number> {
  if (subject === undefined) {
    console.log(
      `Guides, each shown by spawnbox help SUBJECT:\n\n${subjects()}\n\nspawnbox --help lists the subcommands.`,
    );
    return 0;
  }
  const guide = guideOf(subject);
  if (guide !== undefined) {
    await showText((look) => terminalText(guide, look));
    return 0;
  }
  const subcommand = Object.hasOwn(all, subject) ? all[subject] : undefined;
  if (subcommand) {
    console.log(helpOf((await subcommand.load()).manual));
    return 0;
  }
  const found = perhaps(subject).map((name) => `spawnbox help ${name}`);
  const hint = found.length > 0 ? `; perhaps ${found.join(", ")}` : "";
  console.error(
    `spawnbox help: there is no guide ${JSON.stringify(subject)}${hint}\n\n${subjects()}`,
  );
  return 2;
}

const subjects = (): string =>
  SUBJECTS.map((subject) => `  ${subject.padEnd(11)} ${titleOf(subject)}`).join("\n");

/** Of lines that no terminal breaks. */
const WIDTH = 100;

async function showText(render: (look: Look) => string): Promise<void> {
  const { env, stdout } = process;
  if (!stdout.isTTY) {
    printText(render({ width: WIDTH, escapes: false }));
    return;
  }
  const escapes = env["TERM"] !== "dumb" && !env["NO_COLOR"];
  const text = render({ width: stdout.columns || WIDTH, escapes });
  const pager = pagerOf(env, Bun.which);
  if (pager === undefined || !(await page(text, pager, env))) printText(text);
}
