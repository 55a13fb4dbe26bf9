/**
 * The start runs code that nothing runs again: of some 35 MB of it that are mapped by then, the kernel keeps the most as if it
 * were in use, on a board that is short of memory, too. Once the start is over, all is unmapped; what is run after that is found
 * in the page cache, 64 KiB at a time, and costs the next calls nothing that could be measured.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { unmapPages } from "../../ffi/libc.ts";

/** Milliseconds after the start: what it has left to do is done by then. */
const AFTER = 1_000;

/** Addresses, from the first to behind the last. */
export interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Where the code of a program is, and nobody has written to it: a page with a breakpoint would not come back as it was.
 * @param smaps proc_pid_smaps(5)
 * @param program as /proc/self/exe names it
 */
export function codeIn(smaps: string, program: string): Range[] {
  const header = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ +(.*)$/;
  const ranges: Range[] = [];
  let range: Range | undefined;
  for (const line of smaps.split("\n")) {
    const [isHeader, from, to, rights, name] = header.exec(line) ?? [];
    if (isHeader !== undefined)
      range =
        rights === "r-xp" && name === program
          ? { from: BigInt(`0x${from}`), to: BigInt(`0x${to}`) }
          : undefined;
    // What was written to is there, or swapped out.
    else if (/^Anonymous: +[1-9]/.test(line)) range = undefined;
    else if (range && /^Swap: +0 kB$/.test(line)) ranges.push(range);
  }
  return ranges;
}

function forget(): void {
  try {
    const smaps = readFileSync("/proc/self/smaps", "latin1");
    const program = readlinkSync("/proc/self/exe", "latin1");
    for (const { from, to } of codeIn(smaps, program)) unmapPages(from, to - from);
  } catch {
    // Without /proc, a descriptor, or the call, it stays as it is.
  }
}

/** Once the server has nothing else to do. */
export function forgetStart(): void {
  setTimeout(forget, AFTER);
}
