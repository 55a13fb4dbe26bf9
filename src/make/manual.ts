/**
 * `npm run manual`: what packages put below /usr/share besides the executable: pages of the manual and completions, for any
 * architecture. The same sources and date give the same bytes.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hostArch, launcherFile } from "../../ffi/launcher/build.ts";
import { helpOf, type Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { commandLine, UsageError } from "../command-line/usage.ts";
import { SHELLS } from "../manual/completion/shells.ts";
import { configPage, programPage } from "../manual/pages.ts";
import { type Command, commandsOf } from "../manual/program.ts";

const OPTIONS = {
  date: {
    argument: "YYYY-MM-DD",
    text: "of the pages (default: that of SOURCE_DATE_EPOCH, else today)",
  },
} as const;

const manual: Manual = {
  name: "npm run manual --",
  synopsis: ["[OPTIONS] DIR"],
  about:
    "Writes below DIR: man/man1/spawnbox.1, man/man5/spawnbox.json.5, and completions for bash, zsh and fish,\nwhere packages have them below /usr/share.",
  options: OPTIONS,
  exit: "0, 2 wrong usage.",
};

function parse(argv: string[]): { dir: string; date: string } | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const [dir, ...others] = read.positionals;
  if (dir === undefined || others.length > 0) throw new UsageError("name one directory");
  const { date = today() } = read.values;
  if (!/^\d{4}-\d\d-\d\d$/.test(date)) throw new UsageError(`--date ${date}: expected YYYY-MM-DD`);
  return { dir, date };
}

/** https://reproducible-builds.org/specs/source-date-epoch/ */
function today(): string {
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  const time = epoch === undefined ? Date.now() : Number(epoch) * 1000;
  return new Date(time).toISOString().slice(0, 10);
}

/** The program names the launcher of this machine, which a build for another has not made: an empty file stands in for it. */
async function loaded(): Promise<Command[]> {
  const launcher = launcherFile(hostArch);
  const missing = !existsSync(launcher);
  if (missing) {
    mkdirSync(dirname(launcher), { recursive: true });
    writeFileSync(launcher, "");
  }
  try {
    const { SUBCOMMANDS } = await import("../subcommands.ts");
    return await commandsOf(SUBCOMMANDS);
  } finally {
    if (missing) rmSync(launcher);
  }
}

const { dir, date } = commandLine({ name: manual.name, help: helpOf(manual), parse });
const commands = await loaded();
const files = {
  "man/man1/spawnbox.1": programPage(commands, date),
  "man/man5/spawnbox.json.5": configPage(date),
  ...Object.fromEntries(
    Object.values(SHELLS).map(({ file, completion }) => [file, completion(commands)]),
  ),
};
for (const [file, text] of Object.entries(files)) {
  const path = join(dir, file);
  mkdirSync(dirname(path), { recursive: true });
  await Bun.write(path, text);
  console.log(path);
}
