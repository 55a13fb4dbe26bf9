/** cgroup v2 groups, made for real in the hierarchy of this machine. */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ConfigError } from "../../src/config/problem.ts";
import { makeGroups } from "../../src/launch/cgroup/files.ts";
import { CgroupUnavailable, findPlace } from "../../src/launch/cgroup/place.ts";
import { makePlace } from "../../src/launch/cgroup/task-group.ts";
import { endTree } from "../../src/launch/cgroup/tree.ts";
import { createLaunch } from "../../src/launch/launch.ts";
import { fill } from "../../src/plan/argv.ts";
import type { CgroupSetting } from "../../src/plan/cgroup.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { descriptorsOf } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isAlive, isRoot, until } from "../served.ts";
import { mayTrace, told } from "../strace.ts";
import { inGroup, limitCases, task, withGroups } from "./cgroup-cases.ts";

const place = (() => {
  try {
    return findPlace(undefined);
  } catch (error) {
    if (error instanceof CgroupUnavailable) return undefined;
    throw error;
  }
})();
const writable = isRoot && place !== undefined;

/** Why no limits can be had here; undefined where they can. */
const obstacle = await withGroups(
  { cset: "0", mem: { max: "1G" }, cpu: { weight: "50" }, pids: "1000" },
  async () => {},
).catch((error: unknown) => {
  if (error instanceof ConfigError) return error;
  throw error;
});

test("a group is made also where another server removes what is empty", async () => {
  const above = mkdtempSync(join(tmpdir(), "spawnbox-groups-"));
  const group = join(above, "spawnbox");
  const remove = `const { rmdirSync } = require("node:fs");
    for (;;) try { rmdirSync(process.argv[1]); } catch {}`;
  const remover = Bun.spawn([process.execPath, "-e", remove, group]);
  try {
    const end = performance.now() + 800;
    for (let made = 0; made < 200_000 && performance.now() < end; made++) makeGroups(group);
  } finally {
    remover.kill("SIGKILL");
    await remover.exited;
    rmSync(above, { recursive: true });
  }
});

describe.skipIf(!writable)("groups (need root and a cgroup v2 mount)", () => {
  test("a task's group is there for a launch and gone after it", async () => {
    await withGroups(undefined, async (root) => {
      const group = root.begin("box");
      expect(existsSync(group?.path ?? "")).toBe(true);
      await group?.end().gone;
      expect(existsSync(group?.path ?? "")).toBe(false);
      expect(root.begin("another")).toBeUndefined();
    });
  });

  test("of a task has the limits that it is to have", async () => {
    await withGroups(undefined, async (root) => {
      const path = join(root.path ?? "", "limited");
      const [depth, descendants] = ["depth", "descendants"].map((name) => ({
        ...{ controller: "pids", file: `cgroup.max.${name}`, value: name === "depth" ? "3" : "5" },
      })) as [CgroupSetting, CgroupSetting];
      makePlace(path, [depth, descendants], false).close();
      const found = [depth, descendants].map(({ file }) => readFileSync(join(path, file), "utf8"));
      expect(found).toEqual(["3\n", "5\n"]);
      const refused = { ...depth, value: "many" };
      expect(() => makePlace(join(path, "below"), [refused], false)).toThrow(
        /cgroup\.max\.depth=many: EINVAL: the kernel refuses this value/,
      );
      expect(existsSync(join(path, "below"))).toBe(false);
    });
  });

  test("kill reaches a double fork with a session of its own; end removes also subgroups", async () => {
    await withGroups(undefined, async (root) => {
      const group = root.begin("box");
      if (!group) throw new Error("no group");
      const script = 'mkdir "$0/sub"; setsid sh -c "sleep 1000 & sleep 1000" & wait';
      const child = inGroup(group.path, script);
      const pids = async () => (await Bun.file(`${group.path}/cgroup.procs`).text()).split("\n");
      await until("all run", async () => (await pids()).length > 4);
      const all = (await pids()).filter(Boolean).map(Number);
      group.kill();
      await child.exited;
      await until("none runs", async () => !(await Promise.all(all.map(isAlive))).includes(true));
      await group.end().gone;
      expect(existsSync(group.path)).toBe(false);
    });
  });

  test("end kills what is left, and counts CPU time of what nobody waited for", async () => {
    await withGroups(undefined, async (root) => {
      // Ends after so much processor time, however long that takes; cat ends with it.
      const busy = "import time\nwhile time.process_time() < 0.2: pass";
      const burn = `{ /usr/bin/python3 -ISc '${busy}' & } | cat`;
      const usage = await task(root, `${burn}; sleep 1000 &`);
      expect(usage.user + usage.system).toBeGreaterThan(150);
      expect(usage.oom).toBe(false);
    });
  });

  test("close kills all tasks and leaves nothing", async () => {
    let path = "";
    let child: Bun.Subprocess | undefined;
    await withGroups(undefined, async (root) => {
      path = root.path ?? "";
      const group = root.begin("box")?.path ?? "";
      child = inGroup(group, "exec sleep 1000");
      await until("it runs", async () => (await Bun.file(`${group}/cgroup.procs`).text()) !== "");
    });
    await child?.exited;
    expect(existsSync(path)).toBe(false);
  });

  test("a thousand launches leave no file descriptor and no group", async () => {
    await withGroups(undefined, async (root) => {
      const count = () => readdirSync("/proc/self/fd").length;
      await root.begin("box")?.end().gone;
      const before = count();
      for (let i = 0; i < 1000; i++) await root.begin("box")?.end().gone;
      // Something else may have closed one meanwhile.
      expect(count()).toBeLessThanOrEqual(before);
      const groups = readdirSync(join(root.path ?? "", "0-box"), { withFileTypes: true });
      expect(groups.filter((entry) => entry.isDirectory())).toEqual([]);
    });
  });

  test("a task has the group of one that could not change it and has left it empty, counted from nothing", async () => {
    await withGroups(
      undefined,
      async (root) => {
        const first = root.begin("box");
        const second = root.begin("box");
        if (!first || !second) throw new Error("no group");
        expect(second.path).not.toBe(first.path);
        const burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        await inGroup(first.path, burn).exited;
        const { usage, gone } = first.end(true);
        const burnt = usage.user + usage.system;
        await gone;
        const third = root.begin("box");
        expect(third?.path).toBe(first.path);
        // Of a task that has ended, whoever still has it.
        const sleeper = inGroup(first.path, "exec sleep 1000");
        await until(
          "it runs",
          async () => (await Bun.file(`${first.path}/cgroup.procs`).text()) !== "",
        );
        first.kill();
        const { usage: idle = usage, gone: ended } = third?.end() ?? {};
        expect(idle.user + idle.system).toBeLessThan(burnt / 2);
        // Nobody has said that it is empty.
        await Promise.all([sleeper.exited, ended]);
        expect(existsSync(first.path)).toBe(false);
        await second.end(true).gone;
        const fourth = root.begin("box");
        expect(fourth?.path).toBe(second.path);
        // The kernel kills what is forked into it later, too.
        fourth?.kill();
        await fourth?.end(true).gone;
        expect(existsSync(second.path)).toBe(false);
      },
      true,
    );
  });

  test("a group in which somebody is left is nobody else's, and few are kept", async () => {
    await withGroups(
      undefined,
      async (root) => {
        const group = root.begin("box");
        if (!group) throw new Error("no group");
        const child = inGroup(group.path, "exec sleep 1000");
        await until(
          "it runs",
          async () => (await Bun.file(`${group.path}/cgroup.procs`).text()) !== "",
        );
        await group.end(true).gone;
        await child.exited;
        expect(existsSync(group.path)).toBe(false);
        // Of its own: what others have left is closed at any time.
        const count = () =>
          descriptorsOf("self").filter((path) => path.startsWith(root.path ?? "-")).length;
        const before = count();
        const many = Array.from({ length: 40 }, () => root.begin("box"));
        await Promise.all(many.map((one) => one?.end(true).gone));
        const left = many.filter((one) => existsSync(one?.path ?? ""));
        expect(left).toHaveLength(8);
        expect(count() - before).toBe(16);
        await root.close();
        expect(count()).toBeLessThan(before);
      },
      true,
    );
  });

  test("a launch is done once more where its kept group is not as it was, and not for another reason", async () => {
    await withGroups(
      undefined,
      async (root) => {
        const asked: (boolean | undefined)[] = [];
        const launch = createLaunch({
          begin: (_key, isNew) => {
            asked.push(isNew);
            return root.begin("box", isNew);
          },
        });
        const silent = { stdout: () => {}, stderr: () => {} };
        const run = (plan: Plan) => launch(plan, fill(plan.argv, undefined), silent);
        const program = join(mkdtempSync(join(tmpdir(), "spawnbox-again-")), "true");
        copyFileSync("/bin/true", program);
        chmodSync(dirname(program), 0o755);
        const commands = { uid: "c", exec: { cmdpath: program } };
        const plan = planOf(compiled({ acls: { user: "nobody" }, commands }));
        const keep = async () => {
          const group = root.begin("box", true);
          await group?.end(true).gone;
          return group?.path ?? "";
        };
        const kept = await keep();
        rmdirSync(kept);
        await (
          await run(plan)
        ).ended;
        expect(asked.splice(0)).toEqual([false, true]);
        await keep();
        rmSync(dirname(program), { recursive: true });
        const refused = await run(plan).then(String, String);
        expect(refused).toContain("ENOENT");
        expect(asked).toEqual([false]);
      },
      true,
    );
  });

  test("the next server kills and removes what a crashed one left, and not what a living one has", async () => {
    const start = () =>
      Bun.spawn([process.execPath, join(import.meta.dir, "cgroup-server.ts")], {
        stdio: ["ignore", "pipe", "inherit"],
      });
    const servers = [start(), start()] as const;
    try {
      const [crashed, living] = (await Promise.all(
        servers.map(async ({ stdout }) => {
          const { value } = await stdout.getReader().read();
          return JSON.parse(new TextDecoder().decode(value));
        }),
      )) as [{ server: string; pid: number }, { server: string; pid: number }];
      servers[0].kill("SIGKILL");
      await servers[0].exited;
      expect(await isAlive(crashed.pid)).toBe(true);
      await withGroups(undefined, async (root) => {
        expect(root.notices).toEqual([]);
        expect(dirname(root.path ?? "")).toBe(dirname(crashed.server));
      });
      expect(await isAlive(crashed.pid)).toBe(false);
      expect(existsSync(crashed.server)).toBe(false);
      expect(await isAlive(living.pid)).toBe(true);
      expect(existsSync(living.server)).toBe(true);
    } finally {
      for (const server of servers) server.kill("SIGKILL");
      await Promise.all(servers.map(({ exited }) => exited));
      // Whatever happened above, this start ends what they left.
      await withGroups(undefined, async () => {});
    }
  });

  test("what others have removed is made again, and locked as before", async () => {
    await withGroups(undefined, async (root) => {
      const { path = "" } = root;
      await root.begin("box")?.end().gone;
      for (const gone of [[join(path, "0-box")], [join(path, "0-box"), path]]) {
        for (const group of gone) rmdirSync(group);
        const group = root.begin("box");
        expect(existsSync(group?.path ?? "")).toBe(true);
        // No leftover of who starts meanwhile.
        await withGroups(undefined, async () => {});
        expect(existsSync(group?.path ?? "")).toBe(true);
        await group?.end().gone;
      }
      expect(
        readdirSync(join(path, "0-box"), { withFileTypes: true }).filter((one) =>
          one.isDirectory(),
        ),
      ).toEqual([]);
      expect(descriptorsOf("self").filter((link) => link.startsWith(path))).toEqual([path]);
    });
  });

  test("so is one that is kept for the next task", async () => {
    await withGroups(
      undefined,
      async (root) => {
        const first = root.begin("box");
        await first?.end(true).gone;
        for (const group of [first?.path ?? "", dirname(first?.path ?? ""), root.path ?? ""])
          rmdirSync(group);
        // What was kept is gone, which its launch finds; then there is a new one.
        expect(root.begin("box")?.isKept).toBe(true);
        const second = root.begin("box", true);
        expect([second?.isKept, existsSync(second?.path ?? "")]).toEqual([false, true]);
        await second?.end().gone;
      },
      true,
    );
  });

  test.skipIf(!mayTrace())("what may not be read is as if there were no groups, and told", () => {
    const source = JSON.stringify(join(import.meta.dir, "../../src/launch/cgroup.ts"));
    const script = `
      const { openCgroups } = await import(${source});
      const fs = require("node:fs");
      const setting = { controller: "cpu", file: "cpu.max", value: "max" };
      const policy = { path: "cgroups", optional: true, shared: [setting], task: [] };
      const root = await openCgroups([{ key: "plain", file: "" }, { key: "limited", file: "", policy }]);
      const parent = ${JSON.stringify(join(place?.base ?? "", "spawnbox"))};
      const left = fs.existsSync(parent) ? fs.readdirSync(parent) : [];
      const own = left.filter((name) => name.startsWith(process.pid + "-"));
      console.log(JSON.stringify([root.path, root.notices[0].message, root.begin("plain") === undefined, own]));
      await root.close();`;
    const path = join(place?.base ?? "", "cgroup.controllers");
    const { printed } = told(script, "openat:error=EACCES", "-P", path);
    expect(JSON.parse(printed)).toEqual([
      null,
      expect.stringMatching(
        /^not limited: EACCES: .*cgroup\.controllers.*: it is to be there and to be read/,
      ),
      true,
      [],
    ]);
  });

  test("where a group above bounds how many there may be, each that is missing is told, with the bound", async () => {
    const above = join(place?.base ?? "", `bound-${process.pid}`);
    const bound = join(above, "cgroup.max.descendants");
    mkdirSync(above);
    try {
      for (let most = 0; most < 7; most++) {
        writeFileSync(bound, `${most}`);
        const enter = 'echo $$ >"$0/cgroup.procs" && exec "$@"';
        const { stdout, stderr } = Bun.spawnSync([
          ...["/bin/sh", "-c", enter, above],
          ...[process.execPath, join(import.meta.dir, "cgroup-bound.ts")],
        ]);
        expect([most, stderr.toString()]).toEqual([most, ""]);
        const { notices, begun, strict } = JSON.parse(stdout.toString());
        const told = expect.stringContaining(
          `EAGAIN: there may be no more, or none so deep: raise ${bound} (${most})`,
        );
        // Groups of our own, of the server, of both sandboxes, and one that is tried.
        expect([most, notices, strict]).toEqual([
          most,
          most < 5 ? [told] : [],
          most < 5 ? [told] : [],
        ]);
        // The second has none where its tasks can have none.
        const tasks = most < 5 ? most - 3 : most - 4;
        const groups = Array.from({ length: Math.min(3, Math.max(0, tasks)) }, () => "group");
        expect([most, begun]).toEqual([
          most,
          most < 3 ? ["none", "none", "none"] : groups.length < 3 ? [...groups, told] : groups,
        ]);
      }
    } finally {
      expect(await endTree(above, 2_000)).toBe(true);
    }
  });

  test("servers that start while others end take no group from each other", async () => {
    const churns = Array.from({ length: 4 }, () =>
      Bun.spawn([process.execPath, join(import.meta.dir, "cgroup-churn.ts"), "150"], {
        stdio: ["ignore", "ignore", "pipe"],
      }),
    );
    const said = await Promise.all(churns.map(({ stderr }) => stderr.text()));
    expect(said).toEqual(churns.map(() => ""));
    for (const churn of churns) expect(await churn.exited).toBe(0);
  });
});

test.skipIf(!writable || !obstacle)("a missing controller is named, with what to do", async () => {
  expect(obstacle?.message).toMatch(/sandboxes\[0\]\.cgroups: no memory controller in .*: .*put "/);
  await withGroups({ mem: { max: "64M" }, optional: true }, async (root) => {
    expect(root.notices[0]?.message).toStartWith("not limited: no memory controller");
    await root.begin("box")?.end().gone;
  });
});

describe.skipIf(obstacle !== undefined)(
  "limits (need the controllers of a unified cgroup v2; where they are skipped, npm run test:boot runs them)",
  () => {
    for (const [name, run] of Object.entries(limitCases)) test(name, run);
  },
);
