/** What is said while /dev/kmsg is the output. The kernel refuses a write that is longer than a record, and all of it is lost. */
import { fstatSync } from "node:fs";

/** Bytes: before Linux 6.4 a record has 992, see devkmsg_write() in kernel/printk/printk.c. */
export const RECORD = 960;
/** Major 1, minor 11. */
const KMSG = 0x10b;

export const isKernelLog = (fd: number): boolean => fstatSync(fd).rdev === KMSG;

/**
 * Pieces of at most a record, cut between lines where there are some. A piece from within a line begins with a space: the
 * kernel takes `<N>` at the start of a record for its priority.
 */
export function records(text: string, limit = RECORD): string[] {
  const found: string[] = [];
  let bytes = Buffer.from(text);
  while (bytes.length > limit) {
    const line = bytes.lastIndexOf("\n", limit);
    if (line > 0) {
      found.push(bytes.toString("utf8", 0, line));
      bytes = bytes.subarray(line + 1);
      continue;
    }
    let end = limit;
    // Not within a character.
    while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    found.push(bytes.toString("utf8", 0, end));
    bytes = Buffer.concat([Buffer.from(" "), bytes.subarray(end)]);
  }
  return [...found, bytes.toString()];
}
