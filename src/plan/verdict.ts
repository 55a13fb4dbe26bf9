/** What the rules of a filter say of each system call. */
import type { Rule } from "../../ffi/libseccomp.ts";

/** What is said about one syscall. */
export interface Verdict {
  readonly name: string;
  /** Without conditions. */
  always?: { readonly action: number; readonly text: string; readonly named: boolean };
  /** Asked first. */
  conditional: (Rule & { readonly key: string })[];
}

/** By syscall number, in the order of first mention. */
export type Verdicts = Map<number, Verdict>;
