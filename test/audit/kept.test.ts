/** A file that lines are to go to, looked at and opened by a user who may not do all: root may. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asOrdinary, isRoot, ORDINARY } from "../accounts.ts";

const MODULE = JSON.stringify(join(import.meta.dir, "../../src/audit/kept.ts"));
const dir = mkdtempSync(join(tmpdir(), "spawnbox-kept-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));

/** What it prints, line by line. */
function ordinary(script: string): string[] {
  const command = [
    ...asOrdinary,
    process.execPath,
    "-e",
    `const kept = await import(${MODULE}); ${script}`,
  ];
  return Bun.spawnSync(command, { stderr: "inherit" }).stdout.toString().trim().split("\n");
}

describe.if(isRoot)("as an ordinary user", () => {
  test("a file, or a directory, that one may not write to is named, with why", () => {
    const script = `for (const path of ["/etc/passwd", "/etc/spawnbox-none", "/dev/null"])
      try { console.log(kept.lookAtKept(path, undefined)); } catch (error) { console.log(error.message); }`;
    expect(ordinary(script)).toEqual(["open(/etc/passwd): EACCES", "open(/etc): EACCES", "false"]);
  });

  test.each([
    [0o600, "whole\n", "whole\n"],
    [0o600, "half", "half\n"],
    // That may not be read: an empty line does no harm.
    [0o200, "half", "half\n"],
    [0o200, "whole\n", "whole\n\n"],
  ])("in a file of mode %o that has %j the next line is one", (mode, before, after) => {
    const path = join(dir, `${mode}-${before.length}`);
    writeFileSync(path, before);
    chownSync(path, ORDINARY, ORDINARY);
    chmodSync(path, mode);
    expect(
      ordinary(`console.log(kept.openKept(${JSON.stringify(path)}, undefined).fd > 2)`),
    ).toEqual(["true"]);
    expect(readFileSync(path, "utf8")).toBe(after);
  });
});
