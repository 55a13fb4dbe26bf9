/** The options of a program as data: read from a command line, told by --help, completed by shells, and listed in the man page. */
import { suggestion } from "../config/nearest.ts";

export interface Option {
  /** What follows it, such as `PATH`; without, it is a switch. */
  readonly argument?: string;
  /** The argument may be left out, and is "" then: what follows is one only where it looks like this. `--name=` takes anything. */
  readonly omissible?: RegExp;
  readonly short?: string;
  /** May be given several times. */
  readonly repeatable?: true;
  /** May be given several times, and is one text then, with this between them. */
  readonly joined?: string;
  /** A second one is wrong, rather than the one that counts. */
  readonly once?: true;
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
 * @returns undefined for --help. @throws TypeError: wrong usage
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
  const line = new Line({ ...table, help: HELP }, args, allowPositionals);
  if (line.values.has("help")) return undefined;
  const found = Object.fromEntries(
    Object.entries(table).map(([name, { argument, repeatable }]) => [
      name,
      line.values.get(name) ?? (repeatable ? [] : argument === undefined ? false : undefined),
    ]),
  );
  return { values: found as Values<Table>, positionals: line.operands };
}

/**
 * A command line as parseArgs of node:util reads it when it is strict, which takes a twentieth of a start to be there; and what is
 * wrong with it in words of ours. See also XBD 12.2 of POSIX: what is a single dash, or stands behind `--`, is an operand.
 */
class Line {
  /** By long name; true of a switch. */
  readonly values = new Map<string, string | true | string[]>();
  readonly operands: string[] = [];
  readonly #rest: string[];

  constructor(
    readonly options: Options,
    args: readonly string[],
    readonly takesOperands: boolean,
  ) {
    this.#rest = [...args];
    for (let arg = this.#rest.shift(); arg !== undefined; arg = this.#rest.shift()) {
      if (arg === "--") for (const operand of this.#rest.splice(0)) this.#operand(operand);
      else if (arg.startsWith("--")) this.#long(arg);
      else if (arg.startsWith("-") && arg.length > 1) this.#short(arg);
      else this.#operand(arg);
    }
  }

  #operand(arg: string): void {
    if (this.takesOperands) return void this.operands.push(arg);
    const meant = Object.hasOwn(this.options, "config")
      ? `; did you mean \`--config ${arg}\`?`
      : "";
    throw new TypeError(`unexpected argument ${arg}${meant}`);
  }

  /** `--name` or `--name=value` */
  #long(arg: string): void {
    const equals = arg.indexOf("=", 3);
    const [shown, value] = equals < 0 ? [arg] : [arg.slice(0, equals), arg.slice(equals + 1)];
    this.#take(shown.slice(2), shown, value);
  }

  /** Switches, and behind them one that takes an argument, which may be the rest of it: `-abfFILE` */
  #short(arg: string): void {
    for (let at = 1; at < arg.length; at++) {
      const letter = arg.charAt(at);
      const [name = "", option] =
        Object.entries(this.options).find(([, { short }]) => short === letter) ?? [];
      const isLast = option?.argument !== undefined || at + 1 === arg.length;
      const value = isLast && at + 1 < arg.length ? arg.slice(at + 1) : undefined;
      this.#take(name, option || at > 1 ? `-${letter}` : arg, value);
      if (isLast) return;
    }
  }

  #take(name: string, shown: string, value: string | undefined): void {
    const option = Object.hasOwn(this.options, name) ? this.options[name] : undefined;
    if (!option) throw new TypeError(`unknown option ${shown}${this.#meant(shown)}`);
    const { argument, repeatable, joined, once } = option;
    if (argument === undefined) {
      if (value !== undefined) throw new TypeError(`option ${shown} takes no argument`);
      this.values.set(name, true);
      return;
    }
    const given = value ?? this.#following(shown, option);
    const before = this.values.get(name);
    // Mostly a variable that is not set: what it should have named would be left out. Alone, it is as if it were not there.
    if (joined !== undefined && before !== undefined && (before === "" || given === ""))
      throw new TypeError(
        `option ${shown} is given twice, once with nothing: ${argument} is empty`,
      );
    if (once && before !== undefined) throw new TypeError(`option ${shown} is given twice`);
    if (repeatable) this.values.set(name, Array.isArray(before) ? [...before, given] : [given]);
    else if (joined !== undefined && before !== undefined)
      this.values.set(name, `${String(before)}${joined}${given}`);
    else this.values.set(name, given);
  }

  #following(shown: string, { argument, omissible }: Option): string {
    const [next] = this.#rest;
    if (omissible) return omissible.test(next ?? "") ? (this.#rest.shift() ?? "") : "";
    if (next === undefined) throw new TypeError(`option ${shown}: ${argument} is missing`);
    if (next.startsWith("-") && next.length > 1) {
      const joined = `${shown}${shown.startsWith("--") ? "=" : ""}${next}`;
      throw new TypeError(
        `option ${shown}: ${argument} is missing; if it is ${next}, say ${joined}`,
      );
    }
    this.#rest.shift();
    return next;
  }

  #meant(shown: string): string {
    // Such as the JSON value -1.
    if (/^-[\d.]/.test(shown)) return "; as an argument, it stands after --";
    return suggestion(
      shown,
      Object.keys(this.options).map((name) => `--${name}`),
    );
  }
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
