/** Options of the built-in encoders: checked at boot, read at the start of a task. */
import {
  ENCODER_OPTIONS,
  type EncoderName,
  isLike,
  type Options,
} from "../config/encoder-options.ts";
import { suggestion } from "../config/nearest.ts";

/** One message per problem, each naming the option. */
export function checkOptions(encoder: EncoderName, opts: Record<string, unknown>) {
  const known: Options = ENCODER_OPTIONS[encoder];
  const problems: string[] = [];
  for (const [name, value] of Object.entries(opts)) {
    const option = Object.hasOwn(known, name) ? known[name] : undefined;
    if (option === undefined) {
      const names = Object.keys(known).filter((one) => known[one]?.type !== "ignored");
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
    } else if (option.type === "text") {
      if (!isLike(value, option))
        problems.push(`${name}: must be ${option.like}, not ${JSON.stringify(value)}`);
    } else if (
      option.type === "path" &&
      (typeof value !== "string" || !value.startsWith("/") || value.includes("\0"))
    ) {
      problems.push(`${name}: must be an absolute path, not ${JSON.stringify(value)}`);
    }
  }
  return problems;
}

/** The options without those that mean nothing here, and a notice for each of these. */
export function withoutIgnored(encoder: EncoderName, opts: Record<string, unknown>) {
  const known: Options = ENCODER_OPTIONS[encoder];
  const isIgnored = (name: string) => Object.hasOwn(known, name) && known[name]?.type === "ignored";
  return {
    opts: Object.fromEntries(Object.entries(opts).filter(([name]) => !isIgnored(name))),
    notices: Object.keys(opts)
      .filter(isIgnored)
      .map((name) => `${name}: means nothing to the encoder ${encoder}`),
  };
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
