/** Mistakes that are none: what they change makes no difference that could be seen. Each has been looked at. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Equivalent {
  readonly file: string;
  /** As it is printed of a mistake that nobody noticed. */
  readonly change: string;
  readonly reason: string;
}

export const equivalents = JSON.parse(
  readFileSync(join(import.meta.dir, "equivalent.json"), "utf8"),
) as readonly Equivalent[];
