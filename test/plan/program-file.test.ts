/** What a file is by its first bytes: each thing that it can be, and each that only looks like it, in its words. */
import { describe, expect, test } from "bun:test";
import { MACHINE, programFile } from "../../src/plan/program-file.ts";

const of = (content: string | Uint8Array) =>
  programFile(typeof content === "string" ? Buffer.from(content, "latin1") : content);

test.each<[string, string, string]>([
  ["#!/bin/sh", "/bin/sh", ""],
  ["#!/bin/sh\nmore", "/bin/sh", ""],
  ["#!/bin/sh\0more", "/bin/sh", ""],
  ["#! \t/bin/sh \t-e  -x \t\n", "/bin/sh", "-e  -x"],
  [`#!/bin/sh ${"x".repeat(400)}\n`, "/bin/sh", "x".repeat(246)],
  [`#!/${"a".repeat(252)}`, `/${"a".repeat(252)}`, ""],
  [`#!/${"a".repeat(252)}\n`, `/${"a".repeat(252)}`, ""],
  [`#!/${"a".repeat(251)} b`, `/${"a".repeat(251)}`, "b"],
])("%j is a script", (text, interpreter, argument) => {
  expect(of(text)).toEqual({ kind: "script", interpreter, argument });
});

const NO_INTERPRETER = "names no interpreter in its #! line: make it #!/bin/sh, or what it is for";
const CR =
  "has the line ends of Windows (CR LF), and CR becomes part of its interpreter's name or argument: sed -i 's/\\r$//' on it";
const LONG =
  "has a #! line of more than 255 bytes, of which the kernel reads no more: give the interpreter a shorter path";
const FOREIGN = "is a program of another architecture, or cut off: install that of this one";
test.each<[string | Uint8Array, string]>([
  ["", "is empty: put a program there, or begin it with #!/bin/sh"],
  ["#!", NO_INTERPRETER],
  ["#! \t\n/bin/sh", NO_INTERPRETER],
  ["#!\r\n", NO_INTERPRETER],
  ["#!/bin/sh\r\n", CR],
  ["#!/bin/sh\rx\n", CR],
  ["#!/bin/sh -e\r\n", CR],
  [`#!/${"a".repeat(253)}`, LONG],
  [`#!/${"a".repeat(300)}\n`, LONG],
  [
    "#!sh -e\n",
    'names its interpreter by the relative path "sh", which is looked up in the working directory: write #!/usr/bin/env sh, or its absolute path',
  ],
  [
    "\xef\xbb\xbf#!/bin/sh",
    "has a byte order mark before its #! line, which the kernel does not skip: save it as UTF-8 without BOM",
  ],
  ["\xff\xfe#\0", "is text in UTF-16, which nothing executes: save it as UTF-8 without BOM"],
  ["\xfe\xff\0#", "is text in UTF-16, which nothing executes: save it as UTF-8 without BOM"],
  [" \n#!/bin/sh", "has something before its #! line: these two characters must be its first"],
  ["MZ\x90\0", "is a program of Windows, and none of this machine"],
  ["a\0", "is neither a script nor a program of this machine: its format is not known"],
  ["echo", "is a script without a #! line, nor a program of this machine: begin it with #!/bin/sh"],
  ["\x7fELF", FOREIGN],
])("%j: %s", (content, why) => {
  expect(() => of(content)).toThrow(new Error(why));
});

interface Header {
  readonly type: number;
  readonly offset: number;
  readonly length: number;
}
const LOADER = "/lib/ld.so";
/** An ELF file with program headers, the last of which is at its end, and a loader behind the first bytes. */
function elf(
  wide: boolean,
  headers: readonly Header[],
  { order = 1, type = 2, at = 200, size = 400 } = {},
) {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, order]);
  view.setUint16(16, type, true);
  view.setUint16(18, MACHINE.x64, true);
  const each = wide ? 56 : 44;
  const word = (place: number, value: number) =>
    wide ? view.setBigUint64(place, BigInt(value), true) : view.setUint32(place, value, true);
  word(wide ? 32 : 28, at);
  view.setUint16(wide ? 54 : 42, each, true);
  view.setUint16(wide ? 56 : 44, headers.length, true);
  bytes.set(Buffer.from(`${LOADER}\0`), 100);
  headers.forEach(({ type: kind, offset, length }, i) => {
    const place = at + i * each;
    if (place + each > size) return;
    view.setUint32(place, kind, true);
    word(place + (wide ? 8 : 4), offset);
    word(place + (wide ? 32 : 16), length);
  });
  return bytes;
}

describe.each([true, false])("an ELF program of 64 bits: %p", (wide) => {
  const interp = { type: 3, offset: 100, length: LOADER.length + 1 };
  const load = { type: 1, offset: 0, length: 5 };
  const made = (loader?: string) => ({ kind: "elf", machine: 62, loader }) as object;
  test("its loader, wherever its header is", () => {
    expect(of(elf(wide, [interp])) as object).toEqual(made(LOADER));
    expect(of(elf(wide, [load, interp, load])) as object).toEqual(made(LOADER));
    for (const type of [2, 3])
      expect(of(elf(wide, [interp], { type })) as object).toEqual(made(LOADER));
  });
  test("none: static, or not in what was read", () => {
    expect(of(elf(wide, [])) as object).toEqual(made());
    expect(of(elf(wide, [load])) as object).toEqual(made());
    // Of a header the first 40 bytes are looked at: they have to be there.
    const each = wide ? 56 : 44;
    expect(of(elf(wide, [interp], { at: 400 - each })) as object).toEqual(made(LOADER));
    const cut = (length: number) =>
      of(elf(wide, [interp], { at: 300 }).subarray(0, length)) as object;
    expect([cut(340), cut(339)]).toEqual([made(LOADER), made()]);
    const end = { ...interp, offset: 400 - interp.length };
    const whole = elf(wide, [end]);
    whole.set(Buffer.from(`${LOADER}\0`), end.offset);
    expect(of(whole) as object).toEqual(made(LOADER));
    expect(of(elf(wide, [{ ...end, offset: end.offset + 1 }])) as object).toEqual(made());
  });
  test("of other bytes, cut off, or not linked", () => {
    const shortest = wide ? 64 : 52;
    const whole = elf(wide, [], { at: 0 });
    expect(of(whole.subarray(0, shortest)) as object).toEqual(made());
    expect(() => of(whole.subarray(0, shortest - 1))).toThrow(FOREIGN);
    expect(() => of(elf(wide, [], { order: 2 }))).toThrow(FOREIGN);
    const other = elf(wide, []);
    for (const bits of [0, 3]) {
      other[4] = bits;
      expect(() => of(other)).toThrow(FOREIGN);
    }
    for (const type of [1, 4])
      expect(() => of(elf(wide, [], { type }))).toThrow(
        "is an object file, and no program: it has to be linked",
      );
  });
});
