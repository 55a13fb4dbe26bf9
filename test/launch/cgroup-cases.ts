/**
 * What must hold where controllers are: run by cgroup.test.ts on a machine that has them, and inside the virtual machine of
 * `npm run test:boot`. Each throws when it does not hold.
 */
import assert from "node:assert/strict";
import { readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Cgroups } from "../../src/config/sandbox-schema.ts";
import { type CgroupRoot, type GroupUsage, openCgroups } from "../../src/launch/cgroup.ts";
import { compileCgroups } from "../../src/plan/cgroup.ts";
import { Report } from "../../src/plan/report.ts";

/** One sandbox under the key `box`, whose tasks may have the group of one before them where it is `reusable`; the groups are gone afterwards, whatever happens. */
export async function withGroups(
  cgroups: Cgroups | undefined,
  run: (root: CgroupRoot) => Promise<void>,
  reusable = false,
): Promise<void> {
  const report = new Report("test.json");
  const policy = compileCgroups(cgroups, "sandboxes[0].cgroups", report);
  assert.deepEqual(report.problems, []);
  const root = await openCgroups([{ key: "box", file: "test.json", policy, reusable }]);
  try {
    await run(root);
  } finally {
    await root.close();
  }
}

/** Runs a script as a task, in its group from the first command on. */
export async function task(root: CgroupRoot, script: string): Promise<GroupUsage> {
  const group = root.begin("box");
  assert(group);
  await inGroup(group.path, script).exited;
  const { usage, gone } = group.end();
  await gone;
  return usage;
}

export function inGroup(path: string, script: string): Bun.Subprocess {
  const enter = 'echo $$ > "$0/cgroup.procs" || exit 99';
  return Bun.spawn(["/bin/sh", "-c", `${enter}; ${script}`, path], {
    stdio: ["ignore", "ignore", "ignore"],
  });
}

const files = (dir: string, ...names: string[]): string[] =>
  names.map((name) => readFileSync(join(dir, name), "utf8").trim());

/** Grows until it is stopped: it looks for the last lines of a file that has none. */
const GREEDY = "tail /dev/zero";

export const limitCases: Readonly<Record<string, () => Promise<void>>> = {
  "memory.max of a task: the whole task is killed, and its end says oom": () =>
    withGroups({ task: { mem: { max: "32M", swap: "0" } } }, async (root) => {
      assert.equal((await task(root, `sleep 1000 & ${GREEDY}; wait`)).oom, true);
      assert.equal((await task(root, "true")).oom, false);
    }),

  "memory.max of a sandbox: the greedy task says oom, the other goes on": () =>
    withGroups({ mem: { max: "48M", swap: "0" } }, async (root) => {
      const modest = root.begin("box");
      assert(modest);
      const sleeper = inGroup(modest.path, "exec sleep 1000");
      assert.equal((await task(root, GREEDY)).oom, true);
      assert.equal(sleeper.exitCode, null);
      modest.kill();
      await sleeper.exited;
      assert.equal(modest.end().usage.oom, false);
    }),

  "pids: forks beyond the limit are refused": () =>
    withGroups({ task: { pids: "5" } }, async (root) => {
      const forks = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done";
      const group = root.begin("box");
      assert(group);
      await inGroup(group.path, `${forks}; exit 0`).exited;
      assert.notEqual(files(group.path, "pids.events")[0], "max 0");
      await group.end().gone;
    }),

  "cpu.max: a busy task gets its tenth of a CPU": () =>
    withGroups({ task: { cpu: { max: "10000 100000" } } }, async (root) => {
      const begin = performance.now();
      const { user, system } = await task(root, "timeout 2 sh -c 'while :; do :; done'");
      const share = (user + system) / (performance.now() - begin);
      assert(share > 0.01 && share < 0.3, `${user} + ${system} ms: ${share} of a CPU`);
    }),

  "limits are there again where others have removed their group": () =>
    withGroups({ pids: "7", task: { pids: "5" } }, async (root) => {
      const box = join(root.path ?? "", "0-box");
      for (const gone of [[box], [box, root.path ?? ""]]) {
        for (const group of gone) rmdirSync(group);
        const group = root.begin("box");
        assert(group);
        assert.deepEqual(files(box, "pids.max"), ["7"]);
        assert.deepEqual(files(group.path, "pids.max"), ["5"]);
        await group.end().gone;
      }
    }),

  "every limit is in the files of its group": () =>
    withGroups(
      {
        cset: "0",
        mem: { max: "64M", high: "48M", min: "1M" },
        cpu: { weight: "50", max: "max 50000" },
        pids: "20",
        task: { pids: "10", mem: { max: "32M" } },
      },
      async (root) => {
        const group = root.begin("box");
        assert(group);
        const shared = join(group.path, "..");
        assert.deepEqual(
          files(shared, "cpuset.cpus.effective", "memory.max", "memory.high", "memory.min"),
          ["0", `${64 << 20}`, `${48 << 20}`, `${1 << 20}`],
        );
        assert.deepEqual(files(shared, "cpu.weight", "cpu.max", "pids.max"), [
          "50",
          "max 50000",
          "20",
        ]);
        assert.deepEqual(files(group.path, "pids.max", "memory.max"), ["10", `${32 << 20}`]);
        await group.end().gone;
      },
    ),

  "a limit that the kernel refuses is found at boot, with its place": async () => {
    await assert.rejects(
      withGroups({ io: ["511:999 rbps=1000"] }, async () => {}),
      /sandboxes\[0\]\.cgroups: io\.max: 511:999 rbps=1000: ENODEV/,
    );
  },

  "optional: what the kernel refuses is a notice, the rest is applied": () =>
    withGroups({ optional: true, io: ["511:999 rbps=1000"], pids: "7" }, async (root) => {
      assert.equal(root.notices.length, 1);
      assert(root.path);
      assert.equal(readFileSync(join(root.path, "0-box/pids.max"), "utf8"), "7\n");
    }),
};
