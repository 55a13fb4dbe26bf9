/** The 32-bit program that is run to find out whether the kernel does: each field of its headers where elf(5) has it. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAMS, program32, runs } from "../../src/plan/runs-abi.ts";

const CODE = [0xb8, 1, 2];

test.each([
  [3, 0],
  [40, 0x05000000],
])("of the machine %d", (machine, flags) => {
  const file = program32(machine, CODE);
  const view = new DataView(file.buffer);
  const half = (at: number) => view.getUint16(at, true);
  const word = (at: number) => view.getUint32(at, true);
  expect(Buffer.from(file.subarray(0, 16)).toString("hex")).toBe("7f454c46010101" + "00".repeat(9));
  expect(file.length).toBe(84 + 3);
  expect({ type: half(16), machine: half(18), version: word(20), entry: word(24) }).toEqual({
    ...{ type: 2, machine, version: 1, entry: 0x10000 + 84 },
  });
  expect({ phoff: word(28), shoff: word(32), flags: word(36), ehsize: half(40) }).toEqual({
    ...{ phoff: 52, shoff: 0, flags, ehsize: 52 },
  });
  expect({ phentsize: half(42), phnum: half(44), shnum: half(48) }).toEqual({
    ...{ phentsize: 32, phnum: 1, shnum: 0 },
  });
  const [type, offset, vaddr, paddr, filesz, memsz, access, align] = Array.from(
    { length: 8 },
    (_, i) => word(52 + 4 * i),
  );
  expect({ type, offset, vaddr, paddr }).toEqual({
    ...{ type: 1, offset: 0, vaddr: 0x10000, paddr: 0x10000 },
  });
  expect({ filesz, memsz, access, align }).toEqual({
    ...{ filesz: 87, memsz: 87, access: 5, align: 0x1000 },
  });
  expect([...file.subarray(84)]).toEqual(CODE);
});

test("this kernel runs programs of its own architecture, and is asked about others once", () => {
  expect(runs(process.arch === "arm64" ? "arm64" : "x64")).toBe(true);
  const other = process.arch === "arm64" ? "arm" : "i386";
  expect([true, false, undefined]).toContain(runs(other));
  expect(runs(other)).toBe(runs(other));
});

test.each(["i386", "arm"] as const)(
  "it runs those of %s where it runs a file of theirs",
  (other) => {
    const { machine = 0, code = [] } = PROGRAMS[other] ?? {};
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-runs-"));
    const file = join(dir, "program");
    try {
      writeFileSync(file, program32(machine, code), { mode: 0o755 });
      const { exitCode } = Bun.spawnSync(["/bin/sh", "-c", '"$0" 2>/dev/null', file]);
      // 126: the shell cannot execute it.
      expect([7, 126]).toContain(exitCode);
      expect(runs(other)).toBe(exitCode === 7);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);
