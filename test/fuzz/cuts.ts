/** Streams of bytes that are read alike however they are cut into pieces. */
import { demand, type Json, type Random } from "./target.ts";

export type Cut = {
  /** Hexadecimal. */
  readonly bytes: string;
  /** Sizes of the pieces, over and over. */
  readonly cuts: number[];
};

export const cutting =
  (stream: (random: Random) => Uint8Array) =>
  (random: Random): Cut => ({
    bytes: Buffer.from(stream(random)).toString("hex"),
    cuts: random.list(5, () => 1 + random.below(random.pick([3, 200]))),
  });

/** @returns what is read in one piece; fails where it is something else in others */
export function readAlike(
  input: Json,
  read: (bytes: Buffer, cuts: readonly number[]) => unknown[],
): unknown[] {
  const { bytes, cuts } = input as Partial<Cut>;
  const data = Buffer.from(bytes ?? "", "hex");
  const whole = read(data, [data.length]);
  for (const sizes of [cuts ?? [], [1]]) {
    const cut = read(data, sizes);
    demand(Bun.deepEquals(cut, whole), `cut at ${sizes} it reads otherwise`, whole, cut);
  }
  return whole;
}
