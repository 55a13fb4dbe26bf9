/** Sizes as configs write them: digits and k, m or g. */
const SHIFT: Readonly<Record<string, bigint>> = { "": 0n, k: 10n, m: 20n, g: 30n };

/**
 * The largest that a limit can be: cut to 64 bits, what is above would become another number, perhaps a small one. One more is
 * the kernel's infinity.
 */
const LARGEST = (1n << 64n) - 2n;

/** Undefined when it is none. @throws Error when the kernel has no number that large */
export function parseSize(text: string): bigint | undefined {
  const [, digits, unit = ""] = /^(\d+)([KMG]?)$/i.exec(text) ?? [];
  const shift = SHIFT[unit.toLowerCase()];
  if (digits === undefined || shift === undefined) return undefined;
  const size = BigInt(digits) << shift;
  if (size > LARGEST)
    throw new Error(
      `${JSON.stringify(text)} is more than the kernel counts with 64 bits: at most ${LARGEST}`,
    );
  return size;
}
