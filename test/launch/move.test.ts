/** A server that goes into another group, with the process that launches for it: in processes of their own, which really move. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { groupOf } from "../../src/launch/cgroup/move.ts";
import { isRoot } from "../accounts.ts";

/** As the kernel tells it. */
const mount = / (\S+) \S+(?: \S+:\d+)* - cgroup2 /.exec(
  readFileSync("/proc/self/mountinfo", "utf8"),
)?.[1];
const canMove = isRoot && mount !== undefined;
const own = groupOf("self");
const group = canMove ? mkdtempSync(join(own ?? "/none", "spawnbox-move-")) : "/none";
const leaf = join(group, "spawnbox/server");
const removed = (...paths: string[]) => {
  for (const path of paths) if (existsSync(path)) rmdirSync(path);
};
const inside = [leaf, join(group, "spawnbox")];
afterAll(() => removed(...inside, group));

const module = (name: string) => JSON.stringify(join(import.meta.dir, "../../src/launch", name));
/** What a process says of these words, line by line. */
function said(words: string, first: readonly string[] = []) {
  const program = `
const { groupOf, moveTo, stepAside } = await import(${module("cgroup/move.ts")});
const { agentPid, startAgent } = await import(${module("agent.ts")});
const [own, group, leaf] = ${JSON.stringify([own, group, leaf])};
${words}
process.exit();`;
  const run = Bun.spawnSync([...first, process.execPath, "-e", program]);
  return (run.stdout.toString() || run.stderr.toString()).trim().split("\n");
}

test.skipIf(!canMove)("goes there and into its leaf, and stays there", () => {
  const where = "console.log(groupOf('self'), groupOf(agentPid()));";
  const lines = said(`startAgent();
console.log(moveTo(group)); ${where}
console.log(stepAside()); ${where}
console.log(stepAside()); ${where}
console.log(moveTo(own)); ${where}
console.log(moveTo(group + "/none")); ${where}`);
  const at = (path?: string) => `${path} ${path}`;
  expect(lines).toEqual([
    ...["undefined", at(group), "undefined", at(leaf), "undefined", at(leaf)],
    ...["undefined", at(own), `cannot move to ${group}/none: ENOENT`, at(own)],
  ]);
});

test.skipIf(!canMove)("says why it cannot", () => {
  removed(...inside);
  const ordinary = "moveTo(group); process.seteuid(54321);";
  const words = "console.log(stepAside()); console.log(moveTo(own)); console.log(groupOf('self'));";
  expect(said(ordinary + words)).toEqual([
    ...[`cannot make ${leaf}: EACCES`, `cannot move to ${own}: EACCES`, group],
  ]);
});

test.skipIf(!canMove)("stays where there are no groups, or only those of others", () => {
  const hidden = ["unshare", "--mount", "sh", "-c", 'umount -l "$0"; exec "$@"'];
  const mount = own === "/" ? own : (own ?? "").replace(/\/+$/, "");
  const lines = said("console.log(groupOf('self')); console.log(stepAside());", [...hidden, mount]);
  expect(lines).toEqual(["undefined", "undefined"]);
  expect(groupOf("self")).toBe(own as string);
});
