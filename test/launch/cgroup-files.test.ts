/**
 * What is read from the files of groups, written to them, and said where that fails. Directories that lie elsewhere have such files
 * for what no kernel here would say.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryLock } from "../../ffi/files.ts";
import {
  enable,
  enableControllers,
  handedOn,
  lackingControllers,
  makeGroup,
} from "../../src/launch/cgroup/controllers.ts";
import {
  apply,
  counter,
  errnoOf,
  get,
  isGone,
  makeGroups,
  move,
  put,
  words,
} from "../../src/launch/cgroup/files.ts";
import { controllersOf, counted, makeSandboxGroup } from "../../src/launch/cgroup/sandbox-group.ts";
import { makeServerGroup, removeLeftovers } from "../../src/launch/cgroup/server.ts";
import { GroupPlace, makePlace, taskGroup } from "../../src/launch/cgroup/task-group.ts";
import { notMade, whyNotMade } from "../../src/launch/cgroup/made.ts";
import { endTree, killTree, tryRemove } from "../../src/launch/cgroup/tree.ts";
import { CgroupUnavailable } from "../../src/launch/cgroup/place.ts";
import type { Controller } from "../../src/plan/cgroup.ts";

let dir: string;
let made = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-groups-"));
});
afterAll(() => rmSync(dir, { recursive: true }));
/** A directory with these files in it; where there is no text, with a directory. */
function group(files: Readonly<Record<string, string | undefined>> = {}): string {
  const path = join(dir, `${made++}`);
  mkdirSync(path);
  for (const [name, text] of Object.entries(files))
    if (text === undefined) mkdirSync(join(path, name));
    else writeFileSync(join(path, name), text);
  return path;
}
const failing = (code: string) => Object.assign(new Error(code), { code, syscall: "write" });
const setting = (controller: Controller, file: string, value: string) => ({
  ...{ controller, file, value },
});

describe("the files of a group", () => {
  test("an errno is that of a system call; what is none is thrown on", () => {
    expect(errnoOf(failing("EPERM"))).toBe("EPERM");
    for (const other of [
      new Error("x"),
      Object.assign(new Error("x"), { code: "EPERM" }),
      Object.assign(new Error("x"), { syscall: "open" }),
      Object.assign(new Error("x"), { code: 1, syscall: "open" }),
      "EPERM",
    ])
      expect(() => errnoOf(other)).toThrow();
    expect(["ENOENT", "ENODEV", "EPERM", "EBUSY"].map((code) => isGone(failing(code)))).toEqual([
      ...[true, true, false, false],
    ]);
  });
  test("are written where they are, and never made", () => {
    const path = group({ "pids.max": "" });
    put(path, "pids.max", "7");
    expect(get(path, "pids.max")).toBe("7");
    expect(() => put(path, "none", "7")).toThrow("ENOENT");
    expect(existsSync(join(path, "none"))).toBe(false);
    expect(() => move("1", path)).toThrow("ENOENT");
  });
  test("have words, or numbers by their names", () => {
    const path = group({ a: " cpu  io\nmemory\n", b: "x 1\nyy 5\ny 23\nz", c: undefined });
    expect(words(path, "a")).toEqual(["cpu", "io", "memory"]);
    const numbers = ["x", "y", "yy", "z", "a"].map((name) => counter(path, "b", name));
    expect(numbers).toEqual([1, 23, 5, undefined, undefined]);
    expect(counter(path, "none", "x")).toBeUndefined();
    expect(() => counter(path, "c", "x")).toThrow("EISDIR");
  });
  test("a group is made with those above it, as often as it takes, but not in the place of a file", () => {
    const path = group({ file: "" });
    makeGroups(join(path, "a/b"));
    makeGroups(join(path, "a/b"));
    expect(existsSync(join(path, "a/b"))).toBe(true);
    expect(() => makeGroups(join(path, "file/b"))).toThrow("ENOTDIR");
    expect(() => makeGroups(join(path, "file"))).toThrow("EEXIST");
  });
  test("a limit is made, or it is said why not", () => {
    const path = group({ "pids.max": "", "cpu.max": undefined });
    expect(apply(path, setting("pids", "pids.max", "9"))).toBeUndefined();
    expect(get(path, "pids.max")).toBe("9");
    const missing = setting("memory", "memory.max", "1");
    expect(apply(path, missing)).toEqual({
      ...{ setting: missing, errno: "ENOENT", meaning: "this kernel has no such limit" },
    });
    const other = setting("cpu", "cpu.max", "1");
    expect(apply(path, other)).toEqual({ setting: other, errno: "EISDIR", meaning: "" });
  });
  test.each([
    ["0-3", "0-1", undefined],
    ["0-3", "0-3\n", undefined],
    ["0", "0-1", "the CPUs that the parent group leaves are 0-1"],
    ["1-2", "2-3", "the CPUs that the parent group leaves are 2-3"],
    ["0", "\n", "the CPUs that the parent group leaves are "],
  ])("of the processors %s, where there are %j", (value, effective, meaning) => {
    const path = group({ "cpuset.cpus": "", "cpuset.cpus.effective": effective });
    const wanted = setting("cpuset", "cpuset.cpus", value);
    const refusal = meaning === undefined ? undefined : { setting: wanted, errno: "", meaning };
    expect(apply(path, wanted)).toEqual(refusal);
    expect(get(path, "cpuset.cpus")).toBe(value);
  });
});

describe("controllers", () => {
  const place = (files: Readonly<Record<string, string | undefined>>, mount: object = {}) => ({
    ...{
      base: group({ "cgroup.subtree_control": "cpu pids\n", ...files }),
      mount: group({ ...mount }),
    },
    ...{ isRoot: true, isContainer: false, inLeaf: false },
  });
  const asked = (...names: Controller[]) => new Set(names);

  test("those that are there, and why the others are not", () => {
    const here = place(
      { "cgroup.controllers": "cpu pids\n" },
      { "cgroup.controllers": "cpu io\n", "cgroup.type": "" },
    );
    expect(lackingControllers(here, asked()).size).toBe(0);
    const missing = lackingControllers(here, asked("cpu", "io", "memory"));
    expect([...missing.keys()]).toEqual(["io", "memory"]);
    const what = (name: string) => `no ${name} controller in ${here.base}: `;
    expect(missing.get("io")).toStartWith(`${what("io")}it is not delegated: put "Delegate=yes"`);
    expect(missing.get("memory")).toBe(`${what("memory")}the host gives none to this container`);
    expect(handedOn(here)).toEqual(["cpu", "pids"]);
  });
  test("on a machine that has none, its kernel says why", () => {
    const lines = readFileSync("/proc/cgroups", "utf8")
      .split("\n")
      .map((line) => line.split("\t"));
    const here = place({ "cgroup.controllers": "" }, { "cgroup.controllers": "" });
    for (const name of ["io", "memory", "pids"] as const) {
      const inV1 = name === "io" ? "blkio" : name;
      const line = lines.find(([first]) => first === inV1);
      const why = lackingControllers(here, asked(name)).get(name) ?? "";
      expect(why).toStartWith(`no ${name} controller in ${here.base}: `);
      if (!line) expect(why).toEndWith("this kernel is built without it");
      else if (line[3] === "0")
        expect(why).toEndWith(`it is off: put "cgroup_enable=${inV1}" on the kernel command line`);
      else expect(why).toContain("it is in use by cgroup v1 (a hybrid system)");
    }
  });
  test("are handed on, to where the groups are", () => {
    const here = place({ "cgroup.controllers": "memory pids\n" }, { "cgroup.controllers": "io\n" });
    const below = makeGroup(here);
    expect(below).toBe(join(here.base, "spawnbox"));
    writeFileSync(join(below, "cgroup.subtree_control"), "");
    expect(enableControllers(here, asked("memory")).size).toBe(0);
    for (const one of [here.base, below])
      expect(get(one, "cgroup.subtree_control")).toStartWith("+memory");
    // Nothing is asked for: nothing is changed.
    writeFileSync(join(below, "cgroup.subtree_control"), "");
    expect([...enableControllers(here, asked("io")).keys()]).toEqual(["io"]);
    expect(get(below, "cgroup.subtree_control")).toBe("");
    expect(enable(below, "cpu")).toBeUndefined();
    expect(enable(group(), "cpu")).toMatch(/^cannot enable cpu below .*: ENOENT$/);
  });
  test("the server steps aside first, unless it is at the root or has done so", () => {
    const here = { ...place({ "cgroup.controllers": "pids\n" }), isRoot: false };
    const leaf = join(here.base, "spawnbox/server");
    expect(enableControllers(here, asked("pids")).get("pids")).toStartWith(
      `cannot move to ${leaf}: ENOENT: run as root, or put "Delegate=yes"`,
    );
    expect(existsSync(leaf)).toBe(true);
    const inLeaf = { ...here, inLeaf: true };
    expect(enableControllers(inLeaf, asked("pids")).get("pids")).toStartWith(
      "cannot enable pids below",
    );
  });
  test("of a container, who has started the server goes with it; of others nobody", () => {
    const procs = (isContainer: boolean) => {
      const here = place({ "cgroup.controllers": "pids\n", "cgroup.procs": "7777\n" });
      const leaf = join(makeGroup(here), "server");
      mkdirSync(leaf);
      writeFileSync(join(leaf, "cgroup.procs"), "");
      enableControllers({ ...here, isRoot: false, isContainer }, asked("pids"));
      return get(leaf, "cgroup.procs");
    };
    // Each is written over the one before.
    expect([true, false].map((is) => procs(is).startsWith("7777"))).toEqual([true, false]);
  });
  test("a group that cannot be made says what to do", () => {
    const here = place({ spawnbox: "" });
    expect(() => makeGroup(here)).toThrow(CgroupUnavailable);
    expect(() => makeGroup(here)).toThrow(/cannot make .*: EEXIST$/);
    const [above, bound] = [group(), group({ "cgroup.max.depth": "max\n" })];
    const below = join(bound, "a");
    mkdirSync(below);
    writeFileSync(join(below, "cgroup.max.descendants"), "3\n");
    writeFileSync(join(below, "cgroup.max.depth"), "1\n");
    const NONE_SO_DEEP = "there may be no more, or none so deep: raise";
    for (const [path, errno, why] of [
      [above, "EROFS", "in a container, have the cgroup file system mounted writable"],
      [
        ...[above, "EACCES"],
        'the group we are in is not ours: run as root, or put "Delegate=yes" into the systemd unit (systemd-run: -p Delegate=yes)',
      ],
      [
        ...[above, "EAGAIN"],
        `${NONE_SO_DEEP} cgroup.max.descendants or cgroup.max.depth of a group above`,
      ],
      [
        ...[below, "EAGAIN"],
        `${NONE_SO_DEEP} ${below}/cgroup.max.descendants (3) or ${below}/cgroup.max.depth (1)`,
      ],
      [
        ...[above, "ENOSPC"],
        "the kernel has room for no more: groups that were removed stay while something of their memory is in use",
      ],
    ] as [string, string, string][]) {
      expect(whyNotMade(join(path, "x"), errno)).toBe(why);
      expect(notMade(join(path, "x"), errno).message).toBe(
        `cannot make ${path}/x: ${errno}: ${why}`,
      );
    }
  });
});

describe("a tree of groups", () => {
  test("is removed from below, unless something is left in it", async () => {
    const path = group({ a: undefined });
    mkdirSync(join(path, "a/b"));
    expect(tryRemove(path)).toBe(true);
    expect(existsSync(path)).toBe(false);
    expect(tryRemove(path)).toBe(true);
    const full = group({
      a: undefined,
      "cgroup.kill": "",
      "cgroup.events": "populated 1\nfrozen 0\n",
    });
    expect(tryRemove(full)).toBe(false);
    expect(get(full, "cgroup.kill")).toBe("");
    expect(await endTree(full, 20)).toBe(false);
    expect(get(full, "cgroup.kill")).toBe("1");
    expect(() => tryRemove(join(full, "cgroup.kill"))).toThrow("ENOTDIR");
    // Who has died is only waited for.
    const dead = group({ "cgroup.kill": "", "cgroup.events": "populated 0\n" });
    expect(await endTree(dead, 20)).toBe(false);
    expect(get(dead, "cgroup.kill")).toBe("");
    setTimeout(() => rmSync(dead, { recursive: true }), 20);
    expect(await endTree(dead, 30_000)).toBe(true);
  });
  test("is killed by its list where the kernel cannot do so, and frozen first", async () => {
    const sleepers = [1, 2].map(() => Bun.spawn(["/bin/sleep", "1000"]));
    const [first, second] = sleepers.map(({ pid }) => pid);
    const path = group({
      "cgroup.freeze": "",
      "cgroup.procs": `0\n${first}\n`,
      sub: undefined,
      gone: undefined,
    });
    for (const [name, text] of [
      ["freeze", ""],
      ["procs", `4194304\n${second}\n`],
    ] as const)
      writeFileSync(join(path, `sub/cgroup.${name}`), text);
    try {
      killTree(path);
      expect(get(path, "cgroup.freeze")).toBe("1");
      expect(get(join(path, "sub"), "cgroup.freeze")).toBe("1");
      expect(
        await Promise.all(sleepers.map(async (one) => (await one.exited, one.signalCode))),
      ).toEqual(["SIGKILL", "SIGKILL"]);
      killTree(join(path, "none"));
    } finally {
      for (const one of sleepers) one.kill("SIGKILL");
    }
    // No process at all, which nobody can have ended meanwhile.
    expect(() => killTree(group({ "cgroup.freeze": "", "cgroup.procs": "x\n" }))).toThrow();
    for (const odd of ["cgroup.kill", "cgroup.freeze"])
      expect(() => killTree(group({ [odd]: undefined }))).toThrow("EISDIR");
  });
});

describe("the group of a task", () => {
  test("has its limits; what it has used is counted, and it is gone in the end", async () => {
    const ends: boolean[] = [];
    const make = (countsMemory: boolean, files: Readonly<Record<string, string | undefined>>) => {
      const path = group(files);
      const [fd, cpu] = [openSync(path, "r"), openSync(join(path, "cpu.stat"), "r")];
      const place = new GroupPlace(path, countsMemory, fd, cpu);
      return taskGroup(place, false, { keep: () => false, onEnd: (gone) => void ends.push(gone) });
    };
    const cpu = { "cpu.stat": "usage_usec 1\nuser_usec 2500\nsystem_usec 1250\n" };
    for (const countsMemory of [true, false]) {
      const memory = { "memory.events": "oom 5\noom_kill 1\n" };
      const task = make(countsMemory, { ...cpu, ...memory, "cgroup.kill": "" });
      task.kill();
      expect(get(task.path, "cgroup.kill")).toBe("1");
      const { usage, gone } = task.end();
      expect(usage).toEqual({ oom: countsMemory, user: 2.5, system: 1.25 });
      const other = make(countsMemory, { ...cpu, ...memory });
      const unkilled = other.end(false, false);
      expect(unkilled.usage).toEqual({ oom: false, user: 2.5, system: 1.25 });
      rmSync(other.path, { recursive: true });
      await unkilled.gone;
      rmSync(task.path, { recursive: true });
      await gone;
    }
    // Nothing of it can be killed: the supervisor does.
    const odd = { "memory.events": "oom_kill 0\n", "cgroup.kill": undefined };
    const plain = make(true, { "cpu.stat": "", ...odd });
    plain.kill();
    const ending = [plain.end()];
    const uncounted = make(false, { "cpu.stat": undefined });
    ending.push(uncounted.end());
    for (const { usage } of ending) expect(usage).toEqual({ oom: false, user: 0, system: 0 });
    for (const { path } of [plain, uncounted]) rmSync(path, { recursive: true });
    await Promise.all(ending.map(({ gone }) => gone));
    expect(ends).toEqual(Array.from({ length: 6 }, () => true));
  });
  test("is kept only where it is empty, nothing was killed in it, and there is room", async () => {
    const said: string[] = [];
    const make = (events: string, room = true) => {
      const path = group({ "cpu.stat": "", "cgroup.events": events, "cgroup.kill": "" });
      const [fd, cpu] = [openSync(path, "r"), openSync(join(path, "cpu.stat"), "r")];
      return taskGroup(new GroupPlace(path, false, fd, cpu), false, {
        keep: () => (said.push(room ? "kept" : "no room"), room),
        onEnd: (gone) => void said.push(gone ? "gone" : "stuck"),
      });
    };
    const end = async (task: ReturnType<typeof make>, isFresh?: boolean) => {
      const { gone } = task.end(isFresh);
      // What has ended is another's by then.
      task.kill();
      expect(get(task.path, "cgroup.kill")).not.toBe("2");
      const removed = Bun.sleep(20).then(() => rmSync(task.path, { recursive: true, force: true }));
      await Promise.all([gone, removed]);
      return said.splice(0);
    };
    expect(await end(make("populated 0\n"), true)).toEqual(["kept", "gone"]);
    expect(await end(make("populated 1\n"), true)).toEqual(["gone"]);
    expect(await end(make("populated 0\n"), false)).toEqual(["gone"]);
    expect(await end(make("populated 0\n"))).toEqual(["gone"]);
    expect(await end(make("populated 0\n", false), true)).toEqual(["no room", "gone"]);
    const killed = make("populated 0\n");
    killed.kill();
    expect(await end(killed, true)).toEqual(["gone"]);
  });
  test("is not there where it, or one of its limits, cannot be had", () => {
    const path = join(group(), "x");
    expect(() => makePlace(join(path, "y"), [], false)).toThrow(
      /the group of the task cannot be made/,
    );
    expect(() => makePlace(path, [setting("pids", "pids.max", "3")], false)).toThrow(
      /pids\.max=3.*ENOENT.*this kernel has no such limit/,
    );
    // A directory that is no group has no counters.
    expect(() => makePlace(path, [], false)).toThrow(/the group of the task cannot be opened/);
    expect(existsSync(path)).toBe(false);
  });
});

describe("the group of a sandbox", () => {
  const policy = {
    ...{ path: "p", mount: undefined, optional: false },
    shared: [setting("memory", "memory.max", "1"), setting("pids", "pids.max", "2")],
    task: [setting("cpu", "cpu.max", "3"), setting("pids", "pids.max", "4")],
  };
  test("wants the controllers of its limits, and of those of its tasks", () => {
    expect(controllersOf(policy)).toEqual(["memory", "pids", "cpu"]);
  });
  test("that counts memory has a task killed as a whole", () => {
    const { task } = policy;
    expect(counted(task, false)).toEqual({ task, countsMemory: false });
    const together = setting("memory", "memory.oom.group", "1");
    expect(counted(task, true)).toEqual({ task: [...task, together], countsMemory: true });
  });
  test("says of each limit why it cannot be had, and has none of these", () => {
    const said: string[] = [];
    const lacks = (path: string, message: string) => void said.push(`${path}: ${message}`);
    const path = join(group(), "box");
    const missing = new Map<Controller, string>([["cpu", "no cpu"]]);
    expect(makeSandboxGroup(path, policy, missing, lacks)).toEqual({
      task: [],
      countsMemory: false,
    });
    // Of memory and pids the tasks would need the controller; a directory is no group that could hand it on.
    const enabling = (name: string) => `p: cannot enable ${name} below ${path}: ENOENT`;
    expect(said.toSorted()).toEqual([enabling("memory"), enabling("pids"), "p: no cpu"]);
    expect(existsSync(join(path, "probe"))).toBe(false);
  });
});

describe("the group of a server", () => {
  test("is its own, and locked; what others have left is removed, and what cannot be is told", async () => {
    const parent = group({ file: "", server: undefined, left: undefined, odd: undefined });
    mkdirSync(join(parent, "left/sub"));
    mkdirSync(join(parent, "odd/cgroup.kill"));
    writeFileSync(join(parent, "odd/cgroup.kill/file"), "");
    const { path, fd } = makeServerGroup(parent);
    expect(path).toMatch(new RegExp(`^${parent}/${process.pid}-[0-9a-f]{8}$`));
    const other = openSync(path, "r");
    expect(tryLock(other)).toBe(false);
    closeSync(other);
    const odd = join(parent, "odd");
    expect(await removeLeftovers(parent)).toEqual([`${odd}: EISDIR`, `${odd}: EISDIR`]);
    const left = ["file", "server", "left", "odd"].map((name) => existsSync(join(parent, name)));
    expect([...left, existsSync(path)]).toEqual([true, true, false, true, true]);
    closeSync(fd);
    rmSync(odd, { recursive: true });
    expect(await removeLeftovers(parent)).toEqual([]);
    expect(existsSync(path)).toBe(false);
    expect(await removeLeftovers(join(parent, "none"))).toEqual([]);
    expect(() => makeServerGroup(join(parent, "file"))).toThrow(/^cannot make .*: ENOTDIR$/);
  });
});
