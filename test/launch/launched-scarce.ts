/** Started with few descriptors: launches with so many left, and prints of each how it ends, what is left then, and how often its group has ended. */
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { AGENT } from "../../ffi/launcher/layout.ts";
import { agentPid, agentPids } from "../../src/launch/agent.ts";
import type { TaskGroup } from "../../src/launch/cgroup.ts";
import { LaunchedTask } from "../../src/launch/launched.ts";
import type { Supplied } from "../../src/launch/secrets.ts";
import { statusPipe } from "../../src/launch/status.ts";
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

const pipes = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("pipe:");
    } catch {
      // That of the look itself.
      return false;
    }
  }).length;
statusPipe();
const own = pipes();
/** The runtime's streams let go of what they have read to its end a moment later. */
async function over(ended: Promise<unknown>): Promise<void> {
  await ended;
  while (pipes() > own) await Bun.sleep(1);
}

let told: [how: unknown, kept: number, ends: number][] = [];
/** How many are too few. */
async function tried(words: Supplied, before: () => Promise<void>): Promise<number> {
  for (let left = 0; ; left++) {
    await before();
    ends = 0;
    const all = filled();
    for (const fd of all.splice(0, left)) closeSync(fd);
    let how: unknown;
    let ended: Promise<unknown> | undefined;
    try {
      const task = LaunchedTask.launch(plan, words, sink, group);
      // The kernel refuses such a group.
      task.started.catch(() => {});
      ended = task.ended;
    } catch (error) {
      how = error instanceof LaunchError ? `${error.step} ${error.errno}` : String(error);
    }
    const free = filled();
    for (const fd of [...all, ...free]) closeSync(fd);
    if (ended) {
      await over(ended);
      return left;
    }
    told.push([how, free.length - left, ends]);
  }
}
// The first one makes what all need: that stays, whatever becomes of it.
await tried(supplied, async () => {});
console.log(JSON.stringify([...new Set(told.map(([how, , ends]) => `${how} ${ends}`))].toSorted()));
await over(LaunchedTask.launch(plan, supplied, sink, undefined).ended);
told = [];
const long = { ...supplied, argv: ["/bin/true", "x".repeat(AGENT.MESSAGE)] };
const few = [await tried(supplied, async () => {})];
// Nor is the agent there, and its words are in a file.
few.push(
  await tried(long, async () => {
    const pid = agentPid();
    if (pid !== undefined) process.kill(pid, "SIGKILL");
    while (agentPids().length > 0) await Bun.sleep(1);
  }),
);
await over(LaunchedTask.launch(plan, supplied, sink, undefined).ended);
console.log(
  [...new Set(told.map((one) => JSON.stringify(one)))].toSorted().join(" "),
  few[0],
  few.every((count) => count < 30),
);
process.exit();
