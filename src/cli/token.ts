/** `spawnbox token`: a new token, and the grant that makes it worth something. */
import { hashOf, makeToken } from "../access/token.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  info: { argument: "TEXT", text: "who or what the token is for" },
} as const;

export const manual: Manual = {
  name: "spawnbox token",
  synopsis: ["[--info TEXT] [PRIVILEGE...]"],
  about: `Makes a random token of 256 bits. Prints it on the first line, to be handed to a caller: it is kept nowhere else. The
second line is the grant for the access file (serve --access), which only knows the token's hash.`,
  options: OPTIONS,
  notes: `The privilege "*" is all of them. Callers present the token as "Authorization: Bearer TOKEN", as the fifth element of a
WebSocket call, or with spawnbox call --token-file FILE.`,
  exit: "0, or 2 for wrong usage.",
};

/** Exit code: 0, or 2 for wrong usage. */
export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, make);

interface Options {
  readonly info: string | undefined;
  readonly privileges: readonly string[];
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  if (positionals.includes("")) throw new UsageError("a privilege is not empty");
  return { info: values.info, privileges: positionals };
}

function make({ info, privileges }: Options): number {
  const token = makeToken();
  const grant = { ...(info !== undefined && { info }), token: hashOf(token), privileges };
  console.log(`${token}\n${JSON.stringify(grant)}`);
  if (privileges.length === 0)
    console.error("spawnbox token: it grants nothing yet: add privileges");
  return 0;
}
