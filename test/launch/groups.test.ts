/** The groups of all sandboxes of a server: what they are called, how long they are kept, and what is said where there are none. */
import { afterEach, beforeEach, describe, expect, jest, spyOn, test } from "bun:test";
import {
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
import { basename, dirname, join } from "node:path";
import { ConfigError } from "../../src/config/problem.ts";
import { type CgroupRoot, openCgroups, type SandboxCgroup } from "../../src/launch/cgroup.ts";
import * as server from "../../src/launch/cgroup/server.ts";
import * as places from "../../src/launch/cgroup/place.ts";
import { CgroupUnavailable, findPlace } from "../../src/launch/cgroup/place.ts";
import type { CgroupPolicy, Controller } from "../../src/plan/cgroup.ts";
import { isSettled } from "../api/listener.ts";
import { descriptorsOf } from "../descriptors.ts";
import { isRoot } from "../accounts.ts";
import { inGroup } from "./cgroup-cases.ts";
import { turns, turnsUntil } from "./turns.ts";

const place = (() => {
  try {
    return isRoot ? findPlace(undefined) : undefined;
  } catch (error) {
    if (error instanceof CgroupUnavailable) return undefined;
    throw error;
  }
})();
/** A controller that all may be given without anybody noticing, by the root of the hierarchy, where nobody has to step aside for it. */
const handsOutHuge =
  place?.isRoot === true &&
  existsSync("/sys/kernel/mm/hugepages/hugepages-2048kB") &&
  readFileSync(join(place.base, "cgroup.controllers"), "utf8").includes("hugetlb");
const box = (key: string, more: Partial<SandboxCgroup> = {}): SandboxCgroup => ({
  ...{ key, file: `${key}.json`, policy: undefined },
  ...more,
});
const policy = (more: Partial<CgroupPolicy> = {}): CgroupPolicy => ({
  ...{ path: "p", mount: undefined, optional: false, shared: [], task: [] },
  ...more,
});
async function opened(work: (root: CgroupRoot) => Promise<void>, ...all: SandboxCgroup[]) {
  const root = await openCgroups(all);
  const { path = "" } = root;
  try {
    await work(root);
  } finally {
    jest.useRealTimers();
    await root.close();
  }
  const open = descriptorsOf("self").filter((link) => link.startsWith(path));
  expect([existsSync(path), open]).toEqual([false, []]);
  // What all lie in stays for others only.
  const others = existsSync(dirname(path))
    ? readdirSync(dirname(path), { withFileTypes: true })
    : [];
  if (existsSync(dirname(path))) expect(others.some((one) => one.isDirectory())).toBe(true);
}
const refused = async (...all: SandboxCgroup[]) => {
  const error = await openCgroups(all).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw error;
  return error.problems;
};
describe.skipIf(place === undefined)("groups", () => {
  test("are called by the order of sandboxes and tasks; names are for people", async () => {
    const long = "x".repeat(100);
    await opened(
      async (root) => {
        const path = root.path ?? "";
        expect(basename(dirname(path))).toBe("spawnbox");
        expect(
          readdirSync(path, { withFileTypes: true })
            .filter((one) => one.isDirectory())
            .map(({ name }) => name)
            .toSorted(),
        ).toEqual(["0-a-b-c_d-", `1-${"x".repeat(64)}`]);
        const tasks = ["a/b .c_d!", long, "a/b .c_d!"].map((key) => root.begin(key));
        expect(tasks.map((task) => task?.path)).toEqual([
          join(path, "0-a-b-c_d-/0"),
          join(path, `1-${"x".repeat(64)}/1`),
          join(path, "0-a-b-c_d-/2"),
        ]);
        expect(tasks.map((task) => task?.isKept)).toEqual([false, false, false]);
        expect(root.begin("other")).toBeUndefined();
        await Promise.all(tasks.map((task) => task?.end(true).gone));
        // They are nobody's who has not asked for that.
        expect(tasks.map((task) => existsSync(task?.path ?? ""))).toEqual([false, false, false]);
      },
      box("a/b .c_d!"),
      box(long),
    );
  });

  test("are removed once they are retired and nothing runs in them", async () => {
    const root = await openCgroups([box("a", { reusable: true })]);
    const [one, two] = [root.begin("a"), root.begin("a")];
    const retired = root.retire();
    await one?.end(true).gone;
    expect(existsSync(one?.path ?? "")).toBe(false);
    await turns(20);
    expect([await isSettled(retired), existsSync(root.path ?? "")]).toEqual([false, true]);
    await two?.end(true).gone;
    await retired;
    expect(root.path).toBeUndefined();
    expect(root.begin("a")).toBeUndefined();
    const none = await openCgroups([box("a")]);
    const { path = "" } = none;
    await none.retire();
    expect(existsSync(path)).toBe(false);
  });

  describe("that are kept", () => {
    beforeEach(() => void jest.useFakeTimers());
    afterEach(() => void jest.useRealTimers());
    const openOf = (root: CgroupRoot) =>
      descriptorsOf("self").filter((link) => link.startsWith(`${root.path ?? ""}/`)).length;
    const kept = box("a", { reusable: true });
    /** So many, which are kept from now on. */
    async function rested(root: CgroupRoot, count: number) {
      const tasks = Array.from({ length: count }, () => root.begin("a"));
      await Promise.all(tasks.map((task) => task?.end(true).gone));
      return tasks.map((task) => task?.path ?? "");
    }

    test("and not used for a while are removed, the others go on", async () => {
      await opened(async (root) => {
        const [first, second] = await rested(root, 2);
        expect(openOf(root)).toBe(4);
        jest.advanceTimersByTime(1500);
        // The last one that came is the next to go.
        const used = root.begin("a");
        expect([used?.path, used?.isKept]).toEqual([second, true]);
        const fresh = root.begin("a", true);
        expect(fresh?.isKept).toBe(false);
        await fresh?.end().gone;
        await used?.end(true).gone;
        jest.advanceTimersByTime(499);
        expect([first, second].map((path = "") => existsSync(path))).toEqual([true, true]);
        jest.advanceTimersByTime(1);
        expect([first, second].map((path = "") => existsSync(path))).toEqual([false, true]);
        expect(openOf(root)).toBe(2);
        jest.advanceTimersByTime(2000);
        expect(existsSync(second ?? "")).toBe(false);
        expect([openOf(root), jest.getTimerCount()]).toEqual([0, 0]);
        // There is room for as many as before.
        const many = await rested(root, 10);
        expect(many.filter((path) => existsSync(path))).toHaveLength(8);
      }, kept);
    });

    test("and used again in time go on", async () => {
      await opened(async (root) => {
        const [path = ""] = await rested(root, 1);
        jest.advanceTimersByTime(1900);
        expect(await rested(root, 1)).toEqual([path]);
        jest.advanceTimersByTime(100);
        expect(existsSync(path)).toBe(true);
        jest.advanceTimersByTime(2000);
        expect(existsSync(path)).toBe(false);
        // Those that are kept at the end are closed with the rest.
        await rested(root, 3);
      }, kept);
    });

    test("and would not go then, as somebody is in them, are tried again by later launches", async () => {
      await opened(async (root) => {
        const [path = ""] = await rested(root, 1);
        const sleeper = inGroup(path, "exec sleep 1016");
        while (readFileSync(join(path, "cgroup.procs"), "utf8") === "") await turns(20);
        jest.advanceTimersByTime(2000);
        expect([existsSync(path), openOf(root)]).toEqual([true, 0]);
        // In vain by now, which is not the last time.
        await root.begin("a")?.end().gone;
        sleeper.kill("SIGKILL");
        await sleeper.exited;
        // The kernel may yet have to take the dead apart.
        const ends: (Promise<void> | undefined)[] = [];
        await turnsUntil("it is gone", () => {
          ends.push(root.begin("a")?.end(true).gone);
          return !existsSync(path);
        });
        await Promise.all(ends);
      }, kept);
    });

    test("have no timer any more once they are closed", async () => {
      const root = await openCgroups([kept]);
      await rested(root, 1);
      expect(jest.getTimerCount()).toBe(1);
      const before = openOf(root);
      await root.close();
      expect([before, jest.getTimerCount()]).toEqual([2, 0]);
    });
  });

  describe.skipIf(!handsOutHuge)("that cannot be made again with their limits", () => {
    const files = (...names: string[]) =>
      join(place?.base ?? "", ...names, "cgroup.subtree_control");
    const has = (file: string) => readFileSync(file, "utf8").split(/\s+/).includes("hugetlb");
    const setting = { controller: "hugetlb" as Controller, file: "hugetlb.2MB.max", value: "0" };

    /** Removes the group of the sandbox, and has somebody in that of the server, whose children then cannot be given controllers. */
    async function inTheWay(root: CgroupRoot, work: () => void) {
      const { path = "" } = root;
      rmdirSync(join(path, "0-a"));
      writeFileSync(join(path, "cgroup.subtree_control"), "-hugetlb");
      const sleeper = inGroup(path, "exec sleep 1017");
      try {
        while (readFileSync(join(path, "cgroup.procs"), "utf8") === "") await turns(20);
        work();
      } finally {
        sleeper.kill("SIGKILL");
        await sleeper.exited;
      }
    }

    for (const [name, more] of [
      ["", {}],
      [" though they are optional", { optional: true }],
    ] as const) {
      test(`nothing is launched in them${name}, until they are whole`, async () => {
        const before = has(files());
        const limited = box("a", { policy: policy({ shared: [setting], ...more }) });
        try {
          await opened(async (root) => {
            const limit = join(root.path ?? "", "0-a", setting.file);
            expect(readFileSync(limit, "utf8")).toBe("0\n");
            await inTheWay(root, () => {
              for (let i = 0; i < 3; i++)
                expect(() => root.begin("a")).toThrow("cannot enable hugetlb below");
            });
            // The dead may take a moment to go.
            const procs = join(root.path ?? "", "cgroup.procs");
            await turnsUntil("nobody is in it", () => readFileSync(procs, "utf8") === "");
            const task = root.begin("a");
            expect(task && [existsSync(task.path), readFileSync(limit, "utf8")]).toEqual([
              true,
              "0\n",
            ]);
            await task?.end().gone;
          }, limited);
        } finally {
          if (!before && existsSync(files("spawnbox")))
            writeFileSync(files("spawnbox"), "-hugetlb");
          if (!before) writeFileSync(files(), "-hugetlb");
        }
      });
    }
  });

  test("of crashed servers are let be by who only looks, and so are those of others", async () => {
    await opened(async (root) => {
      const left = join(dirname(root.path ?? ""), "1-dead");
      mkdirSync(left);
      try {
        const base = place?.base ?? "";
        const given = () => readFileSync(join(base, "cgroup.subtree_control"), "utf8");
        const before = given();
        const [name] = readFileSync(join(base, "cgroup.controllers"), "utf8")
          .split(/\s+/)
          .filter((one) => one !== "" && !before.split(/\s+/).includes(one));
        const setting = { controller: name as Controller, file: "none.max", value: "1" };
        const settings = name === undefined ? [] : [setting];
        const wants = policy({ shared: settings, task: settings });
        const looked = await openCgroups([box("b", { policy: wants })], { lookOnly: true });
        // What could only be tried by a change is not said to be missing.
        expect([looked.notices, existsSync(left), given()]).toEqual([[], true, before]);
        expect(looked.begin("b")?.end()).toBeDefined();
        await looked.close();
        const absent = { ...setting, controller: "none" as Controller };
        const missing = box("c", { policy: policy({ shared: [absent] }) });
        expect(openCgroups([missing], { lookOnly: true })).rejects.toThrow("no none controller");
        expect(existsSync(left)).toBe(true);
        const other = await openCgroups([box("d")]);
        expect(existsSync(left)).toBe(false);
        await other.close();
      } finally {
        if (existsSync(left)) rmdirSync(left);
      }
    }, box("a"));
  });

  test("of crashed servers that cannot be removed are told of, but not each of thousands", async () => {
    await opened(async () => {
      const left = Array.from({ length: 11 }, (_, i) => `1-dead-${i}`);
      const spied = spyOn(server, "removeLeftovers").mockResolvedValue(left);
      const other = await openCgroups([box("b")]);
      spied.mockRestore();
      await other.close();
      const told = other.notices.map(({ message }) => message);
      expect(told).toEqual([
        ...left.slice(0, 8).map((one) => `left over cgroup ${one}`),
        "left over cgroups: 3 more",
      ]);
    }, box("a"));
  });

  test("that there are no descriptors to look at are not as none: nothing is served without them", async () => {
    const none = Object.assign(new Error("EMFILE: too many open files"), {
      ...{ code: "EMFILE", syscall: "open" },
    });
    const spied = spyOn(server, "makeServerGroup").mockImplementation(() => {
      throw none;
    });
    try {
      const optional = box("lax", { policy: policy({ optional: true }) });
      for (const all of [[box("a")], [optional], [box("a"), optional]])
        expect(await refused(...all)).toEqual([
          {
            ...{ file: "", path: "" },
            message: expect.stringContaining("cannot be looked at: EMFILE") as string,
          },
        ]);
    } finally {
      spied.mockRestore();
    }
  });

  test("that cannot be had are problems, or notices where they may be missing; nothing is left", async () => {
    const of = (key: string, more: Partial<CgroupPolicy>) => box(key, { policy: policy(more) });
    const parent = join(place?.base ?? "", "spawnbox");
    const groupsOfAll = () => (existsSync(parent) ? readdirSync(parent) : []);
    // One that was killed may have had the same number.
    const left = new Set(groupsOfAll());
    const why = "/a is not a mounted cgroup v2 hierarchy; ";
    const found = await refused(
      ...[box("none"), of("a", { mount: "/a" }), of("any", {}), of("b", { mount: "/b" })],
      ...[of("same", { mount: "/a" }), of("lax", { mount: "/a", optional: true })],
    );
    expect(found[0]).toEqual({
      file: "b.json",
      path: "p.mount",
      message: "another sandbox says /a",
    });
    expect(found.slice(1).map(({ file, path }) => `${file} ${path}`)).toEqual(
      ["a", "any", "b", "same"].map((key) => `${key}.json p`),
    );
    for (const { message } of found.slice(1)) {
      expect(message).toStartWith(why);
      expect(message).toEndWith('; "optional": true starts without');
    }
    const lax = await openCgroups([of("lax", { mount: "/a", optional: true })]);
    expect([lax.path, lax.notices.length]).toEqual([undefined, 1]);
    expect(lax.notices[0]).toMatchObject({ file: "lax.json", path: "p" });
    expect(lax.notices[0]?.message).toStartWith(`not limited: ${why}`);
    expect(lax.begin("lax")).toBeUndefined();
    await lax.close();
    // Whoever launches it all the same has no limits then.
    const gone = await openCgroups([{ ...of("gone", { mount: "/a" }), mayBeMissing: true }]);
    expect([...gone.missing.keys(), gone.notices.length]).toEqual(["gone", 0]);
    expect(() => gone.begin("gone")).toThrow("/a is not a mounted cgroup v2 hierarchy");
    await gone.close();
    const absent = { controller: "none" as Controller, file: "none.max", value: "1" };
    const [problem, ...more] = await refused(of("c", { shared: [absent] }));
    expect([problem?.path, more]).toEqual(["p", []]);
    expect(problem?.message).toStartWith("no none controller in ");
    const own = groupsOfAll().filter((name) => name.startsWith(`${process.pid}-`));
    expect(own.filter((name) => !left.has(name))).toEqual([]);
  });
});

/** A directory with such files, for what no kernel says that has these controllers elsewhere. */
test("who only looks tries what is handed on already, and says nothing of what would have to be", async () => {
  const base = mkdtempSync(join(tmpdir(), "spawnbox-looked-"));
  const found = { mount: base, base, isRoot: true, isContainer: false, inLeaf: false };
  const spied = spyOn(places, "findPlace").mockReturnValue(found);
  try {
    const below = join(base, "spawnbox");
    mkdirSync(below);
    const handed = join(below, "cgroup.subtree_control");
    const own = join(base, "cgroup.subtree_control");
    writeFileSync(join(base, "cgroup.controllers"), "pids memory cpu\n");
    writeFileSync(own, "pids\n");
    const settings = (["pids", "memory", "io"] as const).map((controller) => ({
      ...{ controller, file: `${controller}.max`, value: "7" },
    }));
    const wants = policy({ optional: true, shared: settings, task: settings });
    const look = async () => {
      const looked = await openCgroups([box("b", { policy: wants })], { lookOnly: true });
      await looked.close();
      return looked.notices.map(({ message }) => message.replaceAll(/\/\d+-[\da-f]{8}\b/g, "/OWN"));
    };
    const noIo = "not limited: no io controller in ";
    expect(await look()).toEqual([
      `not limited: cannot enable pids below ${below}: ENOENT`,
      expect.stringContaining(noIo),
    ]);
    // The server has removed what was empty.
    mkdirSync(below);
    writeFileSync(handed, "");
    // Here it can be had, but not in the group of the server, which has no such file.
    expect(await look()).toEqual([
      `not limited: cannot enable pids below ${below}/OWN: ENOENT`,
      expect.stringContaining(noIo),
    ]);
    expect([own, handed].map((file) => readFileSync(file, "utf8"))).toEqual(["pids\n", "+pids"]);
  } finally {
    spied.mockRestore();
    rmSync(base, { recursive: true });
  }
});
