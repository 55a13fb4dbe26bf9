/** How a program, such as a subcommand, reads its command line. Also the reading of `API/VERB [JSON]`, which two share. */
import { helpOf, type Manual } from "../manual/manual.ts";
import { suggestion } from "../config/nearest.ts";
import { parseExact } from "../numbers.ts";
import { jsonErrorAt } from "./json-error.ts";

export class UsageError extends Error {}

export interface Usage<Options> {
  /** As it is called, such as `spawnbox serve`. */
  readonly name: string;
  readonly help: string;
  /** undefined for --help. Throws UsageError, or TypeError as parseArgs does, for wrong usage. */
  readonly parse: (argv: string[]) => Options | undefined;
}

/** The options; or prints the help, exit code 0, or what is wrong with the command line, 2. */
function read<Options>(
  { name, help, parse }: Usage<Options>,
  argv: string[],
): { options: Options } | { exitCode: number } {
  try {
    const options = parse(argv);
    if (options) return { options };
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof TypeError)) throw error;
    // The whole help would push what is wrong off the screen.
    const [synopsis] = help.split("\n\n", 1);
    console.error(`${name}: ${said(error.message, help)}\n\n${synopsis}\n--help tells more.`);
    return { exitCode: 2 };
  }
  console.log(help);
  return { exitCode: 0 };
}

/** Works with the options, if there are any. Returns the exit code. */
export async function withOptions<Options>(
  manual: Manual,
  parse: Usage<Options>["parse"],
  argv: string[],
  work: (options: Options) => number | Promise<number>,
): Promise<number> {
  const found = read({ name: manual.name, help: helpOf(manual), parse }, argv);
  return "options" in found ? work(found.options) : found.exitCode;
}

/** The options of the program that is run; without any, it ends here. */
export function commandLine<Options>(usage: Usage<Options>): Options {
  const found = read(usage, process.argv.slice(2));
  if ("exitCode" in found) process.exit(found.exitCode);
  return found.options;
}

/** What parseArgs finds wrong, with what was probably meant instead of how it would be right in other programs. */
function said(message: string, help: string): string {
  const option = /^Unknown option '(-[^']*)'/.exec(message)?.[1];
  if (option !== undefined) {
    // Such as the JSON value -1.
    if (/^-[\d.]/.test(option))
      return `unknown option ${option}; as an argument, it stands after --`;
    return `unknown option ${option}${suggestion(option, help.match(/--[a-z-]+/g) ?? [])}`;
  }
  const file = /^Unexpected argument '(.*)'\. This command does not/s.exec(message)?.[1];
  if (file === undefined) return message;
  const meant = help.includes("--config PATH") ? `; did you mean \`--config ${file}\`?` : "";
  return `unexpected argument ${file}${meant}`;
}

/** Method and arguments of a call as given on the command line. */
export function parseCall(positionals: readonly string[]): { method: string; args: unknown } {
  const [method, json, ...rest] = positionals;
  if (method === undefined) throw new UsageError("say which verb: API/VERB");
  if (!/^[^/]+\/./.test(method)) throw new UsageError(`"${method}" is not API/VERB`);
  if (rest.length > 0) throw new UsageError(`too many arguments: quote the JSON`);
  return { method, args: json === undefined ? null : parseJson(json) };
}

function parseJson(text: string): unknown {
  const offset = jsonErrorAt(text);
  if (offset === undefined) return parseExact(text);
  const rest = text.slice(offset, offset + 20);
  const found = rest === "" ? "it ends too early" : `unexpected ${rest}`;
  throw new UsageError(`the argument is not JSON: at character ${offset + 1}: ${found}`);
}
