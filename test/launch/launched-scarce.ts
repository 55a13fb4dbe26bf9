/** Started with few descriptors: launches with so many left, and prints of each how it ends, what is left then, and how often its group has ended. */
import { closeSync, openSync } from "node:fs";
import type { TaskGroup } from "../../src/launch/cgroup.ts";
import { LaunchedTask } from "../../src/launch/launched.ts";
import { LaunchError } from "../../src/launch/task.ts";
import { compiled, planOf } from "../plan/compiling.ts";

const plan = { ...planOf(compiled({ acls: { user: "nobody" } })), input: 100 };
const supplied = { argv: ["/bin/true"], env: plan.env };
const sink = { stdout() {}, stderr() {} };
let ends = 0;
const group = {
  fd: openSync("/dev/null", "r"),
  kill() {},
  end: () => (ends++, { gone: Promise.resolve() }),
} as unknown as TaskGroup;
/** As many as there are. */
function filled(): number[] {
  const fds: number[] = [];
  try {
    for (;;) fds.push(openSync("/dev/null", "r"));
  } catch {
    return fds;
  }
}

// What a launch needs once is there afterwards.
await LaunchedTask.launch(plan, supplied, sink, undefined).ended;
const told: unknown[] = [];
for (let left = 0; left < 10; left++) {
  ends = 0;
  const all = filled();
  for (const fd of all.splice(0, left)) closeSync(fd);
  let how: unknown = "it is launched";
  let over: Promise<unknown> | undefined;
  try {
    const task = LaunchedTask.launch(plan, supplied, sink, group);
    // The kernel refuses such a group.
    task.started.catch(() => {});
    over = task.ended;
  } catch (error) {
    how = error instanceof LaunchError ? `${error.step} ${error.errno}` : error;
  }
  const free = filled();
  if (!over) told.push([how, free.length - left, ends]);
  for (const fd of [...all, ...free]) closeSync(fd);
  await over;
}
const { length } = told;
await LaunchedTask.launch(plan, supplied, sink, undefined).ended;
console.log(JSON.stringify([length, [...new Set(told.map((one) => JSON.stringify(one)))]]));
process.exit();
