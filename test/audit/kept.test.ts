/** What is said before anything is opened of a file that lines are to go to. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { asOrdinary, isRoot } from "../accounts.ts";

test.if(isRoot)("a file, or a directory, that one may not write to is named, with why", () => {
  const module = JSON.stringify(join(import.meta.dir, "../../src/audit/kept.ts"));
  const script = `const { lookAtKept } = await import(${module});
    for (const path of ["/etc/passwd", "/etc/spawnbox-none", "/dev/null"])
      try { console.log(lookAtKept(path, undefined)); } catch (error) { console.log(error.message); }`;
  const { stdout } = Bun.spawnSync([...asOrdinary, process.execPath, "-e", script], {
    stderr: "inherit",
  });
  expect(stdout.toString().trim().split("\n")).toEqual([
    "open(/etc/passwd): EACCES",
    "open(/etc): EACCES",
    "false",
  ]);
});
