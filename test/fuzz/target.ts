/** What is fuzzed: a maker of inputs, and a check that throws where an input shows a bug. */

/** Plain JSON, so that an input can be kept as a seed, and made smaller without knowing what it means. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Random {
  /** A whole number from 0 up to, but not including, `limit`. */
  below(limit: number): number;
  pick<T>(choices: readonly [T, ...T[]]): T;
  /** True once in `times`. */
  once(times: number): boolean;
  list<T>(most: number, make: () => T): T[];
}

export interface Target {
  readonly name: string;
  /** Undefined where this machine can run it; else what is missing. */
  missing?(): string | undefined;
  make(random: Random): Json;
  /** Must not depend on anything but the input. Throws when there is a bug. */
  check(input: Json): void | Promise<void>;
}

/** A bug, told with what was seen. */
export function demand(right: boolean, what: string, ...seen: readonly unknown[]): void {
  if (!right) throw new Error([what, ...seen.map((one) => Bun.inspect(one))].join("\n"));
}
