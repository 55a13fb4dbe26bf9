/** cgroup v2 with all its controllers, in every place where a server may be started. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Cgroups } from "../../../src/config/sandbox-schema.ts";
import { limitCases, withGroups } from "../../launch/cgroup-cases.ts";
import { isAlive, shell, system, until } from "../../served.ts";
import { check, checksIn, say } from "./check.ts";
import { IN_ROOT_GROUP, serve, type Starter, unit } from "./server.ts";

/** Runs as a process of its own, see {@link cgroupChecks}: it moves to a group that it divides. */
export async function limitChecks(): Promise<void> {
  for (const [name, run] of Object.entries(limitCases)) await check(name, run);
  await check("task groups come and go", async () => {
    const name = "a task's group made, looked for and removed";
    const plain = await eachTaskGroup(undefined);
    say({ kind: "time", name, seconds: plain / 1000 });
    const limited = await eachTaskGroup({ task: { mem: { max: "32M" }, pids: "9" } });
    say({ kind: "time", name: `${name}, with mem and pids`, seconds: limited / 1000 });
  });
}

/** Milliseconds; each group is there, and gone in the end. */
async function eachTaskGroup(cgroups: Cgroups | undefined): Promise<number> {
  let each = 0;
  await withGroups(cgroups, async (root) => {
    const path = root.path;
    assert(path !== undefined);
    const groups = () =>
      readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isDirectory(),
      ).length;
    const before = groups();
    const begin = performance.now();
    for (let i = 0; i < 50; i++) {
      const group = root.begin("box");
      assert.equal(groups(), before + 1);
      await group?.end().gone;
    }
    each = (performance.now() - begin) / 50;
    assert.equal(groups(), before);
  });
  return each;
}

/** What must be refused where systemd has kept the group to itself. */
export async function refusalChecks(): Promise<void> {
  await check("limits are refused, and the message says Delegate=yes", async () => {
    await assert.rejects(
      withGroups({ mem: { max: "64M" } }, async () => {}),
      /sandboxes\[0\]\.cgroups: .*Delegate=yes/,
    );
  });
  await check("a group for the kill of a task can still be had", async () => {
    await withGroups(undefined, async (root) => assert(root.begin("box")));
  });
}

export async function cgroupChecks(inside: string): Promise<void> {
  const delegated = unit("Delegate=yes");
  await checksIn("systemd unit with Delegate", [...delegated, inside, "limits"]);
  await checksIn("without systemd, in the root group", [...IN_ROOT_GROUP, inside, "limits"]);
  // Its own view of the hierarchy, and a process beside the server, as an init of a container is.
  const view = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";
  const container = `${view} && { sleep 1000 & exec ${inside} limits; }`;
  await checksIn("container", [
    ...unit("Delegate=yes"),
    ...["unshare", "--cgroup", "--mount", "/bin/sh", "-c", container],
  ]);
  await checksIn("ordinary user's unit with Delegate", [
    ...unit("Delegate=yes", "User=daemon"),
    ...[inside, "limits"],
  ]);
  await checksIn("systemd unit without Delegate", [...unit(), inside, "refusals"]);
  for (const starter of ["unit", "root group"] as const) {
    await servedChecks(starter);
    await attackChecks(starter);
  }
  await check("a time-out kills what forks all the time, in its group", killChecks);
  await check("the next server removes what a crashed one left", leftovers);
}

const limited = {
  metadata: { uid: "t", api: "t" },
  sandboxes: [
    {
      uid: "mem",
      acls: { user: "daemon" },
      cgroups: { task: { mem: { max: "32M", swap: "0" } } },
      commands: shell,
    },
    {
      uid: "pids",
      acls: { user: "daemon" },
      cgroups: { pids: "8", cpu: { max: "50000 100000" } },
      commands: shell,
    },
    {
      uid: "brief",
      acls: { user: "daemon", timeout: 10 },
      cgroups: { task: { pids: "60" } },
      commands: shell,
    },
  ],
};

async function servedChecks(starter: Starter): Promise<void> {
  await check(`served (${starter}): a task over memory.max ends with oom`, async () => {
    await using server = await serve(limited, starter);
    const { status } = await server.run("t/mem/sh", { script: "tail /dev/zero" });
    assert.equal(status.cause, "oom", JSON.stringify(status));
    assert.equal((await server.run("t/mem/sh", { script: "exit 3" })).status.exit, 3);
  });
  await check(`served (${starter}): a fork bomb stays in its sandbox`, async () => {
    await using server = await serve(limited, starter);
    const script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo unreached";
    const { stderr } = await server.run("t/pids/sh", { script });
    assert.match(`${stderr}`, /fork/i);
    assert.equal((await server.call("t/ping")).request.status, "success");
  });
}

/** Whoever is not the server's user, or does not see the hierarchy, or only read-only. */
const held = {
  metadata: { uid: "t", api: "t" },
  sandboxes: [
    { uid: "other", acls: { user: "daemon" } },
    { uid: "minimal", acls: { user: "root" }, profile: "minimal" },
    {
      uid: "readonly",
      acls: { user: "root" },
      caps: [],
      namespace: { mounts: [...system, { target: "/sys", mode: "sys" }] },
    },
  ].map((sandbox) => ({
    ...sandbox,
    cgroups: { pids: "50", mem: { max: "64M" }, task: { pids: "20", mem: { max: "32M" } } },
    commands: [shell],
  })),
};

/** Tries what would set a command free; tells what succeeded, and from how many groups it could choose. */
const FREE_ITSELF = `
read -r line < /proc/self/cgroup
own=/sys/fs/cgroup\${line#0::}
group=$own tried=0
while [ "$group" != /sys/fs ]; do
  for file in memory.max pids.max; do (echo max > $group/$file) 2>/dev/null && echo lifted $group/$file; done
  (echo 0 > $group/cgroup.procs) 2>/dev/null && echo moved to $group
  (echo -pids > $group/cgroup.subtree_control) 2>/dev/null && echo took pids from $group
  mkdir $group/mine 2>/dev/null && echo made $group/mine
  [ -e $group/cgroup.procs ] && tried=$((tried + 1))
  group=\${group%/*}
done
for group in /sys/fs/cgroup/* $own/../*; do
  (echo $$ > $group/cgroup.procs) 2>/dev/null && echo joined $group
done
mkdir /tmp/cgroup && mount -t cgroup2 none /tmp/cgroup 2>/dev/null && echo mounted
echo tried $tried
cat $own/pids.max $own/memory.max $own/../pids.max 2>/dev/null`;

async function attackChecks(starter: Starter): Promise<void> {
  const name = "writing its own or the parent's cgroup limits, or joining another group [denied]";
  await check(`served (${starter}): ${name}`, async () => {
    await using server = await serve(held, starter);
    const seen: Record<string, string[] | undefined> = {};
    for (const { uid } of held.sandboxes)
      seen[uid] = (await server.run(`t/${uid}/sh`, { script: FREE_ITSELF })).stdout;
    const limits = ["20", `${32 << 20}`, "50"];
    // From the task's group up to the root of the hierarchy.
    const levels = starter === "unit" ? 7 : 5;
    assert.deepEqual(seen, {
      other: [`tried ${levels}`, ...limits],
      minimal: ["tried 0"],
      readonly: [`tried ${levels}`, ...limits],
    });
  });
}

/** Processes of the sandboxes' user by the name of their program. */
const running = (program: string): string[] =>
  Bun.spawnSync(["pgrep", "-x", program, "-u", "daemon"])
    .stdout.toString()
    .split("\n")
    .filter(Boolean);

/** cgroup.kill where the kernel has it, since 5.14; else the group is frozen and its list killed. */
async function killChecks(): Promise<void> {
  await using server = await serve(limited, "unit");
  // A shell would end at the first fork that the limit refuses.
  const bomb =
    "while (1) { my $pid = fork; defined $pid ? $pid || setsid : $told++ || print qq(full\\n) }";
  const { status, stdout } = await server.run("t/brief/sh", {
    script: `exec perl -MPOSIX -e '$| = 1; ${bomb}'`,
  });
  assert.equal(status.cause, "timeout", JSON.stringify(status));
  assert.equal(stdout?.[0], "full");
  assert.deepEqual(running("perl"), []);
}

async function leftovers(): Promise<void> {
  const parent = "/sys/fs/cgroup/spawnbox";
  const script = "setsid sleep 1000 & sleep 1000";
  const crashed = await serve(limited, "root group");
  // The server of early boot may have one, too.
  const own = () =>
    existsSync(parent)
      ? readdirSync(parent).find((name) => name.startsWith(`${crashed.pid}-`))
      : undefined;
  void crashed.run("t/mem/sh", { script }).catch(() => {});
  await until("its group is there", () => own() !== undefined);
  await until("it runs", () => running("sleep").length === 2);
  const pids = running("sleep").map(Number);
  const old = join(parent, own() ?? "");
  await crashed.crash();
  await using next = await serve(limited, "root group");
  assert(next.pid > 0);
  assert.equal(existsSync(old), false, `${old} is still there`);
  for (const pid of pids) assert.equal(await isAlive(pid), false);
}
