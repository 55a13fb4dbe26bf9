/**
 * A server that dies while launches are held at each step, as in test/sandbox/attack-launch.test.ts: with the steps that need
 * cgroup v2 and AppArmor.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { killAtEachStep } from "../../sandbox/launch-steps.ts";
import { shell, system } from "../../served.ts";
import { check } from "./check.ts";
import { loadProfile } from "./label.ts";
import { serve } from "./server.ts";

/** Where servers in the root group have theirs. */
const PARENT = "/sys/fs/cgroup/spawnbox";
/** All the groups of servers, by path below PARENT. */
function groups(): string[] {
  if (!existsSync(PARENT)) return [];
  const entries = readdirSync(PARENT, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(PARENT.length + 1))
    .toSorted();
}
const mounts = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes("spawnbox"));

const limits = { pids: "50", task: { pids: "20", mem: { max: "64M" } } };
const sandboxes = (label: string) => [
  { uid: "bare", acls: { user: "root", label }, cgroups: limits, commands: shell },
  {
    uid: "full",
    acls: { user: "daemon", label },
    cgroups: limits,
    namespace: { shares: { all: "disable" }, mounts: system },
    commands: shell,
  },
];

export async function stepChecks(): Promise<void> {
  for (const uid of ["bare", "full"]) {
    const name = `SIGKILL of the server at each step leaves no process, mount and, after the next start, no group: ${uid}`;
    await check(name, async () => {
      // Where a pid namespace is, its end takes the command along: AppArmor has no say.
      const label = loadProfile(uid === "bare");
      const config = {
        metadata: { uid: "t", api: "t" },
        sandboxes: sandboxes(label).filter((sandbox) => sandbox.uid === uid),
      };
      const before = { groups: groups(), mounts: mounts() };
      // Not as a unit: systemd would kill what is left of one.
      const start = () => serve(config, "root group");
      let left: string[] = [];
      const { steps } = await killAtEachStep(start, "t/sh", async (when) => {
        const now = groups().filter((group) => !before.groups.includes(group));
        if (when === "held") {
          left = now;
          // The server's, the sandbox's, and one for each launch.
          assert(left.length > 2, left.join());
          return;
        }
        assert.deepEqual(mounts(), before.mounts);
        // A killed server cannot remove its groups; that nothing is in them has been seen. The next one does.
        {
          await using next = await serve(config, "root group");
          assert(next.pid > 0);
          assert.deepEqual(
            groups().filter((group) => left.includes(group)),
            [],
          );
        }
        assert.deepEqual(groups(), before.groups);
      });
      for (const step of ["CGROUP", "LABEL"] as const) assert(steps.includes(step), steps.join());
    });
  }
}
