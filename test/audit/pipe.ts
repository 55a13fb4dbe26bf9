/** The end of a pipe that is read as far as the test wants. */
import { readSync } from "node:fs";

/** What is there now. */
export function readNow(fd: number, buffer: Buffer): string {
  try {
    return buffer.toString("utf8", 0, readSync(fd, buffer));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return "";
    throw error;
  }
}
