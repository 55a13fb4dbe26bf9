/** What a reload does to the control groups: those of one config for another's. */
import { expect, test } from "bun:test";
import { Launching } from "../../src/launch/launching.ts";
import { CgroupUnavailable, findPlace } from "../../src/launch/cgroup/place.ts";
import type { OutputSink } from "../../src/launch/task.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";

const hierarchy = (() => {
  try {
    return findPlace(undefined);
  } catch (error) {
    if (error instanceof CgroupUnavailable) return undefined;
    throw error;
  }
})();

test.skipIf(!isRoot || hierarchy === undefined)(
  "launches use those in use; others go at once when they are dropped, and with their last task when they are replaced",
  async () => {
    const api = (uid: string) =>
      compiled({
        uid,
        acls: { user: "nobody" },
        commands: { uid: "c", exec: { cmdpath: "/bin/sleep", args: "1008" } },
      });
    /** Sandboxes that have a group, by name, and how many tasks each has. */
    const groups = () => {
      const found = Bun.spawnSync([
        ...["find", "/sys/fs/cgroup", "-type", "d", "-path", `*/spawnbox/${process.pid}-*/*`],
        ...["-printf", "%P\n"],
      ]).stdout.toString();
      const paths = found.split("\n").map((path) => path.split("/").slice(-2));
      const names = [...found.matchAll(/\/0-t-(\w+)\n/g)].map(([, name]) => name);
      return names.map((name) => {
        const tasks = paths.filter(([parent]) => parent === `0-t-${name}`).length;
        return `${name}: ${tasks}`;
      });
    };
    const sink: OutputSink = { stdout() {}, stderr() {} };
    const launching = new Launching();
    const start = (of: ReturnType<typeof api>) =>
      launching.launch(planOf(of), ["/bin/sleep", "1008"], sink);
    try {
      const [one, two, three] = [api("one"), api("two"), api("three")];
      (await launching.prepare([one])).use();
      const task = await start(one);
      expect(groups()).toEqual(["one: 1"]);

      // A reload that fails after it was prepared.
      const failed = await launching.prepare([two]);
      failed.drop();
      await until("it is gone", () => !groups().join().includes("two"));
      const second = await start(one);
      expect(groups()).toEqual(["one: 2"]);
      second.kill();
      await second.ended;

      (await launching.prepare([three])).use();
      const third = await start(three);
      expect(groups().sort()).toEqual(["one: 1", "three: 1"]);
      task.kill();
      await task.ended;
      await until("the first is gone", () => groups().length === 1);
      expect(groups()).toEqual(["three: 1"]);
      third.kill();
      await third.ended;
    } finally {
      await launching.close();
    }
    expect(groups()).toEqual([]);
  },
);

test("the time of a task is the command's, not that of who reads what it printed", async () => {
  const api = compiled({
    uid: "w",
    ...(isRoot && { acls: { user: "nobody" } }),
    commands: { uid: "c", exec: { cmdpath: "/bin/echo", args: "x" } },
  });
  const launching = new Launching();
  const read = Promise.withResolvers<void>();
  const sink: OutputSink = { stdout: () => read.promise, stderr() {} };
  try {
    (await launching.prepare([api])).use();
    const begin = performance.now();
    const { ended } = await launching.launch(planOf(api), ["/bin/echo", "x"], sink);
    const quiet = Bun.sleep(2000).then(() => "waits");
    expect(await Promise.race([ended, quiet])).toBe("waits");
    read.resolve();
    const { usage } = await ended;
    expect(performance.now() - begin - usage.wall).toBeGreaterThan(1000);
  } finally {
    await launching.close();
  }
});

test("how long it took is told in milliseconds, from the launch on", async () => {
  const api = compiled({
    uid: "w",
    ...(isRoot && { acls: { user: "nobody" } }),
    commands: { uid: "c", exec: { cmdpath: "/bin/sleep", args: "0.1" } },
  });
  const launching = new Launching();
  try {
    (await launching.prepare([api])).use();
    const begin = performance.now();
    const sink: OutputSink = { stdout() {}, stderr() {} };
    const { ended } = await launching.launch(planOf(api), ["/bin/sleep", "0.1"], sink);
    const { usage, exit } = await ended;
    expect(exit).toBe(0);
    expect(usage.wall).toBeWithin(100, performance.now() - begin + 1);
    expect(usage.maxrss).toBeGreaterThan(100);
  } finally {
    await launching.close();
  }
});
