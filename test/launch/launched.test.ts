/** One launch from its start to its outcome: what is told of each end, and who has brought it about. */
import { describe, expect, jest, spyOn, test } from "bun:test";
import { launch } from "../../src/launch/launch.ts";
import { LaunchError, type Outcome, type Task } from "../../src/launch/task.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { killed, parentOf } from "./processes.ts";

const [INT, KILL, USR1, TERM, WINCH] = [2, 9, 10, 15, 28];
const base = isRoot ? planOf(compiled({ acls: { user: "nobody" } })) : undefined;

/** A shell that runs a script, with what it has printed so far. */
async function started(script: string, more: Partial<Plan> = {}, held?: Promise<unknown>) {
  if (!base) throw new Error("only as root");
  const printed = { out: "", err: "" };
  const task = await launch({ ...base, ...more }, ["/bin/sh", "-c", script], {
    stdout: (chunk) => {
      printed.out += Buffer.from(chunk).toString();
      if (held) return held.then(() => {});
    },
    stderr: (chunk) => void (printed.err += Buffer.from(chunk).toString()),
  });
  return { task, printed };
}

/** Once it has said that it is ready, that is done to it. */
async function ended(script: string, act: (task: Task) => unknown, more: Partial<Plan> = {}) {
  const { task, printed } = await started(script, more);
  await until("it is ready", () => printed.out.includes("ready"));
  act(task);
  const { usage: _, ...how } = await task.ended;
  return how as Omit<Outcome, "usage">;
}
const LIVES = "trap '' INT TERM USR1; echo ready; sleep 1007 & wait; wait; wait";
const stop = (signal: number, grace: number) => ({ stop: { signal, grace } });

describe.if(isRoot)("a command", () => {
  test("ends by itself, with what it has printed until then", async () => {
    const { task, printed } = await started("echo a; echo b >&2; echo c; exit 3");
    expect([task.mode, task.pid > 1]).toEqual(["cold", true]);
    const { usage, ...how } = await task.ended;
    expect([how, printed]).toEqual([{ exit: 3 }, { out: "a\nc\n", err: "b\n" }] as never);
    expect(Object.keys(usage)).toEqual(["wall", "user", "system", "maxrss"]);
    const died = await started("kill -9 $$");
    expect((await died.task.ended).signal).toBe(KILL);
    expect((await (await started("exit 255")).task.ended).exit).toBe(255);
  });

  test("that is short is read without a stream of its own", async () => {
    // Of all launches there is one, from the first of them on.
    await (
      await started("true")
    ).task.ended;
    jest.useFakeTimers();
    const files = spyOn(Bun, "file");
    try {
      // By this clock it takes no time.
      const { task, printed } = await started("echo a; echo b >&2");
      expect((await task.ended).exit).toBe(0);
      expect(printed).toEqual({ out: "a\n", err: "b\n" });
      expect(files.mock.calls.filter(([of]) => typeof of === "number")).toEqual([]);
    } finally {
      files.mockRestore();
      jest.useRealTimers();
    }
  });

  test("has ended once all that it has printed is taken", async () => {
    const gate = Promise.withResolvers<void>();
    const { task, printed } = await started("echo a; exit 0", {}, gate.promise);
    await until("it is there", () => printed.out === "a\n");
    let isOver = false;
    void task.ended.then(() => (isOver = true));
    for (let i = 0; i < 20; i++) await Bun.sleep(1);
    expect(isOver).toBe(false);
    gate.resolve();
    await task.ended;
  });

  test("reads what it is given, to its end", async () => {
    const { task, printed } = await started("cat; echo over", { input: 100 });
    expect(await task.input?.give(new TextEncoder().encode("ab"))).toBe(true);
    task.input?.end();
    expect((await task.ended).exit).toBe(0);
    expect(printed.out).toBe("abover\n");
    expect(await task.input?.give(new TextEncoder().encode("c"))).toBe(false);
    expect((await started("cat; echo nothing")).task.input).toBeUndefined();
  });

  test("that cannot be executed is refused, and nothing is left of it", async () => {
    if (!base) return;
    const sink = { stdout() {}, stderr() {} };
    const failing = launch(base, ["/bin/none-such"], sink);
    const error = await failing.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LaunchError);
    expect(error).toMatchObject({ step: "exec", what: "/bin/none-such", errno: "ENOENT" });
  });

  test("that is given up before it has begun does not begin", async () => {
    if (!base) return;
    const sink = { stdout() {}, stderr() {} };
    const abort = new AbortController();
    abort.abort();
    // However fast it would be: often enough for one that runs before a kill reaches it.
    for (let i = 0; i < 20; i++)
      expect(launch(base, ["/bin/sleep", "1007"], sink, abort.signal)).rejects.toThrow(
        "it was given up before it began",
      );
    const late = new AbortController();
    const task = await launch(base, ["/bin/sleep", "1007"], sink, late.signal);
    late.abort();
    // It runs: that is nobody's business any more.
    for (let i = 0; i < 5; i++) await Bun.sleep(1);
    expect(process.kill(task.pid, 0)).toBe(true);
    task.kill();
    expect(await task.ended).toMatchObject({ signal: KILL, cause: "stopped" });
  });
});

describe.if(isRoot)("a stop", () => {
  test("is SIGINT, unless the config says otherwise, and after the grace the kill of all that is left", async () => {
    const usual = await ended("echo ready; exec sleep 1007", (task) => task.stop());
    expect(usual).toEqual({ signal: INT, cause: "stopped" });
    const group = await ended("sleep 1007 & echo ready; wait", (task) => task.stop());
    expect(group).toEqual({ signal: INT, cause: "stopped", others: 1 });
    const cleans = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    const own = await ended(cleans, (task) => task.stop(), stop(TERM, 60_000));
    expect(own).toMatchObject({ exit: 4, cause: "stopped" });
    const left = await ended(LIVES, (task) => task.stop(), stop(TERM, 50));
    expect(left).toEqual({ signal: KILL, cause: "stopped", others: 1 });
  });

  test("by a signal that asks to end counts, however it ends; by another only where it dies of it", async () => {
    const exits = (name: string) =>
      `trap 'exit 5' ${name}; echo ready; while :; do sleep 0.01; done`;
    const by = (script: string, signal: number) => ended(script, (task) => task.stop(signal));
    expect(await by(exits("TERM"), TERM)).toMatchObject({ exit: 5, cause: "stopped" });
    expect(await by(exits("USR1"), USR1)).toEqual({ exit: 5 });
    expect(await by("echo ready; exec sleep 1007", USR1)).toEqual({
      signal: USR1,
      cause: "stopped",
    });
    // It lived through the one, and died of another.
    const lives = "trap 'kill -9 $$' USR1; echo ready; while :; do sleep 0.01; done";
    expect(await by(lives, USR1)).toEqual({ signal: KILL });
  });

  test("at the end of the server is a kill, or as the config says: once", async () => {
    const killed = await ended("echo ready; exec sleep 1007", (task) => task.end());
    expect(killed).toEqual({ signal: KILL, cause: "stopped" });
    // Signals of a higher number are seen to behind those of a lower one.
    const counts =
      "n=0; trap 'n=$((n+1)); echo told' TERM; trap 'exit $n' WINCH; echo ready; while :; do sleep 0.01; done";
    const { task, printed } = await started(counts, stop(TERM, 60_000));
    await until("it is ready", () => printed.out.includes("ready"));
    task.end();
    await until("it was told", () => printed.out.includes("told"));
    task.end();
    task.stop(WINCH);
    expect(await task.ended).toMatchObject({ exit: 1, cause: "stopped" });
    const both = (task: Task) => {
      task.kill();
      task.kill();
    };
    expect(await ended(LIVES, both)).toMatchObject({ signal: KILL, cause: "stopped" });
  });
});

test.if(isRoot)(
  "what is ordered of a supervisor that was just killed is no failure, and all ends",
  async () => {
    const { task, printed } = await started("echo ready; exec sleep 1007");
    await until("it is ready", () => printed.out !== "");
    killed(parentOf(task.pid));
    task.stop(USR1);
    task.stop();
    expect(await task.ended).toMatchObject({ signal: KILL, cause: "supervisor" });
    expect(() => process.kill(task.pid, 0)).toThrow("ESRCH");
  },
);

describe.if(isRoot)("a time-out", () => {
  test("kills, and counts those that were there besides", async () => {
    const how = await ended("sleep 1007 & sleep 1007 & echo ready; wait", () => {}, {
      timeout: 1000,
    });
    expect(how).toEqual({ signal: KILL, cause: "timeout", others: 2 });
  });

  test("of a millisecond, the shortest, is one", async () => {
    const { task } = await started("exec sleep 1007", { timeout: 1 });
    expect(await task.ended).toMatchObject({ signal: KILL, cause: "timeout" });
  });

  test("asks as the config says; what ends then ends by that", async () => {
    const exits = "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done";
    expect(await ended(exits, () => {}, { timeout: 700, ...stop(TERM, 60_000) })).toMatchObject({
      ...{ exit: 6, cause: "timeout" },
    });
    expect(await ended(LIVES, () => {}, { timeout: 700, ...stop(TERM, 50) })).toMatchObject({
      ...{ signal: KILL, cause: "timeout" },
    });
  });

  test("is none of one that has ended, or was stopped before", async () => {
    const { task } = await started("exit 0", { timeout: 10_000 });
    expect(await task.ended).not.toHaveProperty("cause");
    const stopped = await ended("echo ready; exec sleep 1007", (one) => one.stop(TERM), {
      timeout: 20_000,
    });
    expect(stopped).toEqual({ signal: TERM, cause: "stopped" });
  });
});
