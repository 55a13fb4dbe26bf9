/** How many descriptors waiting sandboxes leave to requests, to the last one: in a process that may have 400. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { isRoot } from "../accounts.ts";

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

const POOLS = `
import { closeSync, openSync } from "node:fs";
const { Pools } = await import(${JSON.stringify(join(import.meta.dir, "../../src/launch/pool.ts"))});
const { descriptors } = await import(${JSON.stringify(join(import.meta.dir, "../../src/launch/supplies.ts"))});
const { compiled } = await import(${JSON.stringify(join(import.meta.dir, "../plan/compiling.ts"))});
const { until } = await import(${JSON.stringify(join(import.meta.dir, "../served.ts"))});
const pools = new Pools(() => undefined);
const later = async () => { for (const end = performance.now() + 101; performance.now() < end;) await Bun.sleep(1); };
const told = [];
const look = () => { pools.look(); told.push(pools.ready); };
pools.look();
pools.serve([compiled({ acls: { user: "nobody" }, pool: 4 })]);
await until("four wait", () => pools.ready === 4);
await later();
look();
const taken = [];
const fill = () => { while (descriptors().used <= 300) taken.push(openSync("/dev/null")); };
await later();
fill();
look();
fill();
look();
await later();
fill();
look();
for (const fd of taken) closeSync(fd);
await later();
look();
console.log(JSON.stringify(told));
await pools.close();
process.exit();
`;

test.if(isRoot)(
  "what waits makes room by halves as long as that is scarce, but not at each launch",
  () => {
    const run = Bun.spawnSync(["prlimit", "--nofile=400:400", process.execPath, "-e", POOLS]);
    expect(run.stdout.toString() || run.stderr.toString()).toBe("[4,2,2,1,1]\n");
  },
);
