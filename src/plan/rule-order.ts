/**
 * Conditions on the arguments of a call, of which several may hold at once: what the last of these says is to hold, and libseccomp
 * goes by an order of its own.
 */
import type { Rule } from "../../ffi/libseccomp.ts";

export interface Ordered<One> {
  readonly rule: One;
  /** It is asked before those of a lower one. Of two with the same number, no call can tell which is asked first. */
  readonly turn: number;
}

/** @param rules all of one call, the last one to win */
export function ordered<One extends Rule>(rules: readonly One[]): Ordered<One>[] {
  const all: Ordered<One>[] = [];
  for (const rule of rules) {
    const behind = all.filter((one) => one.rule.action !== rule.action && meet(one.rule, rule));
    all.push({ rule, turn: Math.max(0, ...behind.map(({ turn }) => turn + 1)) });
  }
  return all;
}

/** Whether both may hold: not where an argument is to be this for the one and that for the other. */
const meet = (a: Rule, b: Rule): boolean =>
  !a.args.some((one) =>
    b.args.some(
      (other) =>
        one.index === other.index &&
        (one.op === "eq" || one.op === "masked_eq") &&
        one.op === other.op &&
        one.mask === other.mask &&
        one.value !== other.value,
    ),
  );
