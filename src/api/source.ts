/** What a command is given to read by the request that starts it: piece by piece, no faster than it reads. */
import { AfbError } from "../errors.ts";
import { errorLine } from "../unexpected.ts";

export interface Source {
  /**
   * Before the first piece: no more bytes than that are taken.
   * @param name of that limit, for who exceeds it
   * @throws BrokenInput where it is known to have more
   */
  limit(most: number, name?: string): void;
  /**
   * The next bytes; undefined at the end. One at a time. Rejects with the {@link BrokenInput} to reply where it breaks off, or
   * has more bytes than the limit.
   */
  next(): Promise<Uint8Array | undefined>;
  /** Nobody reads it any more: what is still to come is dropped. Who waits for a piece has the end. Once more does nothing. */
  drop(): void;
}

/** What was to be read is not all there, and never will be. */
export class BrokenInput extends AfbError {
  constructor(message: string) {
    super("invalid-request", message);
  }
}

/** @param length where it is known */
export const tooMuch = (most: number, name = "maxinput", length?: number): BrokenInput =>
  new BrokenInput(
    length === undefined
      ? `it is longer than the ${most} bytes that are read here (${name})`
      : `the body has ${length} bytes, and at most ${most} are read here (${name})`,
  );

export const unreadable = (error: unknown): BrokenInput =>
  new BrokenInput(`its input cannot be read: ${errorLine(error)}`);

/** Bytes of all. @throws BrokenInput see {@link Source.next} */
export async function wholeOf(source: Source, most: number): Promise<Uint8Array> {
  source.limit(most, "one piece");
  const pieces: Uint8Array[] = [];
  for (let piece = await source.next(); piece; piece = await source.next()) pieces.push(piece);
  return Buffer.concat(pieces);
}
