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

/** What takes bytes as they come, and has what is whole of them. */
interface Pieces {
  push(bytes: Uint8Array): void;
  next(): unknown;
}

/**
 * Everything that a reader says of bytes in pieces, the words of its error last.
 * @param look called after each piece, for what it holds
 */
export function readPieces(
  reader: Pieces,
  bytes: Uint8Array,
  cuts: readonly number[],
  look: () => void,
  Fault: new (...args: never[]) => Error,
): unknown[] {
  const seen: unknown[] = [];
  try {
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = cuts[i % cuts.length] || 1;
      reader.push(bytes.subarray(at, at + size));
      at += size;
      for (let next = reader.next(); next; next = reader.next()) seen.push(next);
      look();
    }
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    seen.push(error.message);
  }
  return seen;
}
