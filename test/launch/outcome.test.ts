/** What an outcome is made of: what the group of a task has counted, what becomes of a supervisor, and who else holds the output. */
import { afterEach, describe, expect, jest, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { agentPid } from "../../src/launch/agent.ts";
import type { GroupUsage, TaskGroup } from "../../src/launch/cgroup.ts";
import { CgroupUnavailable, findPlace } from "../../src/launch/cgroup/place.ts";
import { LaunchedTask } from "../../src/launch/launched.ts";
import { living } from "../../src/launch/living.ts";
import { LaunchError } from "../../src/launch/task.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { withGroups } from "./cgroup-cases.ts";
import { isStopped, killed, parentOf, stopped } from "./processes.ts";
import { turns } from "./turns.ts";

const [KILL, TERM, SYS] = [9, 15, 31];
const made = (more: object = {}) => planOf(compiled({ acls: { user: "nobody" }, ...more }));
const base = isRoot ? made() : undefined;
const hasGroups = (() => {
  try {
    return isRoot && findPlace(undefined) !== undefined;
  } catch (error) {
    if (error instanceof CgroupUnavailable) return false;
    throw error;
  }
})();

/** A shell with what it has printed so far, also before it has begun. */
function launched(script: string, plan = base, group?: TaskGroup) {
  if (!plan) throw new Error("only as root");
  const printed = { out: "" };
  const sink = {
    stdout: (chunk: Uint8Array) => void (printed.out += Buffer.from(chunk).toString()),
    stderr() {},
  };
  const supplied = { argv: ["/bin/sh", "-c", script], env: plan.env };
  const task = LaunchedTask.launch(plan, supplied, sink, group);
  const ready = () => until("it is ready", () => printed.out.includes("ready"));
  return { task, printed, ready };
}
const LIVES = "echo ready; exec sleep 1011";
const without = ({ usage: _, ...how }: Awaited<LaunchedTask["ended"]>) => how;

describe.if(hasGroups)("a group that has counted", () => {
  /** A real one, which says that it has counted so much. @returns what it was told at the end, and how often it was to kill */
  async function counted(
    script: string,
    usage: GroupUsage,
    act: (task: LaunchedTask) => unknown = () => {},
  ) {
    const told: unknown[] = [];
    let outcome: Awaited<LaunchedTask["ended"]> | undefined;
    let out = "";
    await withGroups(undefined, async (root) => {
      const real = root.begin("box");
      if (!real) throw new Error("no group");
      const { task, printed, ready } = launched(script, base, {
        ...{ path: real.path, fd: real.fd, isKept: false },
        kill() {
          told.push("kill");
          real.kill();
        },
        end(...how) {
          told.push(how);
          return { usage, gone: real.end(...how).gone };
        },
      });
      await task.started;
      if (script.includes("ready")) await ready();
      act(task);
      outcome = await task.ended;
      out = printed.out;
    });
    if (!outcome) throw new Error("no outcome");
    return { outcome, how: without(outcome), told, printed: out };
  }
  const usage = (more: Partial<GroupUsage> = {}) => ({ oom: false, user: 0, system: 0, ...more });
  const full = usage({ oom: true });

  test("says who killed what was killed, unless somebody else has said it", async () => {
    const killed = await counted("kill -9 $$", full);
    expect([killed.how, killed.told]).toEqual([{ signal: KILL, cause: "oom" }, [[true, true]]]);
    const inside = (await counted("cat /proc/self/cgroup", full)).printed;
    expect(inside).toMatch(/^0::.*\/0-box\/0$/m);
    expect((await counted("kill -9 $$", usage())).how).toEqual({ signal: KILL });
    const other = await counted("kill -15 $$", full);
    expect([other.how, other.told]).toEqual([{ signal: TERM }, [[true, false]]]);
    expect((await counted("exit 9", full)).how).toEqual({ exit: 9 });
    const stop = await counted(LIVES, full, (task) => task.kill());
    expect([stop.how, stop.told[0]]).toEqual([{ signal: KILL, cause: "stopped" }, "kill"]);
    expect((await counted(LIVES, full, (task) => task.stop(KILL))).how).toEqual({
      ...{ signal: KILL, cause: "stopped" },
    });
  });

  test("tells the time of those that nobody has waited for, too", async () => {
    const user = (await counted("exit 0", usage({ user: 86_400_000 }))).outcome.usage;
    expect([user.user, user.system < 1e6]).toEqual([86_400_000, true]);
    const system = (await counted("exit 0", usage({ system: 86_400_000 }))).outcome.usage;
    expect([system.system, system.user < 1e6]).toEqual([86_400_000, true]);
    // Nothing is less than what the command itself has told.
    const burn = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    expect((await counted(burn, usage())).outcome.usage.user).toBeGreaterThan(1);
  });
});

test.if(hasGroups)(
  "a task whose supervisor was killed has ended once its group is gone",
  async () => {
    await withGroups(undefined, async (root) => {
      const real = root.begin("box");
      if (!real) throw new Error("no group");
      const gate = Promise.withResolvers<void>();
      const ending = Promise.withResolvers<void>();
      const { task, ready } = launched(LIVES, base, {
        ...{ path: real.path, fd: real.fd, isKept: false },
        kill: () => real.kill(),
        end(...how) {
          ending.resolve();
          const { usage, gone } = real.end(...how);
          return { usage, gone: Promise.all([gone, gate.promise]).then(() => {}) };
        },
      });
      await ready();
      let isOver = false;
      void task.ended.then(() => (isOver = true));
      process.kill(parentOf(task.pid), "SIGKILL");
      await ending.promise;
      await turns(50);
      expect(isOver).toBe(false);
      gate.resolve();
      expect(without(await task.ended)).toEqual({ signal: KILL, cause: "supervisor" });
    });
  },
);

test.if(isRoot)("what died before it could tell that it runs may have run", async () => {
  const end = performance.now() + 30_000;
  for (;;) {
    const others = new Set(living.keys());
    const { task } = launched(LIVES);
    const failure = task.started.catch((error: unknown) => error);
    let supervisor: number | undefined;
    while (supervisor === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      supervisor = [...living.keys()].find((pid) => !others.has(pid));
    }
    killed(supervisor);
    await task.ended;
    if (task.pid !== 0) {
      // It was told before.
      expect(performance.now()).toBeLessThan(end);
      continue;
    }
    expect([await failure, task.neverRan]).toEqual([expect.any(LaunchError), false]);
    return;
  }
});

describe.if(isRoot)("a signal", () => {
  test("that asks to end counts however it ends: HUP, INT, QUIT, KILL, TERM", async () => {
    for (const [name, signal] of [
      ["HUP", 1],
      ["INT", 2],
      ["QUIT", 3],
      ["TERM", TERM],
    ] as const) {
      const { task, ready } = launched(
        `trap 'exit 5' ${name}; echo ready; while :; do sleep 0.01; done`,
      );
      await ready();
      task.stop(signal);
      expect(without(await task.ended)).toMatchObject({ exit: 5, cause: "stopped" });
    }
    const { task, ready } = launched("sleep 1011 & echo ready; wait");
    await ready();
    task.stop(KILL);
    expect(without(await task.ended)).toEqual({ signal: KILL, cause: "stopped", others: 1 });
  });

  test("of a filter is told as such, where there is one", async () => {
    const rules = [
      { syscall: "mkdir", action: "SCMP_ACT_KILL" },
      { syscall: "mkdirat", action: "SCMP_ACT_KILL" },
    ];
    const filtered = made({ seccomp: { default: "SCMP_ACT_ALLOW", rules } });
    const killed = await launched("exec mkdir /tmp/none/none", filtered).task.ended;
    expect(without(killed)).toEqual({ signal: SYS, cause: "seccomp" });
    expect(without(await launched("kill -31 $$").task.ended)).toEqual({ signal: SYS });
  });
});

describe.if(isRoot)("a supervisor", () => {
  test("that was stopped is woken by what ends its task, or by the end of the command", async () => {
    for (const act of [
      (task: LaunchedTask) => task.kill(),
      (task: LaunchedTask) => void process.kill(task.pid, "SIGKILL"),
    ]) {
      const { task, ready } = launched(LIVES);
      await ready();
      stopped(parentOf(task.pid));
      act(task);
      expect((await task.ended).signal).toBe(KILL);
    }
  });

  test("that all output comes through is woken while the command runs", async () => {
    const plan = made({ commands: { uid: "c", exec: { cmdpath: "/bin/sh" }, pty: true } });
    const { task, printed, ready } = launched("echo ready; exec yes", plan);
    await ready();
    const supervisor = parentOf(task.pid);
    stopped(supervisor);
    await until("it goes on", () => !isStopped(supervisor));
    const before = printed.out.length;
    await until("more is there", () => printed.out.length > before);
    task.kill();
    expect((await task.ended).signal).toBe(KILL);
  });
});

test.if(isRoot)("whether a command ran is known of each launch", async () => {
  const ran = launched("exit 0").task;
  await ran.started;
  await ran.ended;
  expect(ran.neverRan).toBe(false);
  if (!base) return;
  const supplied = { argv: ["/bin/none-such"], env: base.env };
  const none = LaunchedTask.launch(base, supplied, { stdout() {}, stderr() {} }, undefined);
  expect(none.started).rejects.toThrow("ENOENT");
  await none.ended;
  expect([none.neverRan, none.pid]).toEqual([true, 0]);
});

test.if(isRoot)("who else holds its output keeps a task for a moment only", async () => {
  const terminal = made({ commands: { uid: "c", exec: { cmdpath: "/bin/sh" }, pty: true } });
  const tasks = [launched(LIVES), launched(LIVES), launched(LIVES, terminal)];
  await Promise.all(tasks.map(({ ready }) => ready()));
  // That of a terminal is the supervisor's.
  const holders = tasks.map(({ task }, i) => (i < 2 ? task.pid : parentOf(task.pid)));
  const held = holders.map((pid, i) => openSync(`/proc/${pid}/fd/${i === 1 ? 2 : 1}`, "w"));
  try {
    for (const { task } of tasks) task.kill();
    for (const { task, printed } of tasks) {
      expect((await task.ended).signal).toBe(KILL);
      expect(printed.out.trim()).toBe("ready");
    }
  } finally {
    held.forEach(closeSync);
  }
});

describe.if(isRoot)("a launch that does not begin", () => {
  afterEach(() => void jest.useRealTimers());
  test("is given up after half a minute, and ended", async () => {
    await launched("true").task.ended;
    stopped(agentPid() ?? 0);
    jest.useFakeTimers();
    const { task } = launched("sleep 1011");
    let failure: unknown;
    void task.started.catch((error: unknown) => (failure = error));
    const turn = () => new Promise((resolve) => process.nextTick(resolve));
    jest.advanceTimersByTime(29_999);
    await turn();
    expect(failure).toBeUndefined();
    jest.advanceTimersByTime(1);
    await turn();
    expect(failure).toBeInstanceOf(LaunchError);
    expect(String(failure)).toBe(
      "LaunchError: launcher: it was not started within 30 s: a file system does not answer, or the machine is overloaded",
    );
    jest.useRealTimers();
    expect(without(await task.ended)).toMatchObject({ signal: KILL, cause: "timeout" });
  });
});
