/** What a reload does to the control groups: those of one config for another's. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/config/problem.ts";
import { agentPid, aheadOf } from "../../src/launch/agent.ts";
import { Launching } from "../../src/launch/launching.ts";
import { CgroupUnavailable, findPlace } from "../../src/launch/cgroup/place.ts";
import type { OutputSink } from "../../src/launch/task.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { ownDescriptors } from "../descriptors.ts";
import { isRoot, system, until } from "../served.ts";
import { hasProcessors, killedAll } from "./processes.ts";

const hierarchy = (() => {
  try {
    return findPlace(undefined);
  } catch (error) {
    if (error instanceof CgroupUnavailable) return undefined;
    throw error;
  }
})();

const hasMemory =
  hierarchy !== undefined &&
  /\bmemory\b/.test(readFileSync(join(hierarchy.base, "cgroup.controllers"), "utf8"));

describe("limits that cannot be had here", () => {
  const prepared = (sandbox: object, trial = true) =>
    new Launching().prepare(
      [
        compiled({
          ...{ acls: { user: "nobody" }, cgroups: { mount: "/none", pids: 9 }, exec: true },
          ...sandbox,
        }),
      ],
      { trial, lookOnly: true },
    );
  const why = "/none is not a mounted cgroup v2 hierarchy";

  test.each([true, false])(
    "leave a sandbox out that may be missing, and say why; tried: %p",
    async (trial) => {
      const { apis, notices, drop } = await prepared({ optional: true }, trial);
      drop();
      const [sandbox] = apis[0]?.sandboxes ?? [];
      expect([sandbox?.plans, sandbox?.exec]).toEqual([[], undefined]);
      expect(sandbox?.unavailable).toMatchObject([
        { verb: "c", reason: expect.stringContaining(why) },
      ]);
      expect(notices).toMatchObject([
        { path: "sandboxes[0]", message: expect.stringContaining(`not available: ${why}`) },
      ]);
    },
  );

  test("are a problem where one of its commands must be there", async () => {
    const exec = { cmdpath: "/bin/true" };
    const commands = [
      { uid: "must", optional: false, exec },
      { uid: "may", exec },
    ];
    const refused = await prepared({ optional: true, commands }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConfigError);
    expect(`${(refused as Error).message}`).toContain(why);
  });
});

test.if(isRoot)(
  "what no plan served leaves in the bounding set is dropped for all, by and by also what others have had",
  async () => {
    const having = (caps: string[], more: object = {}) =>
      compiled({ acls: { user: "nobody" }, caps, ...more });
    const launching = new Launching();
    /** What it has left after a launch. */
    const left = async (api: ReturnType<typeof having>) => {
      const ignore = () => {};
      const sink: OutputSink = { stdout: ignore, stderr: ignore };
      await (
        await launching.launch(planOf(api), ["/bin/true"], sink)
      ).ended;
      // It drops what it has been told before it makes another ahead.
      const pid = agentPid() ?? 0;
      await until("the next one is there", () => !hasProcessors || aheadOf(pid).length > 0);
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      return [agentPid(), BigInt(`0x${/^CapBnd:\t(\S+)/m.exec(status)?.[1]}`)];
    };
    const [none, chown, kill] = [having([]), having(["CHOWN"]), having(["KILL"])];
    const [CHOWN, KILL] = [1n << 0n, 1n << 5n];
    try {
      const anew = async () => {
        const pid = agentPid();
        if (pid !== undefined) killedAll(pid);
        await until("that is told", () => pid === undefined || agentPid() !== pid);
        return (await left(none))[1];
      };
      (await launching.prepare([none, chown])).use();
      expect(await anew()).toBe(CHOWN);
      const [agent] = await left(chown);
      expect(await left(none)).toEqual([agent, CHOWN]);
      // Not served, and what is refused: no matter to what is.
      const drops = await launching.prepare([kill]);
      expect(await anew()).toBe(CHOWN | KILL);
      drops.drop();
      expect(await anew()).toBe(CHOWN);
      const gone = mkdtempSync(join(tmpdir(), "spawnbox-gone-"));
      const mounts = [...system, { target: "/data", source: gone, mode: "ro" }];
      const broken = having(["KILL"], { namespace: { mounts } });
      rmSync(gone, { recursive: true });
      const refused = launching.prepare([broken], { trial: true }).catch((error: unknown) => error);
      expect(await refused).toBeInstanceOf(ConfigError);
      expect(await anew()).toBe(CHOWN);
      // A launch of something else.
      const [other, both] = await left(kill);
      expect(both).toBe(CHOWN | KILL);
      expect(await left(none)).toEqual([other, CHOWN]);
      // Those before are not served any more.
      (await launching.prepare([kill])).use();
      expect((await left(kill))[1]).toBe(KILL);
    } finally {
      await launching.close();
    }
  },
);

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

describe.if(isRoot)("what is prepared", () => {
  const api = (uid: string, more: object = {}) =>
    compiled({
      uid,
      acls: { user: "nobody" },
      commands: { uid: "c", exec: { cmdpath: "/bin/sleep", args: "1008" } },
      ...more,
    });
  const sink: OutputSink = { stdout() {}, stderr() {} };
  const start = (launching: Launching, of: ReturnType<typeof api>) =>
    launching.launch(planOf(of), ["/bin/sleep", "1008"], sink);
  const groupsOfAll = () => {
    const parent = join(hierarchy?.base ?? "/none", "spawnbox");
    return existsSync(parent) ? readdirSync(parent) : [];
  };
  // One that was killed may have had the same number.
  const left = new Set(groupsOfAll());
  const ownGroups = () =>
    groupsOfAll().filter((name) => name.startsWith(`${process.pid}-`) && !left.has(name));
  const memfds = () =>
    [...ownDescriptors()].filter(([, to]) => to.includes("memfd:spawnbox-plan")).map(([fd]) => fd);

  test("has no groups where nobody needs any, nor after a failure", async () => {
    const launching = new Launching();
    const none = await launching.prepare([]);
    expect([none.apis, none.notices, ownGroups()]).toEqual([[], [], []]);
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-launching-"));
    const mounts = [...system, { target: "/data", source: dir, mode: "ro" }];
    const limits = { mem: { max: "64M" }, optional: true };
    const gone = api("gone", {
      namespace: { shares: { all: "disable" }, mounts },
      cgroups: limits,
    });
    rmSync(dir, { recursive: true });
    const error: unknown = await launching.prepare([gone], { trial: true }).catch((one) => one);
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems).toHaveLength(1);
    expect(ownGroups()).toEqual([]);
    const lax = await launching.prepare([api("lax", { cgroups: limits })]);
    // With controllers there is nothing to say.
    const missing = lax.notices.map(({ message }) => message.slice(0, 12));
    expect(error.notices.map(({ message }) => message.slice(0, 12))).toEqual(missing);
    if (!hasMemory) expect(missing).toEqual(["not limited:"]);
    lax.drop();
    await launching.close();
    expect(ownGroups()).toEqual([]);
  });

  test("tells which pools will not fill, and which secrets are missing", async () => {
    const launching = new Launching();
    const [large, secret] = [api("large", { pool: 1 }), api("secret")];
    Object.assign(planOf(large).pool ?? {}, { size: 100_000_000 });
    Object.assign(planOf(secret), { secrets: { files: [], env: { A: "/none" }, kept: [] } });
    const { notices, drop } = await launching.prepare([large, secret], { trial: true });
    expect(notices.map(({ message }) => message.slice(0, 20))).toEqual([
      ...['"pool" asks for 1000', "secret /none: A is t"],
    ]);
    drop();
    await launching.close();
  });

  test("keeps open what launches of its plans go by, and nothing else", async () => {
    const launching = new Launching();
    const [one, two] = [api("one", { pool: 1 }), api("two", { acls: { user: "daemon" } })];
    // Of what other tests have served nothing is.
    (await launching.prepare([])).use();
    const before = new Set(memfds());
    const mine = () => memfds().filter((fd) => !before.has(fd));
    (await launching.prepare([one])).use();
    expect(launching.ready).toBe(0);
    launching.keepReady([one]);
    await until("one waits", () => launching.ready === 1);
    const cold = await start(launching, { ...one, sandboxes: one.sandboxes });
    cold.kill();
    await cold.ended;
    await until("another waits", () => launching.ready === 1);
    const long = await launching
      .launch(planOf(one), ["/bin/sleep", "1008", "x".repeat(70_000)], sink)
      .catch(String);
    if (typeof long !== "string") long.kill();
    const open = mine();
    // With the waiting, and without.
    expect(open).toHaveLength(2);
    (await launching.prepare([one])).use();
    expect(mine()).toEqual(open);
    launching.keepReady([two]);
    (await launching.prepare([two])).use();
    expect(mine()).toEqual([]);
    const task = await start(launching, two);
    (await launching.prepare([one])).use();
    launching.keepReady([one]);
    await until("one waits", () => launching.ready === 1);
    // The task of before, and what waits.
    await launching.close();
    expect([launching.ready, ownGroups()]).toEqual([0, []]);
    expect(await task.ended).toMatchObject({ signal: 9 });
  });
});

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
