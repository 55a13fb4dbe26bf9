/** Which processors the programs of an image are for: what is executed there before anything else must be for the same. */
import { closeSync, openSync, readSync } from "node:fs";
import { inside } from "./inside.ts";

/** Every image has one of them. */
const PROGRAMS = ["/bin/sh", "/bin/busybox", "/sbin/init"];

/** `e_machine` of elf(5). */
const MACHINES: Readonly<Record<number, string>> = {
  3: "x86",
  40: "arm",
  62: "x64",
  183: "arm64",
  243: "riscv64",
};

/** Throws an Error that says what to do when the image below `root` is known to be for another processor. */
export function refuseOtherArchitecture(root: string): void {
  for (const program of PROGRAMS) {
    const machine = machineOf(inside(root, program));
    if (machine === undefined) continue;
    const name = MACHINES[machine] ?? `another processor (ELF machine ${machine})`;
    if (name === process.arch) return;
    throw new Error(
      `${root} is for ${name}, as ${program} there says, and this executable for ${process.arch}: nothing is installed. ` +
        `Take that of ${name} (npm run build -- --arch ${name}), and run it on the board or by QEMU's user emulation`,
    );
  }
}

/** Undefined where there is no little-endian ELF file. */
function machineOf(path: string): number | undefined {
  const header = Buffer.alloc(20);
  try {
    const fd = openSync(path, "r");
    try {
      if (readSync(fd, header) < header.length) return undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    // What is not there is no program: the header stays empty.
  }
  const isElf = header.subarray(0, 4).toString("latin1") === "\x7fELF" && header[5] === 1;
  return isElf ? header.readUInt16LE(18) : undefined;
}
