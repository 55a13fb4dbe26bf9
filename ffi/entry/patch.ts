/**
 * Puts entry.S before the entry of an executable: a segment of its own at the end of the file, described by the program header
 * that the notes had (a build id, which nothing reads as the program runs). See elf(5).
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Arch, compiler } from "../launcher/build.ts";

const PT_LOAD = 1;
const PT_NOTE = 4;
const READ_EXECUTE = 5;
/** Largest page of either architecture's kernels. */
const PAGE = 0x10000;

/** Offsets within Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr, and the sizes of the latter two. */
const HEADER = {
  entry: 24,
  segments: 32,
  sections: 40,
  segmentCount: 56,
  sectionCount: 60,
  names: 62,
};
const SEGMENT = {
  flags: 4,
  offset: 8,
  address: 16,
  physical: 24,
  fileSize: 32,
  size: 40,
  align: 48,
};
const SECTION = { name: 0, offset: 24, size: 32 };
const SEGMENT_SIZE = 56;
const SECTION_SIZE = 64;

const numbers = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    half: (at: number) => view.getUint16(at, true),
    word: (at: number) => view.getUint32(at, true),
    long: (at: number) => Number(view.getBigUint64(at, true)),
    setWord: (at: number, value: number) => view.setUint32(at, value, true),
    setLong: (at: number, value: number) => view.setBigInt64(at, BigInt(value), true),
  };
};

/** The machine code of entry.S; for `cc` see `compiler`. @throws Error when it cannot be assembled */
export function assembleEntry(arch: Arch, cc?: string): Uint8Array {
  const { command, flags } = compiler(arch, cc);
  const object = join(import.meta.dir, `entry-${arch}.${process.pid}.o`);
  try {
    const done = Bun.spawnSync(
      [...command, ...flags, "-c", "-o", object, join(import.meta.dir, "entry.S")],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    if (!done.success)
      throw new Error(`${command.join(" ")} failed to assemble entry.S for ${arch}`);
    return sectionOf(readFileSync(object), ".text");
  } finally {
    rmSync(object, { force: true });
  }
}

function sectionOf(elf: Uint8Array, wanted: string): Uint8Array {
  const { half, word, long } = numbers(elf);
  const place = (index: number) => long(HEADER.sections) + index * SECTION_SIZE;
  const names = long(place(half(HEADER.names)) + SECTION.offset);
  for (let i = 0; i < half(HEADER.sectionCount); i++) {
    const start = names + word(place(i) + SECTION.name);
    const name = new TextDecoder().decode(elf.subarray(start, elf.indexOf(0, start)));
    if (name !== wanted) continue;
    const offset = long(place(i) + SECTION.offset);
    return elf.slice(offset, offset + long(place(i) + SECTION.size));
  }
  throw new Error(`no section ${wanted}`);
}

const SYMBOL = { value: 8 };
const SYMBOL_SIZE = 24;

/** Where a variable of the executable is: of the C library's, that it has a copy of. @throws Error where it has none */
function addressOf(elf: Uint8Array, wanted: string): number {
  const symbols = sectionOf(elf, ".dynsym");
  const strings = sectionOf(elf, ".dynstr");
  const { word, long } = numbers(symbols);
  for (let at = 0; at < symbols.length; at += SYMBOL_SIZE) {
    const start = word(at);
    if (new TextDecoder().decode(strings.subarray(start, strings.indexOf(0, start))) !== wanted)
      continue;
    const address = long(at + SYMBOL.value);
    if (address !== 0) return address;
  }
  throw new Error(`the executable has no ${wanted} of its own`);
}

/** The executable with `code` before its entry. @throws Error when it has no header to spare */
export function withEntry(elf: Uint8Array, code: Uint8Array): Uint8Array {
  const { half, word, long } = numbers(elf);
  const segments = Array.from(
    { length: half(HEADER.segmentCount) },
    (_, i) => long(HEADER.segments) + i * SEGMENT_SIZE,
  );
  const loaded = segments.filter((at) => word(at) === PT_LOAD);
  const spare = segments.findLast((at) => word(at) === PT_NOTE);
  // The loader wants segments in the order of their addresses.
  if (spare === undefined || loaded.some((at) => at > spare))
    throw new Error(
      "the executable has no program header behind its segments that could be spared",
    );
  const pages = (size: number) => Math.ceil(size / PAGE) * PAGE;
  const offset = pages(elf.length);
  const address = pages(
    Math.max(...loaded.map((at) => long(at + SEGMENT.address) + long(at + SEGMENT.size))),
  );
  const result = new Uint8Array(offset + code.length);
  result.set(elf);
  result.set(code, offset);
  const { setWord, setLong } = numbers(result);
  setLong(result.length - 16, addressOf(elf, "environ") - address);
  setLong(result.length - 8, long(HEADER.entry) - address);
  setLong(HEADER.entry, address);
  setWord(spare, PT_LOAD);
  setWord(spare + SEGMENT.flags, READ_EXECUTE);
  setLong(spare + SEGMENT.offset, offset);
  setLong(spare + SEGMENT.address, address);
  setLong(spare + SEGMENT.physical, address);
  setLong(spare + SEGMENT.fileSize, code.length);
  setLong(spare + SEGMENT.size, code.length);
  setLong(spare + SEGMENT.align, PAGE);
  return result;
}

/** Changes an executable in place. */
export function putEntry(file: string, arch: Arch, cc?: string): void {
  writeFileSync(file, withEntry(readFileSync(file), assembleEntry(arch, cc)));
}
