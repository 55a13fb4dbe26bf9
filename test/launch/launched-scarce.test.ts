/** A launch in a process that has hardly any descriptors left. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { isRoot } from "../accounts.ts";

test.if(isRoot)("a launch that finds too few leaves none open, and closes nobody's", () => {
  const program = join(import.meta.dir, "launched-scarce.ts");
  const run = Bun.spawnSync(["prlimit", "--nofile=100:100", process.execPath, program]);
  // As many are open as before, and its group has ended.
  const first = JSON.stringify(["memfd_create EMFILE 1", "spawn EMFILE 1"]);
  const each = ["memfd_create", "spawn"].map((step) => JSON.stringify([`${step} EMFILE`, 0, 1]));
  // Pipes of output, lifeline and input: eight of them.
  expect(run.stdout.toString() || run.stderr.toString()).toBe(
    `${first}\n${each.join(" ")} 8 true\n`,
  );
});
