/** What a subcommand prints however much it is: the runtime's stream drops at the exit what a pipe has not taken by then. */
import { writeSync } from "node:fs";
import { Refused } from "../errors.ts";
import { visibleLines } from "../visible.ts";

const STDOUT = 1;
/** Milliseconds between two tries where somebody has made the output non-blocking. */
const LOOK = 2;

/**
 * A line on standard output. Waits for who reads it: nothing else goes on meanwhile, so nothing piles up. What JSON leaves as it is
 * and a terminal obeys is escaped too, which means the same to who reads JSON.
 * @returns false when nobody reads any more
 */
export const printJson = (json: string): boolean => write(`${visibleLines(json)}\n`);

/** A text of our own, escapes included. @returns false when nobody reads any more */
export const printText = (text: string): boolean => write(text);

function write(text: string): boolean {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(STDOUT, bytes, done);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE") return false;
      if (code !== "EAGAIN") throw unwritable(error);
      Bun.sleepSync(LOOK);
    }
  }
  return true;
}

/** Such as a full disk. */
export const unwritable = (error: unknown): Refused =>
  new Refused(`standard output: ${error instanceof Error ? error.message : String(error)}`);
