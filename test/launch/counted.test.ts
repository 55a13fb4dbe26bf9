/** What a launch is told, and what it finds out, in numbers: calls by their names, other processes, limits, supplies. */
import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keptLimits, lowerLimits } from "../../src/launch/lower-limits.ts";
import { spared } from "../../src/launch/process-limit.ts";
import { othersOf } from "../../src/launch/others.ts";
import {
  poolCapacity,
  poolNotices,
  poolSizes,
  roomToWait,
  wantsRoom,
} from "../../src/launch/reserve.ts";
import {
  descriptors,
  groupProcesses,
  memory,
  ourGroups,
  supplies,
} from "../../src/launch/supplies.ts";
import { LaunchError } from "../../src/launch/task.ts";
import { ToldCounts } from "../../src/launch/told.ts";
import type { Confinement } from "../../src/launch/confinement.ts";
import { isRoot } from "../accounts.ts";
import { asUser, compiled, planOf } from "../plan/compiling.ts";

/** A user id that nobody else has. */
const NOBODY = 54_321;

const dir = mkdtempSync(join(tmpdir(), "spawnbox-counted-"));
afterAll(() => rmSync(dir, { recursive: true }));

test("calls that were denied or logged, by their names, as often as was told last", () => {
  const told = new ToldCounts({ 165: "mount" });
  expect(told.outcome(undefined)).toEqual({});
  told.add({ kind: "told", how: "denied", counts: [[{ number: 165 }, 3]] });
  expect(told.outcome(undefined)).toEqual({ denied: { mount: 3 } });
  told.add({
    kind: "told",
    how: "denied",
    counts: [
      [{ number: 165 }, 5],
      [{ number: 9 }, 1],
      [{ foreign: "other" }, 2],
    ],
  });
  told.add({ kind: "told", how: "logged", counts: [[{ foreign: 7 }, 1]] });
  expect(told.outcome({ number: 165 })).toEqual({
    syscall: "mount",
    denied: { mount: 5, "syscall 9": 1, other: 2 },
    logged: { "syscall 7 of another ABI": 1 },
  });
  const logged = new ToldCounts();
  logged.add({ kind: "told", how: "logged", counts: [[{ number: 1 }, 4]] });
  expect(logged.outcome(undefined)).toEqual({ logged: { "syscall 1": 4 } });
});

describe("others of a task", () => {
  /** A shell in the place of a supervisor, over `below`, which prints the pid of the command. */
  async function tree<Found>(below: string, look: (top: number, command: number) => Found) {
    const top = Bun.spawn(["/bin/sh", "-c", `${below} & wait`], {
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    try {
      const reader = top.stdout.getReader();
      const { value } = await reader.read();
      reader.releaseLock();
      return await look(top.pid, Number(new TextDecoder().decode(value)));
    } finally {
      process.kill(-top.pid, "SIGKILL");
      await top.exited;
    }
  }
  const command = (count: number) =>
    `sh -c 'i=0; while [ $i -lt ${count} ]; do sleep 60 & i=$((i+1)); done; echo $$; wait'`;

  test("are all but the command, and the init of its namespace", async () => {
    expect(await tree(command(0), othersOf)).toBe(0);
    expect(await tree(command(2), othersOf)).toBe(2);
    // One more above the command, as where it has a pid namespace.
    expect(await tree(`sh -c "${command(2)} & wait"`.replaceAll("$", "\\$"), othersOf)).toBe(2);
    const orphan = `sh -c "sleep 60 & ${command(1)} & wait"`.replaceAll("$", "\\$");
    expect(await tree(orphan, othersOf)).toBe(2);
  });

  test("are counted up to so many", async () => {
    expect(await tree(command(300), othersOf)).toBe(255);
  });

  test("are none of who has no children, or is not there any more", async () => {
    expect(await tree(command(0), (_top, pid) => [othersOf(pid, 1), othersOf(pid, pid)])).toEqual([
      0, 0,
    ]);
    const { pid } = Bun.spawnSync(["true"]);
    expect(othersOf(pid, pid + 1)).toBe(0);
  });
});

describe("a limit that the server itself may not have", () => {
  const here = (container: string | undefined, limit: string | undefined = "512") =>
    ({ container, hardLimit: () => limit }) as unknown as Confinement;
  test.each([
    [0, "cpu", "Max cpu time", "LimitCPU"],
    [1, "fsize", "Max file size", "LimitFSIZE"],
    [4, "core", "Max core file size", "LimitCORE"],
    [6, "nproc", "Max processes", "LimitNPROC"],
    [7, "nofile", "Max open files", "LimitNOFILE"],
    [8, "memlock", "Max locked memory", "LimitMEMLOCK"],
    [9, "as", "Max address space", "LimitAS"],
    [13, "nice", "Max nice priority", "LimitNICE"],
    [14, "rtprio", "Max realtime priority", "LimitRTPRIO"],
  ])("%d is %s", (resource, key, line, unit) => {
    const asked: string[] = [];
    const own = {
      hardLimit(name: string) {
        asked.push(name);
        return "512";
      },
    } as unknown as Confinement;
    const begin = (value: string) =>
      `limits.${key} is ${value}, and the server's own hard limit is 512: `;
    expect(lowerLimits([[resource, 513n]], own)).toEqual([
      `${begin("513")}${unit}=513 in the unit, or a lower value in the config`,
    ]);
    expect(asked).toEqual([line]);
    expect(lowerLimits([[resource, -1n]], here("docker"))).toEqual([
      `${begin("unlimited")}--ulimit ${key}=-1, of the container, or a lower value in the config`,
    ]);
    expect(lowerLimits([[resource, -1n]], own)).toEqual([
      `${begin("unlimited")}${unit}=infinity in the unit, or a lower value in the config`,
    ]);
    expect(lowerLimits([[resource, 513n]], here("docker"))).toEqual([
      `${begin("513")}--ulimit ${key}=513, of the container, or a lower value in the config`,
    ]);
  });
  test("is none where it is not above, or where there is none here", () => {
    for (const value of [512n, 0n]) expect(lowerLimits([[7, value]], here(undefined))).toEqual([]);
    expect(lowerLimits([[2, 513n]], here(undefined))).toEqual([]);
    const unlimited = { hardLimit: () => "unlimited" } as unknown as Confinement;
    const unknown = { hardLimit: () => undefined } as unknown as Confinement;
    for (const own of [unlimited, unknown]) expect(lowerLimits([[7, -1n]], own)).toEqual([]);
  });
  test("of processes an ordinary user's server keeps some, and root, who is not counted, none", () => {
    const own = () => here(undefined);
    const kept = (value: bigint) => keptLimits([[6, value]], own);
    const user = spyOn(process, "geteuid");
    try {
      user.mockReturnValue(0);
      for (const value of [-1n, 0n, 480n, 481n, 512n, 513n]) expect(kept(value)).toEqual([]);
      user.mockReturnValue(NOBODY);
      for (const value of [-1n, 0n, 480n, 513n]) expect(kept(value)).toEqual([]);
      for (const [value, enough] of [
        [481n, 513],
        [512n, 544],
      ] as const)
        expect(kept(value)).toEqual([
          `limits.nproc is ${value}, and the server's own hard limit is 512, of which it keeps 32: LimitNPROC=${enough} in the unit, or a lower value in the config`,
        ]);
      expect(keptLimits([[7, 512n]], own)).toEqual([]);
      // Of RLIM_INFINITY none are missed.
      expect([2n ** 64n - 1n, 2n ** 64n - 2n].map(spared)).toEqual([0n, 32n]);
    } finally {
      user.mockRestore();
    }
  });
});

/** A directory with such files, as a group has them. */
const group = (files: Record<string, string>) => {
  const path = mkdtempSync(join(dir, "group-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
};

describe("supplies", () => {
  test("of descriptors are those that are open now, below the soft limit", () => {
    const limit = /^Max open files +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    const { used, ...rest } = descriptors();
    expect(rest).toEqual({
      ...{ name: "descriptors", limit: "RLIMIT_NOFILE (LimitNOFILE of systemd)" },
      ...{ total: Number(limit), each: 13, share: 0.75 },
    });
    // Without the one that it is counted with, or others of the runtime that come and go.
    expect(Math.abs(used - readdirSync("/proc/self/fd").length)).toBeLessThan(4);
  });

  test("of processes of a group are what it may have and has", () => {
    const one = group({ "pids.max": "40\n", "pids.current": "7\n" });
    const free = group({ "pids.max": "max\n", "pids.current": "7\n" });
    const bare = group({ "pids.max": "9\n" });
    expect(groupProcesses([one, free, join(dir, "none"), bare])).toEqual([
      {
        ...{ name: "processes", limit: `pids.max of ${one} (TasksMax of systemd)` },
        ...{ total: 40, used: 7, each: 4, share: 0.75 },
      },
      {
        ...{ name: "processes", limit: `pids.max of ${bare} (TasksMax of systemd)` },
        ...{ total: 9, used: Infinity, each: 4, share: 0.75 },
      },
    ]);
  });

  test("of memory are those of the machine, and of groups that may have less", () => {
    const meminfo = readFileSync("/proc/meminfo", "utf8");
    const total = Number(/^MemTotal: +(\d+) kB/m.exec(meminfo)?.[1]) * 1024;
    const stat = "anon 5\ninactive_file 1000\nactive_file 7\n";
    const v2 = group({
      ...{ "memory.max": "100000\n", "memory.current": "5000\n", "memory.stat": stat },
    });
    const v1 = group({
      ...{ "memory.limit_in_bytes": "200000\n", "memory.usage_in_bytes": "300\n" },
      "memory.stat": stat,
    });
    const bare = group({ "memory.max": "1\n" });
    const free = group({ "memory.max": "max\n" });
    const plain = group({ "memory.max": "9000\n", "memory.current": "5000\n" });
    const huge = group({ "memory.limit_in_bytes": `${total}\n` });
    const [machine, ...groups] = memory([v2, v1, bare, free, plain, huge]);
    expect(machine).toMatchObject({
      ...{ name: "bytes of memory", limit: "the memory of the machine", total },
      ...{ each: 4194304, share: 0.75 },
    });
    expect(machine?.used).toBeWithin(1, total);
    const limit = (path: string) => `the memory limit of ${path} (MemoryMax of systemd)`;
    expect(groups.map((one) => [one.limit, one.total, one.used, one.each, one.share])).toEqual([
      [limit(v2), 100_000, 4000, 4194304, 0.75],
      [limit(v1), 200_000, 0, 4194304, 0.75],
      [limit(bare), 1, 0, 4194304, 0.75],
      [limit(plain), 9000, 5000, 4194304, 0.75],
    ]);
  });

  test("of the whole machine are its threads, below both of its limits", () => {
    const limits = supplies().filter(({ limit }) => limit.endsWith("(sysctl)"));
    const value = (name: string) => Number(readFileSync(`/proc/sys/kernel/${name}`, "utf8"));
    expect(limits.map(({ name, limit, total, each }) => [name, limit, total, each])).toEqual([
      ["processes", "kernel.threads-max (sysctl)", value("threads-max"), 4],
      ["processes", "kernel.pid_max (sysctl)", value("pid_max"), 4],
    ]);
    for (const { used } of limits) expect(used).toBeGreaterThan(0);
  });
});

describe("all supplies of a server", () => {
  const limits = [
    descriptors(),
    ...groupProcesses(ourGroups()),
    ...["kernel.threads-max (sysctl)", "kernel.pid_max (sysctl)"].map((limit) => ({ limit })),
    ...memory(ourGroups()),
  ].map(({ limit }) => limit);
  const source = JSON.stringify(join(import.meta.dir, "../../src/launch/supplies.ts"));
  /** Of a process that is started so. */
  function told(first: readonly string[], words: string) {
    const program = `const { memory, supplies } = await import(${source}); ${words}`;
    const run = Bun.spawnSync([...first, process.execPath, "-e", program], { cwd: "/" });
    return run.stdout.toString() || run.stderr.toString();
  }
  const LIMITS = "console.log(JSON.stringify(supplies().map(({ limit }) => limit)));";
  /** What this process may give others; undefined: any number. */
  const most = ((text) => (text === "unlimited" ? undefined : Number(text)))(
    /^Max processes +\S+ +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1],
  );
  const NPROC = "RLIMIT_NPROC (LimitNPROC of systemd)";

  test.if(isRoot)("are those of root, and of another user its processes, too", () => {
    expect(supplies().map(({ limit }) => limit)).toEqual(limits);
    expect(JSON.parse(told(["prlimit", "--nproc=500"], LIMITS))).toEqual(limits);
    const own = ["setpriv", `--reuid=${NOBODY}`, "--clear-groups"];
    const [first = "", ...rest] = limits;
    expect(JSON.parse(told(["prlimit", "--nproc=500", ...own], LIMITS))).toEqual([
      ...[first, NPROC, ...rest],
    ]);
    if (most === undefined) expect(JSON.parse(told(own, LIMITS))).toEqual(limits);
  });

  test.if(isRoot)("count the threads of the user where those of all would leave little", () => {
    // Some of its limit are left to the server.
    const used = (total: number, other: string) => `
const { readFileSync } = await import("node:fs");
const own = () => Number(/^Threads:\\t(\\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
const all = () => Number(/\\/(\\d+) /.exec(readFileSync("/proc/loadavg", "utf8"))[1]);
// Threads come and go: in some moment it is the same as here.
for (let i = 0; i < 2000; i++) {
  const { total, used } = supplies()[1];
  if (total !== ${total}) console.log(total);
  if (used === ${other}()) { console.log("same"); process.exit(); }
}
console.log("never");`;
    const many = most ?? 4_000_000;
    for (const [nproc, total, other] of [
      [100, 75, "own"],
      [many, many - 32, "all"],
    ] as const) {
      const first = [
        "prlimit",
        `--nproc=${nproc}`,
        "setpriv",
        `--reuid=${NOBODY}`,
        "--clear-groups",
      ];
      expect(told(first, used(total, other))).toBe("same\n");
    }
  });

  test.if(isRoot)("are none of which the kernel tells nothing", () => {
    const hidden = "mount --bind /dev/null /proc/meminfo; mount --bind /dev/null /proc/loadavg";
    const first = ["unshare", "--mount", "sh", "-c", `${hidden}; exec "$@"`, "sh"];
    const words = `const used = supplies().filter(({ limit }) => limit.endsWith("(sysctl)")).map(({ used }) => used);
console.log(JSON.stringify([memory([]), used]));`;
    expect(JSON.parse(told(first, words))).toEqual([[], [0, 0]]);
  });
});

describe("what waits in pools", () => {
  test("makes room for a launch that has found none", () => {
    const failed = (errno: string) => new LaunchError("clone", "", errno, "");
    expect(["EMFILE", "EAGAIN", "ENOMEM", "ENOENT"].map((one) => wantsRoom(failed(one)))).toEqual([
      ...[true, true, true, false],
    ]);
    expect(wantsRoom(Object.assign(new Error("x"), { errno: "EMFILE" }))).toBe(false);
  });

  test("is no more where one of the groups has half of its processes with it", () => {
    const free = group({ "pids.max": "100\n", "pids.current": "46\n" });
    const full = group({ "pids.max": "100\n", "pids.current": "47\n" });
    expect([[], [free], [join(dir, "none")], [free, full]].map((all) => roomToWait(all)())).toEqual(
      [true, true, true, false],
    );
  });

  test("is told where it is less than was asked for, with the reason", () => {
    const sized = (uid: string, size: number | undefined) => {
      const api = compiled({ uid, ...(size !== undefined && { pool: 1 }) }, asUser);
      const [sandbox] = api.sandboxes;
      const plan = planOf(api);
      const pool = plan.pool && { ...plan.pool, size: size ?? 0 };
      const plans = [{ ...plan, ...(pool && { pool }) }];
      return { ...api, file: `${uid}.json`, sandboxes: [{ ...sandbox, uid, plans }] };
    };
    const MOST = 100_000_000;
    const [none, two, many] = [sized("none", undefined), sized("two", 2), sized("many", MOST)];
    const { launches } = poolCapacity(supplies());
    expect(launches).toBeWithin(3, MOST);
    expect(poolNotices([none as never])).toEqual([]);
    expect(poolNotices([none, two] as never)).toEqual([]);
    const [only, ...more] = poolNotices([none, two, many] as never);
    expect([only?.file, only?.path, more]).toEqual(["many.json", "sandboxes", []]);
    expect(only?.message).toMatch(
      /^"pool" asks for 100000000 sandboxes that wait, and \d+ will: each takes \d+ [\w ]+, and of the \d+ by .+ \d+ are in use and half is for requests\. Raise it, or ask for fewer$/,
    );
    const sizes = [...poolSizes([none, two, many] as never, 0).values()];
    expect(sizes[0]).toBe(2);
    expect(Math.abs((sizes[1] ?? 0) + 2 - launches)).toBeLessThan(launches / 4 + 20);
    expect(poolSizes([none as never], 0).size).toBe(0);
  });
});
