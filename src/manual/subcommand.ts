/** What each file of a subcommand exports, and how all of them are listed. */
import type { Manual } from "./manual.ts";

export interface Subcommand {
  readonly manual: Manual;
  /** @param all for those that tell about the others. Returns the exit code. */
  run(argv: string[], all: Subcommands): Promise<number>;
}

/** By name. What they do is known without loading them: each is loaded only when it is asked for. */
export type Subcommands = Readonly<
  Record<string, { readonly about: string; readonly load: () => Promise<Subcommand> }>
>;

/** The manuals of all, by name, in their order. */
export async function manualsOf(all: Subcommands): Promise<Map<string, Manual>> {
  const found = await Promise.all(
    Object.entries(all).map(async ([name, { load }]) => [name, (await load()).manual] as const),
  );
  return new Map(found);
}
