/** What a launch lets go of: timers, descriptors and the place where it hears; and what never waits for anybody. */
import { afterEach, describe, expect, jest, test } from "bun:test";
import { writeSync } from "node:fs";
import { RECORD_AT, RECORD_SIZE } from "../../ffi/launcher/layout.ts";
import { LaunchedTask } from "../../src/launch/launched.ts";
import { statusPipe } from "../../src/launch/status.ts";
import { wordsOf } from "../../src/launch/words-pipe.ts";
import { flagsOf, newPipes, ownDescriptors } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { turns, turnsUntil } from "./turns.ts";

const plan = isRoot ? planOf(compiled({ acls: { user: "nobody" }, pool: 1 })) : undefined;
const sink = { stdout() {}, stderr() {} };
function launched(argv: readonly string[], more: object = {}) {
  if (!plan) throw new Error("only as root");
  return LaunchedTask.launch({ ...plan, ...more }, { argv, env: plan.env }, sink, undefined);
}
const SLEEPS = ["/bin/sleep", "1014"];
describe.if(isRoot)("of timers", () => {
  afterEach(() => void jest.useRealTimers());

  test("none ends a command that runs, and none is left while it does", async () => {
    await launched(["/bin/true"]).ended;
    jest.useFakeTimers();
    const task = launched(SLEEPS);
    await task.started;
    // Until then its output is read as that of a short one.
    jest.advanceTimersByTime(2);
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(100_000);
    jest.useRealTimers();
    await turns(20);
    expect(process.kill(task.pid, 0)).toBe(true);
    task.kill();
    expect(await task.ended).toMatchObject({ signal: 9, cause: "stopped" });
  });

  test("none is left behind an end, whatever it was", async () => {
    await launched(["/bin/true"]).ended;
    for (const [argv, act] of [
      [["/bin/true"], () => {}],
      [["/bin/none-such"], () => {}],
      [SLEEPS, (task: LaunchedTask) => task.kill()],
      [SLEEPS, (task: LaunchedTask) => task.stop()],
      [["/bin/true"], (task: LaunchedTask) => task.stop(15)],
    ] as const) {
      jest.useFakeTimers();
      const task = launched(argv, { timeout: 60_000 });
      await task.started.catch(() => {});
      act(task);
      await task.ended;
      // Its supervisor may yet have to exit, of which nothing tells but this.
      await turnsUntil(`none is left of ${argv[0]}`, () => jest.getTimerCount() === 0);
      jest.useRealTimers();
    }
  });
});

test.if(isRoot)("of descriptors none is left, and none that is written to waits", async () => {
  await launched(["/bin/true"]).ended;
  const before = ownDescriptors();
  const task = launched(SLEEPS, { input: 100 });
  if (!plan?.pool) return;
  const warm = LaunchedTask.warm(plan, plan.pool.ops, undefined);
  const written = newPipes(before).filter(([fd]) => !flagsOf(fd).reads);
  // Two lifelines, words and an input.
  expect(written).toHaveLength(4);
  expect(written.map(([fd]) => flagsOf(fd).waits)).toEqual([false, false, false, false]);
  warm.hand(wordsOf(["/bin/true"]) ?? new Uint8Array(), sink);
  await Promise.all([task.started, warm.started]);
  task.kill();
  await Promise.all([task.ended, warm.ended]);
  // The runtime closes its own of a stream a moment later.
  await until("none is left", () => newPipes(before).length === 0);
});

test.if(isRoot)("nobody hears any more what is told of a launch that has ended", async () => {
  await launched(["/bin/true"]).ended;
  // The number behind its own.
  const next = statusPipe().listen(() => {});
  statusPipe().forget(next);
  // Of a kind that there is none of: who heard it would throw.
  const odd = Buffer.alloc(RECORD_SIZE);
  odd.writeUInt32LE(next - 1, RECORD_AT.from);
  odd.writeUInt32LE(99, RECORD_AT.kind);
  writeSync(statusPipe().end, odd);
  await statusPipe().settled();
  expect(await launched(["/bin/true"]).ended).toMatchObject({ exit: 0 });
});

test.if(isRoot)("all supervisors are heard of by one listener", async () => {
  await Promise.all([launched(["/bin/true"]).ended, launched(["/bin/true"]).ended]);
  expect(process.listenerCount("SIGCHLD")).toBe(1);
});
