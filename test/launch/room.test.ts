/** How many descriptors waiting sandboxes leave to requests, to the last one: in a process that may have 400. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const PROGRAM = `
import { openSync } from "node:fs";
const { isScarce, roomToWait } = await import(${JSON.stringify(join(import.meta.dir, "../../src/launch/reserve.ts"))});
const { descriptors } = await import(${JSON.stringify(join(import.meta.dir, "../../src/launch/supplies.ts"))});
const waits = roomToWait();
const told = [];
for (const [used, ask] of [[187, waits], [188, waits], [300, isScarce], [301, isScarce]]) {
  while (descriptors().used < used) openSync("/dev/null");
  told.push([descriptors().used, ask()]);
}
console.log(JSON.stringify(told));
`;

test("none waits beyond half of them with what it takes, and all make room beyond three quarters", () => {
  const run = Bun.spawnSync(["prlimit", "--nofile=400:400", process.execPath, "-e", PROGRAM]);
  expect(run.stdout.toString() || run.stderr.toString()).toBe(
    "[[187,true],[188,false],[300,false],[301,true]]\n",
  );
});
