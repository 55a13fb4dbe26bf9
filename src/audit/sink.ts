/** Where an audit goes. */
import type { Entry } from "./entry.ts";

/** An entry, and the line that it is. */
export interface Line {
  readonly entry: Entry;
  readonly text: string;
}

export interface Taken {
  /** So many from the first on are written, whole. */
  readonly lines: number;
  /** Why not more: `EAGAIN` where its reader is slow, or another errno, or words. Absent where it takes more. */
  readonly why?: string;
}

export interface Sink {
  /** For messages: the path of a file, `the journal`. */
  readonly name: string;
  /**
   * Writes lines, in order; those that are not taken are given again, first. One call at a time. Never rejects, never waits for a
   * reader.
   */
  take(lines: readonly Line[]): Promise<Taken>;
  /** From the next line on, what its name means then. */
  reopen(): void;
  /** After the last {@link take} has settled. */
  close(): Promise<void>;
}

/** The name of an errno, or what else an error says. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("errno" in error && typeof error.errno === "string") return error.errno;
  if ("code" in error && typeof error.code === "string") return error.code;
  return error.message;
}
