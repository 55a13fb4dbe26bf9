/** Integers on their way to C: the FFI would cut what does not fit to its lower bits, and -1 or 2^32 become somebody else. */

const between = (value: number, least: number, most: number, what: string): number => {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${what}: ${value} is not a whole number from ${least} to ${most}`);
};

/** @throws RangeError */
export const int32 = (value: number, what: string): number =>
  between(value, -0x8000_0000, 0x7fff_ffff, what);

/** @throws RangeError */
export const uint32 = (value: number, what: string): number => between(value, 0, 0xffff_ffff, what);

/** @throws RangeError */
export function uint64(value: bigint): bigint {
  if (value === BigInt.asUintN(64, value)) return value;
  throw new RangeError(`${value} does not fit into 64 unsigned bits`);
}

/** A process: 0 and negative numbers are groups of them to kill(2) and others. @throws RangeError */
export const pidOf = (value: number): number => between(value, 1, 0x7fff_ffff, "pid");
