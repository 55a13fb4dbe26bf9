/** Argument templates: parsed at boot, filled at request time. See CONFIG.md, "command". */

/** One piece of one argv element. */
export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "value"; readonly name: string; readonly required: boolean };

/** argv[0] is the path of the program. Each element is a list of pieces that fill exactly one argv element. */
export interface ArgvTemplate {
  readonly elements: readonly (readonly Piece[])[];
  /** Every name that may be given. */
  readonly names: ReadonlySet<string>;
}
