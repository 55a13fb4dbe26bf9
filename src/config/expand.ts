/** `$NAME` and `${NAME}` in the texts of a config, replaced once at boot. */
import { nearest } from "./nearest.ts";

/** The variables that one text may use. */
export interface Scope {
  /** The value, or undefined when unset. */
  lookup(name: string): string | undefined;
  /** Every name that is set, for suggestions. */
  names(): Iterable<string>;
}

/** A text that cannot be expanded; the message tells the culprits. */
export class ExpandError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(faults.join("; "));
    this.name = "ExpandError";
  }
}

// A name ends where the next one begins: else many braces without an end would cost quadratic time.
const REFERENCE = /\$(?:\$|\{([^{}$]*)\}|(\{)|([A-Za-z_][A-Za-z0-9_]*))/g;
/** Of one text. Who has mended these sees the next. */
const MOST_FAULTS = 20;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Replaces each `$NAME` and `${NAME}` by its value; values are not looked at again. `$$` is a `$`, and so is a `$`
 * before anything but a name or a brace, such as `$1` or `$(`.
 * @throws ExpandError naming the variables that are unset, with the nearest one that is set.
 */
export function expand(text: string, scope: Scope): string {
  // Most have none, and there are thousands.
  if (!text.includes("$")) return text;
  const faults: string[] = [];
  const expanded = text.replace(
    REFERENCE,
    (whole, braced: string | undefined, open: string | undefined, bare: string | undefined) => {
      const name = braced ?? bare;
      if (name === undefined && open === undefined) return "$";
      if (faults.length >= MOST_FAULTS) return whole;
      if (name === undefined || !NAME.test(name)) {
        faults.push(`\`${whole}\` is not a variable: write \${NAME}, or $$ for a literal $`);
        return whole;
      }
      const value = scope.lookup(name);
      if (value !== undefined) return value;
      const near = nearest(name, scope.names());
      const hint = near === undefined ? "set it in the environment" : `did you mean \`$${near}\``;
      faults.push(`the variable \`$${name}\` is not set; ${hint}, or write $$ for a literal $`);
      return whole;
    },
  );
  if (faults.length > 0) throw new ExpandError(faults);
  return expanded;
}
