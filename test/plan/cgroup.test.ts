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
