/** A sandbox that waits for its command: what it is given, by whom, and what becomes of it where it never gets that. */
import { describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { WAKE } from "../../ffi/launcher/layout.ts";
import { putInPlace } from "../../ffi/processes.ts";
import { LaunchedTask } from "../../src/launch/launched.ts";
import { living } from "../../src/launch/living.ts";
import { statusPipe } from "../../src/launch/status.ts";
import { LaunchError } from "../../src/launch/task.ts";
import { atOnce, wordsOf } from "../../src/launch/words-pipe.ts";
import { flagsOf, newPipes, ownDescriptors } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { stopped } from "./processes.ts";

const KILL = 9;
const plan = isRoot ? planOf(compiled({ acls: { user: "nobody" }, pool: 1 })) : undefined;
const words = (script: string) => wordsOf(["/bin/sh", "-c", script]) ?? new Uint8Array();

/** One that waits, who supervises it, what it has printed, and how it fails to start. */
async function waiting() {
  if (!plan?.pool) throw new Error("only as root");
  const others = new Set(living.keys());
  // One pipe of all, which this process has both ends of, too.
  statusPipe();
  const before = ownDescriptors();
  const task = LaunchedTask.warm(plan, plan.pool.ops, undefined);
  const failure = task.started.then(
    () => undefined,
    (error: unknown) => error,
  );
  const printed = { out: "" };
  const sink = {
    stdout: (chunk: Uint8Array) => void (printed.out += Buffer.from(chunk).toString()),
    stderr() {},
  };
  const mine = () => [...living.keys()].filter((pid) => !others.has(pid));
  await until("it is known", () => mine().length === 1);
  // Of its pipes the only one with both ends here.
  const pipes = newPipes(before);
  const [end] =
    pipes.find(([fd, to]) => pipes.some(([other, same]) => other !== fd && same === to)) ?? [];
  const isEnd = (to: string) => pipes.find(([fd]) => fd === end)?.[1] === to;
  const [lifeline] = pipes.find(([fd, to]) => !flagsOf(fd).reads && !isEnd(to)) ?? [];
  const outputs = pipes.filter(([fd, to]) => flagsOf(fd).reads && !isEnd(to)).map(([fd]) => fd);
  const ends = { end, lifeline, outputs };
  return { task, supervisor: mine()[0] ?? 0, failure, printed, sink, before, ...ends };
}
/** Writes to its words as somebody else that has the pipe. */
function written(end: number | undefined, bytes: Uint8Array): void {
  const other = openSync(`/proc/self/fd/${end}`, constants.O_WRONLY | constants.O_NONBLOCK);
  while (atOnce(() => writeSync(other, bytes)) === bytes.length && bytes.length > 1000);
  closeSync(other);
}
/** Reads all its words, as somebody else that has the pipe. */
function emptied(other: number): void {
  while (atOnce(() => readSync(other, Buffer.alloc(4096))) > 0);
  closeSync(other);
}
const how = async ({ ended }: LaunchedTask) => {
  const { usage: _, ...rest } = await ended;
  return rest;
};

describe.if(isRoot)("a sandbox that waits", () => {
  test("has its command by what it is given, also where its supervisor was stopped", async () => {
    const { task, supervisor, printed, sink } = await waiting();
    stopped(supervisor);
    const begin = performance.now();
    task.hand(words("echo given; exit 7"), sink);
    await task.started;
    const { usage, ...rest } = await task.ended;
    expect([rest, printed.out]).toEqual([{ exit: 7 }, "given\n"] as never);
    expect([task.mode, task.neverRan, task.input]).toEqual(["pool", false, undefined]);
    // From then on, not from when it began to wait.
    expect(usage.wall).toBeLessThanOrEqual(performance.now() - begin);
  });

  test("has never run where its supervisor dies, and says so", async () => {
    const { task, supervisor, failure } = await waiting();
    process.kill(supervisor, "SIGKILL");
    const error = await failure;
    expect(error).toBeInstanceOf(LaunchError);
    expect(String(error)).toMatch(
      /^LaunchError: launcher: it died before it could tell that the command runs: .*somebody of its user has killed it/,
    );
    const { usage, ...rest } = await task.ended;
    expect<object>(rest).toEqual({ signal: KILL, cause: "supervisor" });
    expect(usage).toMatchObject({ user: 0, system: 0, maxrss: 0 });
    expect([task.pid, task.neverRan]).toEqual([0, true]);
  });

  test("is ended by who needs it no longer, and is nobody's other", async () => {
    const { task, failure, before } = await waiting();
    task.kill();
    task.stop(15);
    task.end();
    expect(await failure).toBeInstanceOf(LaunchError);
    expect(await how(task)).toEqual({ signal: KILL, cause: "stopped" });
    expect(newPipes(before)).toEqual([]);
  });

  test("ends though somebody else has hold of what it would have printed to", async () => {
    const { task, failure, outputs, before } = await waiting();
    expect(outputs).toHaveLength(2);
    const others = outputs.map((fd) => openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY));
    task.kill();
    expect(await failure).toBeInstanceOf(LaunchError);
    expect(await how(task)).toEqual({ signal: KILL, cause: "stopped" });
    for (const fd of others) closeSync(fd);
    expect(newPipes(before)).toEqual([]);
  });

  test("says what is wrong where an order cannot be given, and ends", async () => {
    const { task, failure, lifeline = -1 } = await waiting();
    // Another file that cannot be written, as a mistake with its number would put there.
    putInPlace(openSync("/dev/null", constants.O_RDONLY), lifeline);
    expect(() => task.stop(15)).toThrow("EBADF");
    expect(await failure).toBeInstanceOf(LaunchError);
    await task.ended;
  });

  test("is ended, and has never run, where it does not get all of its words", async () => {
    const { task, failure, sink, end } = await waiting();
    // Nothing is room for by then.
    written(end, Buffer.alloc(4096));
    task.hand(words("echo given"), sink);
    expect(await failure).toBeInstanceOf(LaunchError);
    expect(await how(task)).toMatchObject({ cause: "stopped" });
    expect([task.pid, task.neverRan]).toEqual([0, true]);
  });

  test("has never run where it did not get all of its words, though somebody else has read them all", async () => {
    const { task, supervisor, failure, sink, end } = await waiting();
    const other = openSync(`/proc/self/fd/${end}`, constants.O_RDONLY | constants.O_NONBLOCK);
    written(end, Buffer.alloc(4096));
    // So that nobody tells what has become of it.
    process.kill(supervisor, "SIGKILL");
    task.hand(words("echo given"), sink);
    emptied(other);
    expect(await failure).toBeInstanceOf(LaunchError);
    expect(await how(task)).toEqual({ signal: KILL, cause: "stopped" });
    expect([task.pid, task.neverRan]).toEqual([0, true]);
  });

  test("does not begin by the words of somebody else; where it does, it is ended", async () => {
    const refused = await waiting();
    written(refused.end, words("sleep 1013"));
    expect(String(await refused.failure)).toStartWith(
      "LaunchError: wait words of somebody else: EPERM: ",
    );
    expect(await how(refused.task)).toEqual({ signal: KILL, cause: "supervisor" });
    expect([refused.task.pid, refused.task.neverRan]).toEqual([0, true]);
    // Who has its lifeline, too, wakes it as the server does.
    const begun = await waiting();
    written(begun.lifeline, Uint8Array.of(WAKE));
    written(begun.end, words("sleep 1013"));
    expect(await begun.failure).toBeInstanceOf(LaunchError);
    expect(await how(begun.task)).toEqual({ signal: KILL, cause: "stopped" });
    expect(begun.task.pid).toBe(0);
  });
});
