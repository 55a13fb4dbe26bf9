/** Sandboxes that wait, while what they were made of changes. */
import { describe, expect, jest, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { living } from "../../src/launch/living.ts";
import { Pools } from "../../src/launch/pool.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, system, until } from "../served.ts";
import { turns, turnsUntil } from "./turns.ts";

test.skipIf(!isRoot)(
  "one that has found what came just before it was made is no other's once that is gone again",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-pools-"));
    const source = join(dir, "late");
    const mounts = [...system, { target: "/late", source, mode: "ro", optional: true }];
    const api = compiled({
      acls: { user: "nobody" },
      namespace: { shares: { all: "disable" }, mounts },
      pool: 1,
      commands: { uid: "c", exec: { cmdpath: "/bin/cat", args: "/late" } },
    });
    const printed: string[] = [];
    let made = 0;
    // It is asked between the look at what there is and the launch.
    const pools = new Pools(() => {
      if (made++ === 0) writeFileSync(source, "late");
      return undefined;
    });
    try {
      jest.useFakeTimers();
      pools.serve([api]);
      await turnsUntil("it is made anew", () => {
        jest.advanceTimersByTime(1);
        return made === 2;
      });
      jest.useRealTimers();
      rmSync(source);
      const plan = planOf(api);
      const sink = {
        stdout: (chunk: Uint8Array) => void printed.push(new TextDecoder().decode(chunk)),
        stderr() {},
      };
      await until("it waits", () => pools.ready === 1);
      const task = await pools.take(plan, { argv: ["/bin/cat", "/late"], env: plan.env }, sink);
      await task?.started;
      await task?.ended;
      expect(printed).toEqual([]);
    } finally {
      jest.useRealTimers();
      await pools.close();
      rmSync(dir, { recursive: true });
    }
  },
);

describe.if(isRoot)("sandboxes that wait", () => {
  const api = (size: number) =>
    compiled({
      acls: { user: "nobody" },
      namespace: { shares: { all: "disable" }, mounts: system },
      pool: size,
      commands: { uid: "c", exec: { cmdpath: "/bin/true" } },
    });
  /** As a reload that wants so many of the same. */
  const want = (of: ReturnType<typeof api>, size: number) => {
    const { pool } = planOf(of);
    if (pool) Object.assign(pool, { size });
    return of;
  };
  const sink = { stdout() {}, stderr() {} };
  const given = (of: ReturnType<typeof api>) => ({
    argv: ["/bin/true"],
    env: planOf(of).env,
  });

  /** With pools that have made so many groups. */
  async function serving(work: (pools: Pools, made: () => number) => Promise<void>) {
    let made = 0;
    const others = new Set(living.keys());
    const pools = new Pools(() => {
      made++;
      return undefined;
    });
    try {
      await work(pools, () => made);
    } finally {
      await pools.close();
      expect(pools.ready).toBe(0);
      await until("none is left", () => [...living.keys()].every((pid) => others.has(pid)));
    }
  }

  test("are as many as is asked for now, and those that were there stay", async () => {
    await serving(async (pools, made) => {
      const of = api(2);
      pools.serve([of]);
      expect(pools.ready).toBe(0);
      await until("two wait", () => pools.ready === 2);
      pools.serve([want(of, 3)]);
      expect([pools.ready, made()]).toEqual([2, 2]);
      await until("three wait", () => pools.ready === 3);
      pools.serve([want(of, 1)]);
      expect([pools.ready, made()]).toEqual([1, 3]);
      pools.serve([of]);
      expect([pools.ready, made()]).toEqual([1, 3]);
      pools.serve([]);
      expect(pools.ready).toBe(0);
      expect(await pools.take(planOf(of), given(of), sink)).toBeUndefined();
    });
  });

  test("are used once each, the oldest first, and others made behind them", async () => {
    await serving(async (pools, made) => {
      const of = api(1);
      pools.serve([of]);
      expect(await pools.take(planOf(of), given(of), sink)).toBeUndefined();
      await until("one waits", () => pools.ready === 1);
      const task = await pools.take(planOf(of), given(of), sink);
      expect([pools.ready, task?.mode]).toEqual([0, "pool"]);
      await task?.started;
      expect((await task?.ended)?.exit).toBe(0);
      await until("another waits", () => pools.ready === 1);
      expect(made()).toBe(2);
      // What no pipe holds is launched otherwise, and keeps nothing from waiting.
      const long = { ...given(of), argv: ["/bin/true", "x".repeat(70_000)] };
      expect(await pools.take(planOf(of), long, sink)).toBeUndefined();
      expect(pools.ready).toBe(1);
    });
  });

  test("are for who has the same environment, and else make place for others", async () => {
    await serving(async (pools, made) => {
      const of = api(1);
      pools.serve([of]);
      await until("one waits", () => pools.ready === 1);
      const equal = { ...given(of), env: { ...planOf(of).env } };
      const task = await pools.take(planOf(of), equal, sink);
      expect(task).toBeDefined();
      await task?.ended;
      await until("another waits", () => pools.ready === 1);
      const other = { ...given(of), env: { OTHER: "1" } };
      expect(await pools.take(planOf(of), other, sink)).toBeUndefined();
      expect(pools.ready).toBe(0);
      await until("another waits", () => pools.ready === 1);
      expect(made()).toBe(3);
    });
  });

  test("give way by halves to what finds no room, and are not made anew at once", async () => {
    await serving(async (pools, made) => {
      expect(await pools.giveWay()).toBe(false);
      const of = api(3);
      pools.serve([of]);
      await until("three wait", () => pools.ready === 3);
      const before = made();
      jest.useFakeTimers();
      try {
        expect([await pools.giveWay(), pools.ready]).toEqual([true, 1]);
        expect([await pools.giveWay(), pools.ready]).toEqual([true, 0]);
        expect(await pools.giveWay()).toBe(false);
        pools.look();
        // Nor for who finds none.
        expect(await pools.take(planOf(of), given(of), sink)).toBeUndefined();
        jest.advanceTimersByTime(9_000);
        await turns(20);
        expect(made()).toBe(before);
        jest.advanceTimersByTime(2_000);
      } finally {
        jest.useRealTimers();
      }
      await until("one is made anew", () => made() > before);
    });
  });

  test("that do not end keep a launch for two seconds at most", async () => {
    await serving(async (pools) => {
      pools.serve([api(2)]);
      await until("two wait", () => pools.ready === 2);
      jest.useFakeTimers();
      try {
        // In this turn of the event loop nobody hears of an end.
        const waits = pools.giveWay();
        jest.advanceTimersByTime(2000);
        expect(await waits).toBe(false);
        jest.useRealTimers();
        expect(await pools.giveWay()).toBe(true);
      } finally {
        jest.useRealTimers();
      }
    });
  });

  test("are not made any more once they are not wanted, though that has begun", async () => {
    await serving(async (pools, made) => {
      jest.useFakeTimers();
      try {
        pools.serve([api(1)]);
        pools.serve([]);
        expect(jest.getTimerCount()).toBe(0);
        pools.serve([api(1)]);
        jest.advanceTimersByTime(5);
        // What there is is being looked at.
        pools.serve([]);
      } finally {
        jest.useRealTimers();
      }
      for (let i = 0; i < 5; i++) await Bun.sleep(5);
      expect([pools.ready, made()]).toEqual([0, 0]);
    });
  });

  test("go on waiting where nobody can tell whether they are as they should be", async () => {
    await serving(async (pools, made) => {
      const of = api(1);
      // Through a link of /proc nobody answers at once.
      const bind = planOf(of).policy.mounts?.find(({ kind }) => kind === "bind");
      Object.assign(bind ?? {}, { asked: "/proc/self/cwd" });
      jest.useFakeTimers();
      try {
        pools.serve([of]);
        jest.advanceTimersByTime(5);
        // What is asked has no answer by then, and is asked again.
        jest.advanceTimersByTime(100);
        expect(made()).toBe(0);
        jest.advanceTimersByTime(998);
        await turnsUntil("it is made", () => {
          jest.advanceTimersByTime(1);
          return made() > 0;
        });
      } finally {
        jest.useRealTimers();
      }
      await until("one waits", () => pools.ready === 1);
      jest.useFakeTimers();
      try {
        const taken = pools.take(planOf(of), given(of), sink);
        jest.advanceTimersByTime(100);
        expect(await taken).toBeUndefined();
      } finally {
        jest.useRealTimers();
      }
      expect([pools.ready, made()]).toEqual([1, 1]);
      let task: Awaited<ReturnType<typeof pools.take>>;
      await until("it is answered", async () => {
        task = await pools.take(planOf(of), given(of), sink);
        return task !== undefined;
      });
      expect((await task?.ended)?.exit).toBe(0);
    });
  });

  test("are none of which the secrets cannot be read", async () => {
    await serving(async (pools, made) => {
      const of = api(1);
      const missing = { ...planOf(of), secrets: { files: [], env: { A: "/none" }, kept: [] } };
      const [sandbox] = of.sandboxes;
      pools.serve([{ ...of, sandboxes: [{ ...sandbox, uid: "s", plans: [missing] }] }] as never);
      for (let i = 0; i < 5; i++) await Bun.sleep(5);
      // Its secrets cannot be read.
      expect([pools.ready, made()]).toEqual([0, 0]);
    });
  });

  test("are no more than so many of which none lasts", async () => {
    await serving(async (pools, made) => {
      const source = mkdtempSync(join(tmpdir(), "spawnbox-pools-"));
      const mounts = [...system, { target: "/data", source, mode: "ro" }];
      const of = compiled({
        ...{ acls: { user: "nobody" }, pool: 3 },
        namespace: { shares: { all: "disable" }, mounts },
      });
      rmSync(source, { recursive: true });
      pools.serve([of]);
      await until("one was made", () => made() > 0);
      for (let i = 0; i < 20; i++) await Bun.sleep(5);
      expect(made()).toBeLessThanOrEqual(3);
    });
  });

  test("wait until later where one could not be made", async () => {
    let made = 0;
    const pools = new Pools(() => {
      if (made++ === 0) throw new Error("none is left");
      return undefined;
    });
    const of = api(1);
    jest.useFakeTimers();
    try {
      pools.serve([of]);
      jest.advanceTimersByTime(5);
      await turnsUntil("one is made", () => made === 1);
      expect(pools.ready).toBe(0);
      expect(await pools.take(planOf(of), given(of), sink)).toBeUndefined();
      jest.advanceTimersByTime(9_000);
      await turns(50);
      expect(made).toBe(1);
      jest.advanceTimersByTime(1_000);
    } finally {
      jest.useRealTimers();
    }
    await until("one waits", () => pools.ready === 1);
    await pools.close();
  });

  test("that end by themselves are not made anew before the next request", async () => {
    await serving(async (pools, made) => {
      const of = api(1);
      const others = new Set(living.keys());
      pools.serve([of]);
      await until("one waits, and is known", () => living.size > others.size);
      expect(pools.ready).toBe(1);
      for (const pid of living.keys()) if (!others.has(pid)) process.kill(pid, "SIGKILL");
      await until("it is gone", () => pools.ready === 0);
      for (let i = 0; i < 5; i++) await Bun.sleep(5);
      expect([pools.ready, made()]).toEqual([0, 1]);
      expect(await pools.take(planOf(of), given(of), sink)).toBeUndefined();
      await until("another waits", () => pools.ready === 1);
      expect(made()).toBe(2);
      // Others of the same are none of its business.
      pools.serve([want(of, 2)]);
      await until("two wait", () => pools.ready === 2);
    });
  });

  test("are ended with the pools, and those that give way as well", async () => {
    const others = new Set(living.keys());
    const mine = () => [...living.keys()].filter((pid) => !others.has(pid));
    await serving(async (pools) => {
      pools.serve([api(2)]);
      await until("two wait, and are known", () => mine().length === 2);
      const going = pools.giveWay();
      expect(pools.ready).toBe(1);
      // Whoever asks meanwhile waits for the same.
      expect(await pools.giveWay()).toBe(true);
      expect(await going).toBe(true);
      expect(mine()).toEqual([]);
      pools.serve([api(1)]);
      await until("another waits, and is known", () => mine().length === 1);
    });
    expect(mine()).toEqual([]);
  });
});
