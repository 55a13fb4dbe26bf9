/**
 * Argument templates: parsed at boot, filled at request time. See CONFIG.md, "command".
 *
 * `%name%` must be given, `?name?` may be; `%%` and `??` are a literal `%` and `?`. A name begins with a letter, ends with a
 * letter or digit, and has letters, digits, `_`, `.` or `-` between; what the config declares may also begin with `_` and end
 * with any of these. A `%` or `?` that opens no such form is itself, so `50%`, `%20`, `+%Y-%m-%d`, `%s-%s` and
 * `http://host/a?b=c` need no escape; what looks like a placeholder does: `a??b??c`, `+%%H%%M`.
 */
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import { isWritten } from "../numbers.ts";
import { textOf } from "./argument.ts";
import { pathIn, placeholder } from "./secrets.ts";

/** One piece of one argv element. */
export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "value"; readonly name: string; readonly required: boolean }
  /** What is in the file, when it is launched. */
  | { readonly kind: "file"; readonly path: string };

/** argv[0] is the path of the program. Each element is a list of pieces that fill exactly one argv element. */
export interface ArgvTemplate {
  readonly elements: readonly (readonly Piece[])[];
  /** Every name that may be given. */
  readonly names: ReadonlySet<string>;
  /** Elements, by number, that are left out where one of their optional values is not given. */
  readonly omitted?: ReadonlySet<number>;
  /** Files that a launch reads: in what {@link fill} makes, placeholders stand for them. */
  readonly files?: readonly string[];
}

/** One element of a command line as a config has it. */
export type Arg =
  | string
  | {
      readonly arg?: string | undefined;
      readonly file?: string | undefined;
      readonly omit?: boolean | undefined;
    };

/** Templates that cannot work; paths are relative to the command's `exec`: `cmdpath`, `args[2]`. */
export class TemplateError extends Error {
  constructor(readonly faults: readonly { readonly path: string; readonly message: string }[]) {
    super(faults.map(({ path, message }) => `${path}: ${message}`).join("; "));
    this.name = "TemplateError";
  }
}

/** The kernel's MAX_ARG_STRLEN: one string with its NUL. execve(2), "Limits on size of arguments and environment". */
const MAX_ELEMENT_BYTES = 128 * 1024;
/** A quarter of the usual 8 MiB stack limit is for arguments and environment; the rest is left to the environment. */
const MAX_TOTAL_BYTES = 2 * 1024 * 1024 - MAX_ELEMENT_BYTES;
const POINTER_BYTES = 8;

const MARK = /%%|\?\?|%([A-Za-z_][\w.-]*)%|\?([A-Za-z_][\w.-]*)\?/g;
const NAME = /^[A-Za-z](?:[\w.-]*[A-Za-z0-9])?$/;

/**
 * Parses a command line. `expand` replaces `$NAME` and is given literal text only, so that neither a variable can
 * bring in a placeholder nor a request a variable.
 * @param declared names that the config declares elsewhere: these are names, whatever they end with
 * @throws TemplateError with every fault. The path takes no placeholder: a request must not choose the program.
 */
export function parseTemplate(
  cmdpath: string,
  args: readonly Arg[],
  expand: (text: string) => string,
  declared: ReadonlySet<string> = new Set(),
): ArgvTemplate {
  const faults: { path: string; message: string }[] = [];
  const parse = (source: string, path: string): Piece[] => {
    try {
      const pieces = parsePieces(source, expand, declared);
      const literal = pieces.map((piece) => (piece.kind === "text" ? piece.text : "")).join("");
      if (literal.includes("\0")) faults.push({ path, message: "contains a NUL character" });
      if (!literal.isWellFormed())
        faults.push({ path, message: "contains half of a surrogate pair" });
      return pieces;
    } catch (error) {
      faults.push({ path, message: error instanceof Error ? error.message : String(error) });
      return [];
    }
  };

  const program = parse(cmdpath, "cmdpath");
  if (faults.length === 0) {
    const [first] = program;
    if (program.some(({ kind }) => kind === "value")) {
      const message = "takes no %name% or ?name?: a request must not choose the program";
      faults.push({ path: "cmdpath", message });
    } else if (first?.kind !== "text" || !first.text.startsWith("/")) {
      const path = first?.kind === "text" ? first.text : "";
      faults.push({ path: "cmdpath", message: `expected an absolute path, found \`${path}\`` });
    }
  }
  const fileIn = (file: string | undefined, i: number): Piece[] => {
    if (file === undefined) return [];
    try {
      return [{ kind: "file", path: pathIn(expand(file), "file") }];
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      faults.push({ path: `args[${i}].file`, message });
      return [];
    }
  };
  const omitted = new Set<number>();
  const elements = [
    program,
    ...args.map((arg, i) => {
      if (typeof arg === "string") return parse(arg, `args[${i}]`);
      const pieces = [...parse(arg.arg ?? "", `args[${i}].arg`), ...fileIn(arg.file, i)];
      if (arg.omit !== true) return pieces;
      omitted.add(i + 1);
      if (!pieces.some(isOptional)) {
        const message = "it has no ?name?, so it would never be left out: take omit away";
        faults.push({ path: `args[${i}].omit`, message });
      }
      return pieces;
    }),
  ];
  if (faults.length > 0) throw new TemplateError(faults);
  const names = elements.flat().flatMap((piece) => (piece.kind === "value" ? [piece.name] : []));
  const files = elements.flat().flatMap((piece) => (piece.kind === "file" ? [piece.path] : []));
  return {
    ...{ elements, names: new Set(names) },
    ...(omitted.size > 0 && { omitted }),
    ...(files.length > 0 && { files: [...new Set(files)] }),
  };
}

const isOptional = (piece: Piece): boolean => piece.kind === "value" && !piece.required;

function parsePieces(
  source: string,
  expand: (text: string) => string,
  declared: ReadonlySet<string>,
): Piece[] {
  const pieces: Piece[] = [];
  let literal = "";
  let end = 0;
  const flush = () => {
    const text = expand(literal);
    if (text !== "") pieces.push({ kind: "text", text });
    literal = "";
  };
  MARK.lastIndex = 0;
  for (let match = MARK.exec(source); match; match = MARK.exec(source)) {
    const [whole, mandatory, optional] = match;
    literal += source.slice(end, match.index);
    end = match.index + whole.length;
    const name = mandatory ?? optional;
    if (name === undefined) {
      literal += whole.charAt(0);
    } else if (!NAME.test(name) && !declared.has(name)) {
      // The mark behind it may open another.
      literal += whole.slice(0, -1);
      MARK.lastIndex = --end;
    } else {
      flush();
      pieces.push({ kind: "value", name, required: mandatory !== undefined });
    }
  }
  literal += source.slice(end);
  flush();
  return pieces;
}

/**
 * The argv of one request: as many elements as the template has, each value inside its own. `allowDash` names the
 * values that may begin an element with `-`; any other could smuggle an option into the command.
 * @throws AfbError "invalid-request" naming every argument that is missing, unknown or unfit.
 */
export function fill(
  template: ArgvTemplate,
  args: unknown,
  allowDash: ReadonlySet<string> = new Set(),
): string[] {
  const given = argumentsOf(template, args);
  const faults = new Set<string>();
  const texts = new Map<string, string>();
  for (const piece of template.elements.flat()) {
    if (piece.kind !== "value") continue;
    const value = given.get(piece.name);
    if (value === undefined || value === null) {
      if (piece.required) faults.add(`argument \`${piece.name}\` is missing`);
    } else if (!texts.has(piece.name)) {
      const text = textOf(value);
      if (typeof text === "string") texts.set(piece.name, text);
      else faults.add(`argument \`${piece.name}\` ${text.fault}`);
    }
  }

  let total = 0;
  const isMissing = (piece: Piece): boolean => isOptional(piece) && !texts.has(nameOf(piece));
  const argv = template.elements.flatMap((pieces, i) => {
    if (template.omitted?.has(i) && pieces.some(isMissing)) return [];
    let element = "";
    for (const piece of pieces) {
      const text = literalOf(piece) ?? texts.get(nameOf(piece)) ?? "";
      const opens = element === "" && text.startsWith("-");
      if (opens && piece.kind === "value" && !allowDash.has(piece.name))
        faults.add(dash(piece.name));
      element += text;
    }
    const bytes = Buffer.byteLength(element) + 1;
    total += bytes + POINTER_BYTES;
    if (bytes > MAX_ELEMENT_BYTES) faults.add(tooLong(pieces, bytes - 1));
    return element;
  });
  if (total > MAX_TOTAL_BYTES) {
    faults.add(
      `the arguments take ${total} bytes together; at most ${MAX_TOTAL_BYTES} can be passed`,
    );
  }
  if (faults.size > 0) throw new AfbError("invalid-request", [...faults].join("; "));
  return argv;
}

/** undefined for a value of the request. */
function literalOf(piece: Piece): string | undefined {
  if (piece.kind === "text") return piece.text;
  return piece.kind === "file" ? placeholder(piece.path) : undefined;
}

const nameOf = (piece: Piece): string => (piece.kind === "value" ? piece.name : "");

/** What the request gives, by name: own properties only, so that `constructor` is not given by every object. */
function argumentsOf(template: ArgvTemplate, args: unknown): ReadonlyMap<string, unknown> {
  const known = [...template.names].join(", ");
  if (args === undefined || args === null) return new Map();
  if (typeof args !== "object" || Array.isArray(args) || isWritten(args)) {
    const message =
      known === "" ? "takes no arguments" : `expects an object with the keys ${known}`;
    throw new AfbError("invalid-request", `the command ${message}`);
  }
  const given = new Map<string, unknown>(Object.entries(args));
  const unknown = [...given.keys()].filter((name) => !template.names.has(name));
  if (unknown.length > 0) {
    const shown = unknown.slice(0, 5).map((name) => {
      const short = name.length > 40 ? `${name.slice(0, 40)}…` : name;
      return `unknown argument \`${short.toWellFormed()}\`${suggestion(name, template.names)}`;
    });
    const hint = known === "" ? "the command takes no arguments" : `known arguments: ${known}`;
    throw new AfbError("invalid-request", `${shown.join("; ")}; ${hint}`);
  }
  return given;
}

const dash = (name: string): string =>
  `argument \`${name}\` would begin with \`-\` and be taken for an option; ` +
  `the config can allow it: "params": {"${name}": {"allowDash": true}}`;

function tooLong(pieces: readonly Piece[], bytes: number): string {
  const names = pieces.flatMap((piece) => (piece.kind === "value" ? [`\`${piece.name}\``] : []));
  const what = names.length === 0 ? "an argument of the command" : `argument ${names.join(", ")}`;
  return `${what} is too long: ${bytes} bytes, at most ${MAX_ELEMENT_BYTES - 1} can be passed`;
}
