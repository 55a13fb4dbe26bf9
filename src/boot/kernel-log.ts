/** What is said while /dev/kmsg is the output. The kernel refuses a write that is longer than a record, and all of it is lost. */
import { fstatSync } from "node:fs";

/** Bytes: before Linux 6.4 a record has 992, see devkmsg_write() in kernel/printk/printk.c. */
const RECORD = 960;
/** Major 1, minor 11. */
const KMSG = 0x10b;

/** Pieces of at most a record, cut between lines where there are some. */
export function records(text: string): string[] {
  const found: string[] = [];
  let bytes = Buffer.from(text);
  while (bytes.length > RECORD) {
    const line = bytes.lastIndexOf("\n", RECORD);
    let end = line > 0 ? line : RECORD;
    // Not within a character.
    while (line <= 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    found.push(bytes.toString("utf8", 0, end));
    bytes = bytes.subarray(line > 0 ? end + 1 : end);
  }
  return [...found, bytes.toString()];
}

/** From now on the console keeps to that, while its output is the kernel log: it changes when the service takes over. */
export function keepToRecords(): void {
  for (const [name, fd] of [
    ["log", 1],
    ["error", 2],
  ] as const) {
    const write = console[name].bind(console);
    console[name] = (...said: unknown[]) => {
      const [text] = said;
      if (said.length !== 1 || typeof text !== "string" || fstatSync(fd).rdev !== KMSG)
        return write(...said);
      for (const record of records(text)) write(record);
    };
  }
}
