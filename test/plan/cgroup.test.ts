/** cgroups of a config → settings. */
import { describe, expect, test } from "bun:test";
import type { Cgroups } from "../../src/config/sandbox-schema.ts";
import { compileCgroups } from "../../src/plan/cgroup.ts";
import { groupsNeeded } from "../../src/plan/cgroup-key.ts";
import { Report } from "../../src/plan/report.ts";
import { system } from "../served.ts";
import { asRoot, asUser, compiled as compiledSandbox } from "./compiling.ts";

function compiled(cgroups: Cgroups, online = new Set([0, 1])) {
  const report = new Report("f");
  const policy = compileCgroups(cgroups, "c", report, online);
  const lines = (settings = policy?.shared) =>
    settings?.map(({ file, value }) => `${file}=${value}`);
  return {
    shared: lines(),
    task: lines(policy?.task),
    problems: report.problems.map(({ path }) => path),
  };
}

test("nothing said, nothing limited", () => {
  expect(compileCgroups(undefined, "c", new Report("f"))).toBeUndefined();
  expect(compiled({})).toEqual({ shared: [], task: [], problems: [] });
});

test("every key becomes its file", () => {
  const { shared, task, problems } = compiled({
    cset: "0-1",
    mem: { max: "1G", hight: "512M", min: "4K", swap: "0" },
    cpu: { weight: "100", max: "50000  100000" },
    io: ["8:0 rbps=1M wiops=max", "8:16 wbps=5"],
    pids: "max",
    task: { mem: { max: "max" }, pids: "10" },
  });
  expect(problems).toEqual([]);
  expect(shared).toEqual([
    "cpuset.cpus=0-1",
    "memory.max=1073741824",
    "memory.high=536870912",
    "memory.min=4096",
    "memory.swap.max=0",
    "cpu.weight=100",
    "cpu.max=50000 100000",
    "io.max=8:0 rbps=1048576 wiops=max",
    "io.max=8:16 wbps=5",
    "pids.max=max",
  ]);
  expect(task).toEqual(["memory.max=max", "pids.max=10"]);
});

describe("refused, with its place", () => {
  test.each<[string, Cgroups, string]>([
    ["a CPU that does not exist", { cset: "1-2" }, "c.cset"],
    ["no list", { cset: "2-1" }, "c.cset"],
    ["no size", { mem: { max: "64 MB or so" } }, "c.mem.max"],
    ["a size of nothing", { mem: { max: "0" } }, "c.mem.max"],
    ["a size that the kernel would take for max", { mem: { max: "9999999999G" } }, "c.mem.max"],
    ["both spellings, differing", { mem: { high: "1M", hight: "2M" } }, "c.mem.hight"],
    ["a weight out of range", { cpu: { weight: "10001" } }, "c.cpu.weight"],
    ["a quota below 1 ms", { cpu: { max: "999" } }, "c.cpu.max"],
    ["a period above 1 s", { cpu: { max: "max 1000001" } }, "c.cpu.max"],
    ["three numbers", { cpu: { max: "5000 5000 5000" } }, "c.cpu.max"],
    ["no device", { io: ["sda rbps=1"] }, "c.io[0]"],
    ["an unknown key", { io: ["8:0 bps=1"] }, "c.io[0]"],
    ["a device without limits", { io: ["8:0"] }, "c.io[0]"],
    ["a device twice", { io: ["8:0 rbps=1", "8:0 wbps=1"] }, "c.io[1]"],
    ["no process at all", { pids: "0" }, "c.pids"],
    ["a limit of a task", { task: { pids: "many" } }, "c.task.pids"],
    ["a relative mount", { mount: "sys" }, "c.mount"],
  ])("%s", (_, cgroups, path) => {
    expect(compiled(cgroups).problems).toEqual([path]);
  });
});

test("limits hold for what exec starts, also in a sandbox that has no command", () => {
  const pid = { namespace: { shares: { pid: "disable" } } };
  const needs = (more: object) =>
    groupsNeeded([compiledSandbox({ acls: { user: "nobody" }, exec: true, ...pid, ...more })]);
  const limited = [{ key: "t/s", file: "t.json", policy: { shared: [{ value: "9" }] } }];
  expect(needs({ cgroups: { pids: 9 } })).toMatchObject(limited);
  expect(needs({ cgroups: { pids: 9 }, commands: [] })).toMatchObject(limited);
  expect(needs({ commands: [] })).toEqual([]);
});

describe("limits that a command could lift are a notice", () => {
  const notices = (sandbox: object, machine = asRoot) =>
    compiledSandbox({ cgroups: { pids: "9" }, ...sandbox }, machine)
      .notices.filter(({ path }) => path === "sandboxes[0].cgroups")
      .map(({ message }) => /and (can [^:]+):/.exec(message)?.[1]);
  const WRITES = ["can write to /sys/fs/cgroup"];
  const root = { user: "root" };
  const sees = (...mounts: object[]) => ({ namespace: { mounts: [...system, ...mounts] } });

  test("by an ordinary server's command with the host's files", () => {
    expect(notices({}, asUser)).toEqual(WRITES);
    expect(notices({ cgroups: undefined }, asUser)).toEqual([]);
    expect(notices(sees(), asUser)).toEqual([]);
    expect(notices(sees({ target: "/sys", mode: "rw" }), asUser)).toEqual(WRITES);
    expect(notices(sees({ target: "/sys", mode: "ro" }), asUser)).toEqual([]);
    expect(notices(sees({ target: "/sys", mode: "sys" }), asUser)).toEqual([]);
    const landlock = (path: string, access: string) => ({
      landlock: { [access]: [path], exec: ["/usr", "/bin", "/lib", "/lib64"] },
    });
    const machine = { ...asUser, landlockAbi: () => 1 };
    expect(notices(landlock("/tmp", "rw"), machine)).toEqual([]);
    expect(notices(landlock("/", "ro"), machine)).toEqual([]);
    expect(notices(landlock("/sys", "rw"), machine)).toEqual(WRITES);
  });

  test("by root's, as root or with a capability", () => {
    expect(notices({ acls: { user: "nobody" } })).toEqual([]);
    expect(notices({ acls: root, caps: [] })).toEqual(WRITES);
    expect(notices({ acls: root, profile: "minimal" })).toEqual([]);
    expect(notices({ acls: root, ...sees() })).toEqual(["can mount the cgroup file system"]);
    expect(notices({ acls: root, ...sees(), caps: [] })).toEqual([]);
    const caps = (cap: string) => ({ acls: { user: "nobody" }, caps: [{ cap }] });
    expect(notices(caps("DAC_OVERRIDE"))).toEqual(WRITES);
    expect(notices(caps("NET_ADMIN"))).toEqual([]);
  });
});

test("a group is the next task's only where no task could change it", () => {
  const reusable = (sandbox: object, machine = asRoot) =>
    groupsNeeded([compiledSandbox({ cgroups: { pids: 9 }, ...sandbox }, machine)]).map(
      (need) => need.reusable,
    );
  const nobody = { acls: { user: "nobody" } };
  expect(reusable(nobody)).toEqual([true]);
  expect(reusable({ ...nobody, caps: [] })).toEqual([true]);
  expect(reusable({ ...nobody, caps: [{ cap: "SETUID" }] })).toEqual([false]);
  // A program of root's could freeze the group, and leave it.
  expect(reusable({ acls: { user: "nobody", newPrivs: true } })).toEqual([false]);
  expect(reusable({ acls: { user: "root" } })).toEqual([false]);
  expect(reusable({ acls: { user: "root" }, caps: [] })).toEqual([false]);
  expect(reusable({}, asUser)).toEqual([false]);
});

describe("values, and what is said of others", () => {
  const said = (cgroups: Cgroups) => {
    const report = new Report("f");
    const policy = compileCgroups(cgroups, "c", report, new Set([0, 1]));
    return report.problems[0]?.message ?? policy?.shared[0]?.value;
  };
  const SIZE = (text: string) => `"${text}" is not a size: bytes, such as 512K, 64M or 1G, or max`;
  const RANGE = (text: string, least: number) =>
    `"${text}" is out of range: from ${least} byte(s) to 8 EiB, or max`;
  const LINE =
    'expected MAJOR:MINOR and then rbps=, wbps=, riops=, wiops=, such as "8:0 rbps=1M wiops=max"';
  test.each<[Cgroups, string]>([
    [{ mem: { max: " 3kB " } }, "3072"],
    [{ mem: { max: "2T" } }, "2199023255552"],
    [{ mem: { max: "MAX" } }, "max"],
    [{ mem: { max: "1" } }, "1"],
    [{ mem: { max: "9223372036854775807" } }, "9223372036854775807"],
    [{ mem: { max: "9223372036854775808" } }, RANGE("9223372036854775808", 1)],
    [{ mem: { max: "0" } }, RANGE("0", 1)],
    [{ mem: { min: "0" } }, "0"],
    [{ mem: { max: "1P" } }, SIZE("1P")],
    [{ cpu: { weight: " 1 " } }, "1"],
    [{ cpu: { weight: "10000" } }, "10000"],
    [{ cpu: { weight: "0" } }, '"0" is not a whole number from 1 to 10000'],
    [{ cpu: { max: "  5000   20000 " } }, "5000 20000"],
    [{ cpu: { max: "max" } }, "max"],
    [{ cpu: { max: "1000 1000" } }, "1000 1000"],
    [{ cpu: { max: "1000 1000000" } }, "1000 1000000"],
    [{ cpu: { max: "17592186044415" } }, "17592186044415"],
    [
      { cpu: { max: "17592186044416" } },
      '"17592186044416" is not a whole number from 1000 to 17592186044415',
    ],
    [{ cpu: { max: "1000 999" } }, '"999" is not a whole number from 1000 to 1000000'],
    [
      { cpu: { max: "1 2 3" } },
      '"1 2 3": expected a quota in µs or max, and optionally a period in µs',
    ],
    [{ io: [" 08:016  riops=4294967294 "] }, "8:16 riops=4294967294"],
    [{ io: ["4095:1048575 wbps=1"] }, "4095:1048575 wbps=1"],
    [{ io: ["4096:0 wbps=1"] }, "4096:0 is no device: MAJOR is at most 4095, MINOR 1048575"],
    [{ io: ["0:1048576 wbps=1"] }, "0:1048576 is no device: MAJOR is at most 4095, MINOR 1048575"],
    [
      { io: ["8:0 riops=4294967295"] },
      '"riops=4294967295" is out of range: from 1 to 4294967294, or max',
    ],
    [{ io: ["8:0 rbps=4294967295"] }, "8:0 rbps=4294967295"],
    [{ io: ["8:0 rbps=1=2"] }, `"rbps=1=2": ${LINE}`],
    [{ io: ["8:0 rbps"] }, `"rbps": ${LINE}`],
    [{ io: ["8:0"] }, `"8:0": ${LINE}`],
    [{ io: ["8 rbps=1"] }, `"8 rbps=1": ${LINE}`],
    [{ io: ["8:0 rbps=1", "08:0 wbps=1"] }, "8:0 has a line already: put all its limits there"],
    [{ pids: "4194304" }, "4194304"],
    [{ pids: "4194305" }, '"4194305" is not a whole number from 1 to 4194304'],
    [{ pids: "Max" }, "max"],
    [{ cset: " 0 , 1 " }, "0,1"],
    [{ cset: "0-0" }, "0-0"],
    [{ cset: "1-0" }, '"1-0" is not a list of CPUs such as 0-3,6'],
    [{ cset: "0,2,5" }, '"0,2,5": no CPU 2, 5 here; there are 0, 1'],
    [{ cset: "a" }, '"a" is not a list of CPUs such as 0-3,6'],
    [
      { mem: { high: "1M", hight: "2M" } },
      "the old spelling of high, which says otherwise: remove it",
    ],
    [{ mount: "sys" }, '"sys" must be an absolute path'],
    [{ mount: "sys/" }, '"sys/" must be an absolute path'],
    [{ mount: "/sys/fs/cgroup", pids: "9" }, "9"],
  ])("%j: %s", (cgroups, expected) => {
    expect(said(cgroups)).toBe(expected);
  });
});
