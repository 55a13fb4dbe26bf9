/** How a subcommand reads its command line. Also the reading of `API/VERB [JSON]`, which two share. */
import { jsonErrorAt } from "./json-error.ts";

export class UsageError extends Error {}

export interface Usage<Options> {
  /** As it is called. */
  readonly name: string;
  readonly help: string;
  /** undefined for --help. Throws UsageError, or TypeError as parseArgs does, for wrong usage. */
  readonly parse: (argv: string[]) => Options | undefined;
}

/** Works with the options; or prints the help, exit code 0, or what is wrong with it, 2. Returns the exit code. */
export async function withOptions<Options>(
  { name, help, parse }: Usage<Options>,
  argv: string[],
  work: (options: Options) => number | Promise<number>,
): Promise<number> {
  let options: Options | undefined;
  try {
    options = parse(argv);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof TypeError)) throw error;
    // Of an unknown option parseArgs says at length how it would be no option.
    const [what] = error.message.split(". To specify a positional argument");
    console.error(`spawnbox ${name}: ${what}\n\n${help}`);
    return 2;
  }
  if (options) return work(options);
  console.log(help);
  return 0;
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
  if (offset === undefined) return JSON.parse(text);
  const rest = text.slice(offset, offset + 20);
  const found = rest === "" ? "it ends too early" : `unexpected ${rest}`;
  throw new UsageError(`the argument is not JSON: at character ${offset + 1}: ${found}`);
}
