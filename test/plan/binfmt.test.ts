/** Programs of other kinds, in the words of the kernel: binfmt_misc. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foreignFormat, foreignFormats } from "../../src/plan/binfmt.ts";

test("those that are registered and enabled, and nothing where there is no such place", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-binfmt-"));
  try {
    const files: Record<string, string> = {
      // What these say is no entry, whatever it looks like.
      ...{ register: "enabled\ninterpreter /register\n", status: "enabled\ninterpreter /status\n" },
      ...{ jar: "enabled\ninterpreter /jar\nflags: F\nextension .jar\n", off: "disabled\n" },
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    expect(foreignFormats(dir).map(({ interpreter, opened }) => [interpreter, opened])).toEqual([
      ["/jar", true],
    ]);
  } finally {
    rmSync(dir, { recursive: true });
  }
  expect(foreignFormats(join(dir, "none"))).toEqual([]);
});

test.each<[string, readonly number[], boolean]>([
  ["offset 1\nmagic 0a0b", [0, 10, 11, 12], true],
  ["offset 1\nmagic 0a0b", [0, 10, 12], false],
  ["offset 0\nmagic 0a0b", [0, 10, 11], false],
  ["offset 0\nmagic 0a0b", [10], false],
  ["offset 0\nmagic 0a0b\nmask ff00", [10, 99], true],
  ["offset 0\nmagic 0a0b\nmask f0ff", [0x0f, 11], true],
  ["offset 0\nmagic 0a0b\nmask ff", [10, 99], false],
  ["offset 0\nmagic 0a0b\nmask ff", [10, 11], true],
])("%j of %p: %p", (entry, head, matches) => {
  const format = foreignFormat(`enabled\ninterpreter /i\nflags: OC\n${entry}\n`);
  expect([format?.matches(Uint8Array.from(head), "x"), format?.opened]).toEqual([matches, false]);
});

test("by the end of a name, and none without an interpreter", () => {
  const format = foreignFormat("enabled\ninterpreter /i\nextension .x\n");
  expect([
    format?.matches(new Uint8Array(), "a.x"),
    format?.matches(new Uint8Array(), "a.xy"),
  ]).toEqual([...[true, false]]);
  expect(format).toMatchObject({ interpreter: "/i", opened: false });
  for (const text of ["disabled\ninterpreter /i\nextension .x\n", "enabled\nextension .x\n"])
    expect(foreignFormat(text)).toBeUndefined();
});
