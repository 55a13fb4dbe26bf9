/** What is launched once more, with what, and how often; and what is not, since it may have run. */
import { describe, expect, test } from "bun:test";
import { agentPid, aheadOf, startAgent } from "../../src/launch/agent.ts";
import type { TaskGroup } from "../../src/launch/cgroup.ts";
import { createLaunch } from "../../src/launch/launch.ts";
import { LaunchedTask } from "../../src/launch/launched.ts";
import { living } from "../../src/launch/living.ts";
import { LOST, NO_AGENT } from "../../src/launch/no-agent.ts";
import { LaunchError } from "../../src/launch/task.ts";
import { wordsOf } from "../../src/launch/words-pipe.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { childrenOf, isReady, isRunning, killed } from "./processes.ts";

const plan = isRoot ? planOf(compiled({ acls: { user: "nobody" }, pool: 1 })) : undefined;
const sink = { stdout() {}, stderr() {} };
const SLEEPS = ["/bin/sleep", "1017"];

/** A way to launch, and what it has asked for so far. */
function launching({
  begin = () => {},
  take,
  ways = [],
}: {
  begin?: () => void;
  take?: () => Promise<LaunchedTask>;
  ways?: boolean[];
} = {}) {
  const asked: string[] = [];
  const launch = createLaunch(
    {
      begin: (_key, isNew): TaskGroup | undefined => {
        asked.push(`group${isNew ? " anew" : ""}`);
        begin();
        return undefined;
      },
    },
    {
      look: () => void asked.push("look"),
      take: async () => {
        asked.push("take");
        return take?.();
      },
      giveWay: async () => {
        asked.push("way");
        return ways.shift() ?? false;
      },
    },
  );
  const run = (argv: readonly string[] = SLEEPS, abort?: AbortSignal) => {
    if (!plan) throw new Error("only as root");
    return launch(plan, argv, sink, abort);
  };
  return { run, asked };
}
/** One that was ready, with its command line. @param before what becomes of its supervisor then */
async function ready(before: (supervisor: number) => unknown) {
  if (!plan?.pool) throw new Error("only as root");
  const others = new Set(living.keys());
  const task = LaunchedTask.warm(plan, plan.pool.ops, undefined);
  task.started.catch(() => {});
  const mine = () => [...living.keys()].filter((pid) => !others.has(pid));
  await until("it is known", () => mine().length === 1);
  const [supervisor = 0] = mine();
  await until("there is who waits", () => childrenOf(supervisor).length > 0);
  before(supervisor);
  task.hand(wordsOf(SLEEPS) ?? new Uint8Array(), sink);
  return task;
}
const failure = (launched: Promise<unknown>) =>
  launched.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.if(isRoot)("a launch", () => {
  test("has what is ready, and no group then", async () => {
    const { run, asked } = launching({ take: () => ready(() => {}) });
    const task = await run();
    expect([task.mode, asked]).toEqual(["pool", ["look", "take"]]);
    task.kill();
    await task.ended;
  });

  test("is done anew where what was ready has died before it ran, unless it was given up", async () => {
    // With who would read its words.
    const dead = (supervisor: number) => {
      const waiting = childrenOf(supervisor);
      for (const pid of waiting) process.kill(pid, "SIGKILL");
      // Woken by what it is given, it could read that before it dies.
      while (waiting.some(isRunning));
      killed(supervisor);
    };
    const { run, asked } = launching({ take: () => ready(dead) });
    const task = await run();
    expect([task.mode, asked]).toEqual(["cold", ["look", "take", "group"]]);
    task.kill();
    await task.ended;
    const abort = new AbortController();
    const given = launching({
      take: () => {
        abort.abort();
        return ready(dead);
      },
    });
    expect(await failure(given.run(SLEEPS, abort.signal))).toBeInstanceOf(LaunchError);
    expect(given.asked).toEqual(["look", "take"]);
    // Before it began nothing is asked for.
    const late = launching({ take: () => ready(dead) });
    expect(await failure(late.run(SLEEPS, abort.signal))).toBeInstanceOf(LaunchError);
    expect(late.asked).toEqual([]);
  });

  test("that is given up while it is on its way is ended, wherever it is by then", async () => {
    for (let i = 0; i < 5; i++) {
      const abort = new AbortController();
      const begin = () => queueMicrotask(() => abort.abort());
      const task = await launching({ begin })
        .run(SLEEPS, abort.signal)
        .catch(() => undefined);
      if (task) expect(await task.ended).toMatchObject({ signal: 9, cause: "stopped" });
    }
  });

  test("is not done anew where nobody knows whether it was made", async () => {
    // A moment behind the message that asks for it: it may have been made already.
    let tries = 0;
    const begin = () => {
      startAgent();
      const pid = agentPid() ?? 0;
      // On a single processor nobody is made ahead.
      const [reader = pid] = aheadOf(pid);
      queueMicrotask(() => {
        const at = performance.now() + (tries++ % 40) / 100;
        while (performance.now() < at);
        process.kill(reader, "SIGKILL");
      });
    };
    const end = performance.now() + 30_000;
    for (;;) {
      const task = await launching({ begin })
        .run()
        .catch((error: unknown) => error);
      // What nobody had read is done anew, and its next reader is killed, too.
      if (task === LOST) return;
      expect(performance.now()).toBeLessThan(end);
      if (task instanceof Error) continue;
      (task as LaunchedTask).kill();
      await (task as LaunchedTask).ended;
    }
  });

  test("is done anew where who was to make it had been changed, but not for ever", async () => {
    let changes = 1;
    const begin = () => {
      startAgent();
      const pid = agentPid() ?? 0;
      // What it was made with it takes for what the server has.
      while (!isReady(pid));
      // Who was made ahead, too.
      if (changes-- > 0) Bun.spawnSync(["renice", "-n", "19", "-g", `${pid}`]);
    };
    const { run, asked } = launching({ begin });
    const task = await run();
    expect(asked).toEqual(["look", "take", "group", "group"]);
    task.kill();
    await task.ended;
    asked.length = 0;
    changes = 2;
    const later = await run();
    expect(asked).toEqual(["look", "take", "group", "group", "group"]);
    later.kill();
    await later.ended;
    asked.length = 0;
    changes = Infinity;
    expect(await failure(run())).toBe(NO_AGENT);
    expect(asked).toEqual(["look", "take", "group", "group", "group"]);
    changes = 0;
  });

  test("that finds no room is done anew as long as others give way", async () => {
    const full = new LaunchError("cgroup", "", "EMFILE", "");
    let failures = 2;
    const begin = () => {
      if (failures-- > 0) throw full;
    };
    const { run, asked } = launching({ begin, ways: [true, true] });
    const task = await run();
    expect(asked).toEqual(["look", "take", "group", "way", "group", "way", "group"]);
    task.kill();
    await task.ended;
    failures = 2;
    const refused = launching({ begin, ways: [true] });
    expect(await failure(refused.run())).toBe(full);
    expect(refused.asked).toEqual(["look", "take", "group", "way", "group", "way"]);
    // Another reason is nobody's to give way for.
    const none = launching({ ways: [true, true] });
    expect(String(await failure(none.run(["/bin/none-such"])))).toContain("ENOENT");
    expect(none.asked).toEqual(["look", "take", "group"]);
  });
});
