/** What a file is to execve(2), from its first bytes: a script and its interpreter, or an ELF program and its loader. See elf(5). */

export type ProgramFile =
  | {
      readonly kind: "script";
      readonly interpreter: string;
      /** What follows it on the line: the kernel gives it as one argument. */
      readonly argument: string;
    }
  | { readonly kind: "elf"; readonly machine: number; readonly loader: string | undefined };

/** BINPRM_BUF_SIZE of the kernel: what it looks at. */
const LINE = 256;
const PT_INTERP = 3;
/** e_type of what can be executed, and of what only looks like it. */
const EXECUTABLE: ReadonlySet<number> = new Set([2, 3]);

/** EM_… of elf.h. */
export const MACHINE = { i386: 3, arm: 40, x64: 62, arm64: 183 } as const;

const latin1 = new TextDecoder("latin1");

/** @throws Error that says what it is instead, and what to do, to be put behind the path of the file */
export function programFile(head: Uint8Array): ProgramFile {
  const text = latin1.decode(head);
  if (text === "") throw new Error("is empty: put a program there, or begin it with #!/bin/sh");
  if (text.startsWith("#!")) return script(text.slice(0, LINE));
  if (text.startsWith("\x7fELF")) return elf(head, text);
  if (/^\xef\xbb\xbf#!/.test(text))
    throw new Error(
      "has a byte order mark before its #! line, which the kernel does not skip: save it as UTF-8 without BOM",
    );
  if (/^(\xff\xfe|\xfe\xff)/.test(text))
    throw new Error("is text in UTF-16, which nothing executes: save it as UTF-8 without BOM");
  if (/^\s+#!/.test(text))
    throw new Error("has something before its #! line: these two characters must be its first");
  if (text.startsWith("MZ")) throw new Error("is a program of Windows, and none of this machine");
  if (text.includes("\0"))
    throw new Error("is neither a script nor a program of this machine: its format is not known");
  throw new Error(
    "is a script without a #! line, nor a program of this machine: begin it with #!/bin/sh",
  );
}

/** As fs/binfmt_script.c takes the line apart. */
function script(text: string): ProgramFile {
  const end = text.search(/[\n\0]/);
  const line = (end < 0 ? text : text.slice(0, end)).slice(2).replace(/^[ \t]+|[ \t]+$/g, "");
  const [, interpreter = "", argument = ""] = /^([^ \t]*)[ \t]*(.*)$/s.exec(line) ?? [];
  if (interpreter.replace("\r", "") === "")
    throw new Error("names no interpreter in its #! line: make it #!/bin/sh, or what it is for");
  if (interpreter.includes("\r") || line.endsWith("\r"))
    throw new Error(
      "has the line ends of Windows (CR LF), and CR becomes part of its interpreter's name or argument: sed -i 's/\\r$//' on it",
    );
  if (end < 0 && text.length >= LINE && argument === "")
    throw new Error(
      `has a #! line of more than ${LINE - 1} bytes, of which the kernel reads no more: give the interpreter a shorter path`,
    );
  if (!interpreter.startsWith("/"))
    throw new Error(
      `names its interpreter by the relative path ${JSON.stringify(interpreter)}, which is looked up in the working directory: write #!/usr/bin/env ${interpreter}, or its absolute path`,
    );
  return { kind: "script", interpreter, argument };
}

function elf(head: Uint8Array, text: string): ProgramFile {
  const [, , , , bits, order] = head;
  // Both architectures that spawnbox runs on are little-endian.
  if (order !== 1 || (bits !== 1 && bits !== 2) || head.length < (bits === 1 ? 52 : 64))
    throw new Error("is a program of another architecture, or cut off: install that of this one");
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const machine = view.getUint16(18, true);
  if (!EXECUTABLE.has(view.getUint16(16, true)))
    throw new Error("is an object file, and no program: it has to be linked");
  return { kind: "elf", machine, loader: loaderOf(view, text, bits === 2) };
}

/** undefined for a static program, and where its headers are not in the head. */
function loaderOf(view: DataView, text: string, wide: boolean): string | undefined {
  const word = (at: number) =>
    wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true);
  const offset = word(wide ? 32 : 28);
  const size = view.getUint16(wide ? 54 : 42, true);
  const count = view.getUint16(wide ? 56 : 44, true);
  for (let i = 0; i < count; i++) {
    const at = offset + i * size;
    if (at + 40 > view.byteLength) return undefined;
    if (view.getUint32(at, true) !== PT_INTERP) continue;
    const start = word(at + (wide ? 8 : 4));
    const length = word(at + (wide ? 32 : 16));
    return start + length <= view.byteLength ? text.slice(start, start + length - 1) : undefined;
  }
  return undefined;
}
