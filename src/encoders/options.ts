/** Options of the built-in encoders: what each may be, checked at boot, read at the start of a task. None limits anything unless it is set. */
import { suggestion } from "../config/nearest.ts";

export type Option =
  | {
      readonly type: "integer";
      readonly min: number;
      readonly max: number;
    }
  | { readonly type: "flag" }
  | { readonly type: "word"; readonly words: readonly string[] }
  | { readonly type: "path" };

export type Options = Readonly<Record<string, Option>>;

/** Most UTF-16 units of a line; 3 is a surrogate pair and the `\` of a cut. */
export const LINE_LENGTH = { type: "integer", min: 3, max: 1 << 20 } as const;

/** Most lines that are kept of each stream. */
export const LINE_COUNT = { type: "integer", min: 1, max: 1 << 20 } as const;

/** One message per problem, each naming the option. */
export function checkOptions(encoder: string, known: Options, opts: Record<string, unknown>) {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(opts)) {
    const option = Object.hasOwn(known, name) ? known[name] : undefined;
    if (option === undefined) {
      const names = Object.keys(known);
      problems.push(
        `${name}: the encoder ${encoder} has no such option${suggestion(name, names)} (it has ${names.join(", ")})`,
      );
    } else if (option.type === "integer") {
      const fits =
        Number.isInteger(value) && Number(value) >= option.min && Number(value) <= option.max;
      if (!fits) {
        problems.push(
          `${name}: must be a whole number from ${option.min} to ${option.max}, not ${JSON.stringify(value)}`,
        );
      }
    } else if (option.type === "flag") {
      if (typeof value !== "boolean") {
        problems.push(`${name}: must be true or false, not ${JSON.stringify(value)}`);
      }
    } else if (option.type === "word") {
      if (typeof value !== "string" || !option.words.includes(value)) {
        const words = option.words.join(", ");
        problems.push(`${name}: must be one of ${words}, not ${JSON.stringify(value)}`);
      }
    } else if (typeof value !== "string" || !value.startsWith("/") || value.includes("\0")) {
      problems.push(`${name}: must be an absolute path, not ${JSON.stringify(value)}`);
    }
  }
  return problems;
}

/** The value of a checked option; undefined where it is not set. */
export function integer(opts: Record<string, unknown>, name: string): number | undefined {
  const value = opts[name];
  return typeof value === "number" ? value : undefined;
}

/** As {@link integer}. */
export function flag(opts: Record<string, unknown>, name: string): boolean | undefined {
  const value = opts[name];
  return typeof value === "boolean" ? value : undefined;
}

/** As {@link integer}. */
export function word(opts: Record<string, unknown>, name: string): string | undefined {
  const value = opts[name];
  return typeof value === "string" ? value : undefined;
}
