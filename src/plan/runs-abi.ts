/** Whether the kernel runs 32-bit programs, found out by running one that ends at once: options of the boot decide too. */
import { closeSync, writeSync } from "node:fs";
import type { Abi } from "../../ffi/libseccomp.ts";
import { memfdCreate } from "../../ffi/libc.ts";

const HEADERS = 52 + 32;
const BASE = 0x10000;
const STATUS = 7;
/** elf.h: the machine, and the code of exit(7). */
export const PROGRAMS: Partial<
  Record<Abi, { readonly machine: number; readonly code: readonly number[] }>
> = {
  // mov eax, 1; mov ebx, 7; int 0x80
  i386: { machine: 3, code: [0xb8, 1, 0, 0, 0, 0xbb, STATUS, 0, 0, 0, 0xcd, 0x80] },
  // mov r7, #1; mov r0, #7; svc 0
  arm: { machine: 40, code: [1, 0x70, 0xa0, 0xe3, STATUS, 0, 0xa0, 0xe3, 0, 0, 0, 0xef] },
};

/** A static program: elf(5). */
export function program32(machine: number, code: readonly number[]): Uint8Array {
  const file = new Uint8Array(HEADERS + code.length);
  const view = new DataView(file.buffer);
  const words = (at: number, ...values: number[]) =>
    values.forEach((value, i) => view.setUint32(at + i * 4, value, true));
  const halves = (at: number, ...values: number[]) =>
    values.forEach((value, i) => view.setUint16(at + i * 2, value, true));
  // 32 bits, little-endian, version 1; ET_EXEC
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  halves(16, 2, machine);
  // Version, entry, program headers, section headers, flags (EABI 5)
  words(20, 1, BASE + HEADERS, 52, 0, machine === 40 ? 0x05000000 : 0);
  halves(40, 52, 32, 1);
  // PT_LOAD: offset, address twice, size twice, read and execute, alignment
  words(52, 1, 0, BASE, BASE, file.length, file.length, 5, 0x1000);
  file.set(code, HEADERS);
  return file;
}

const found = new Map<Abi, boolean | undefined>();

/** undefined where nothing can be tried. */
export function runs(abi: Abi): boolean | undefined {
  if (!found.has(abi)) found.set(abi, tried(abi));
  return found.get(abi);
}

function tried(abi: Abi): boolean | undefined {
  const program = PROGRAMS[abi];
  if (!program) return true;
  let fd: number | undefined;
  try {
    fd = memfdCreate("spawnbox-abi", true);
    writeSync(fd, program32(program.machine, program.code));
    const { exitCode } = Bun.spawnSync([`/proc/${process.pid}/fd/${fd}`]);
    return exitCode === STATUS;
  } catch (error) {
    // Without an executable file in memory nothing can be tried.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOEXEC" ? false : undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
