/** The options of a program as data: read from a command line, told by --help, completed by shells, and listed in the man page. */
import { parseArgs } from "node:util";

export interface Option {
  /** What follows it, such as `PATH`; without, it is a switch. */
  readonly argument?: string;
  /** The argument may be left out, and is "" then: what follows is one only where it looks like this. `--name=` takes anything. */
  readonly omissible?: RegExp;
  readonly short?: string;
  /** May be given several times. */
  readonly repeatable?: true;
  /** Lines are broken where --help is printed. */
  readonly text: string;
  /** What the argument may be, for shells: words that it can be, besides files or directories. */
  readonly words?: readonly string[];
  readonly path?: "file" | "directory";
}

/** By long name, without dashes. */
export type Options = Readonly<Record<string, Option>>;

type Value<One extends Option> = One extends { argument: string }
  ? One extends { repeatable: true }
    ? string[]
    : string | undefined
  : boolean;
export type Values<Table extends Options> = { [Name in keyof Table]: Value<Table[Name]> };

/** Every program has it. */
export const HELP: Option = { short: "h", text: "this text" };

/**
 * What a command line says. Switches that are not there are false, what may be repeated is a list.
 * @returns undefined for --help. @throws TypeError, which is wrong usage, as parseArgs does
 */
export function readOptions<const Table extends Options>(
  table: Table,
  args: readonly string[],
): Values<Table> | undefined {
  return readWithOperands(table, args, false)?.values;
}

/** With what stands there besides options. */
export function readWithOperands<const Table extends Options>(
  table: Table,
  args: readonly string[],
  allowPositionals = true,
): { values: Values<Table>; positionals: string[] } | undefined {
  const all: Options = { ...table, help: HELP };
  const { values, positionals } = parseArgs({
    args: completed(table, args),
    allowPositionals,
    options: Object.fromEntries(
      Object.entries(all).map(([name, { argument, short, repeatable }]) => [
        name,
        {
          type: argument === undefined ? ("boolean" as const) : ("string" as const),
          ...(short !== undefined && { short }),
          ...(repeatable && { multiple: true }),
        },
      ]),
    ),
  });
  if (values["help"] === true) return undefined;
  const found = Object.fromEntries(
    Object.entries(table).map(([name, { argument, repeatable }]) => [
      name,
      values[name] ?? (repeatable ? [] : argument === undefined ? false : undefined),
    ]),
  );
  return { values: found as Values<Table>, positionals };
}

/** With an empty argument where one is left out: parseArgs takes whatever follows. */
function completed(table: Options, args: readonly string[]): string[] {
  const end = args.indexOf("--");
  return args.map((arg, at) => {
    const { omissible } = (arg.startsWith("--") && table[arg.slice(2)]) || {};
    if (!omissible || (end >= 0 && at > end)) return arg;
    return omissible.test(args[at + 1] ?? "") ? arg : `${arg}=`;
  });
}

/** Of a line of --help. */
const WIDTH = 120;

/** Such as `-o, --output FILE`. */
export function written(name: string, { argument, omissible, short }: Option): string {
  const value = argument === undefined ? "" : omissible ? ` [${argument}]` : ` ${argument}`;
  return `${short === undefined ? "" : `-${short}, `}--${name}${value}`;
}

/** A line for each option, longer texts broken, in the order of the table. */
export function optionLines(table: Options): string {
  const rows = Object.entries({ ...table, help: HELP }).map(
    ([name, option]) => [written(name, option), option.text] as const,
  );
  const column = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.map(([left, text]) => `  ${left}`.padEnd(column) + broken(text, column)).join("\n");
}

/** Every line but the first begins at the column. */
function broken(text: string, column: number): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    const line = lines[last] ?? "";
    if (line === "") lines[last] = word;
    else if (column + line.length + 1 + word.length <= WIDTH) lines[last] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join(`\n${" ".repeat(column)}`);
}
