/** Which group of which hierarchy we are in: a hybrid system, and what is said where there is none. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cgroupFile,
  CgroupUnavailable,
  cgroupMounts,
  findPlace,
  HIDDEN,
  OWN_VIEW,
  relative,
} from "../../src/launch/cgroup/place.ts";
import { groupOf } from "../../src/launch/cgroup/move.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-place-"));
afterAll(() => rmSync(dir, { recursive: true }));

const v1 = (point: string) => `30 23 0:27 / ${point} rw - cgroup none rw,memory`;
const v2 = (point: string, root = "/") =>
  `31 23 0:28 ${root} ${point} rw shared:4 - cgroup2 none rw`;
/** Of mounts that are not made. */
const there = () => true;
const cgroup = "4:memory:/m\n0::/a/b\n";
const at = (mount: string | undefined, ...mounts: string[]) =>
  findPlace(mount, { cgroup, mountinfo: mounts.join("\n") }, there);

test("of a hybrid system it is that of version 2, whichever was mounted last", () => {
  for (const mounts of [
    [v1("/cg/memory"), v2("/cg/unified")],
    [v2("/cg/unified"), v1("/cg/memory")],
  ])
    expect(at(undefined, ...mounts)).toMatchObject({
      mount: "/cg/unified",
      base: "/cg/unified/a/b",
    });
});

test("the last that shows our group, or the one that is named", () => {
  const mounts = [v2("/one"), v2("/two"), v2("/three", "/else")];
  expect(at(undefined, ...mounts).base).toBe("/two/a/b");
  expect(at("/one", ...mounts).base).toBe("/one/a/b");
  expect(at("/one//", ...mounts).base).toBe("/one/a/b");
  expect(at("/", v2("/")).mount).toBe("/");
  // Without a file of the type of a group, as of all that is not mounted here, it is the root of the hierarchy.
  expect(at(undefined, v2("/one", "/a/b"))).toMatchObject({
    ...{ base: "/one", isRoot: true, isContainer: false, inLeaf: false },
  });
});

test("what another mount hides is passed over, and told where there is no other", () => {
  const files = { cgroup, mountinfo: [v2("/one"), v2("/two")].join("\n") };
  const seen = (...paths: string[]) => findPlace(undefined, files, (path) => paths.includes(path));
  expect(seen("/one/a/b", "/two/a/b").base).toBe("/two/a/b");
  expect(seen("/one/a/b").base).toBe("/one/a/b");
  expect(() => seen("/one", "/two/a")).toThrow(
    `our group /a/b cannot be seen at /two, /one: ${HIDDEN}`,
  );
  // A group is what has processes.
  const group = join(dir, "a/b");
  mkdirSync(group, { recursive: true });
  const here = () => findPlace(undefined, { cgroup, mountinfo: v2(dir) }).base;
  expect(here).toThrow(CgroupUnavailable);
  writeFileSync(join(group, "cgroup.procs"), "");
  expect(here()).toBe(group);
});

test("a kernel without groups has no file of them", () => {
  const none = (errno: string) => () => {
    throw Object.assign(new Error(errno), { code: errno, syscall: "open" });
  };
  expect(cgroupFile("self", none("ENOENT") as never)).toBe("");
  expect(() => cgroupFile("self", none("EACCES") as never)).toThrow("EACCES");
  expect(cgroupFile("self")).not.toBe("");
  expect(groupOf(2 ** 31 - 1)).toBeUndefined();
});

describe("where there is none it is said why", () => {
  const HOW =
    'boot with "systemd.unified_cgroup_hierarchy=1", or without systemd mount -t cgroup2 none /sys/fs/cgroup';
  const why = (mount: string | undefined, group: string, ...mounts: string[]) => {
    try {
      findPlace(mount, { cgroup: group, mountinfo: mounts.join("\n") }, there);
      return undefined;
    } catch (error) {
      if (!(error instanceof CgroupUnavailable)) throw error;
      return error.message;
    }
  };
  test.each([
    [
      "none in the kernel",
      undefined,
      "",
      [],
      "this kernel is built without control groups (CONFIG_CGROUPS)",
    ],
    ["version 1 only", undefined, "4:memory:/m\n", [], `this kernel runs cgroup v1 only: ${HOW}`],
    ["not mounted", undefined, cgroup, [v1("/cg")], `no cgroup v2 hierarchy is mounted: ${HOW}`],
    [
      "another",
      "/x",
      cgroup,
      [v1("/x"), v2("/cg")],
      "/x is not a mounted cgroup v2 hierarchy; /cg is",
    ],
    ["none at all", "/x", cgroup, [v1("/x")], `/x is not a mounted cgroup v2 hierarchy: ${HOW}`],
    [
      "not in sight",
      undefined,
      cgroup,
      [v2("/cg", "/a/bc"), v2("/dg", "/c")],
      `our group /a/b is not visible below /dg, /cg: ${OWN_VIEW}`,
    ],
    [
      "the host's own, in a namespace of ours",
      undefined,
      "0::/",
      [v2("/cg", "/../..")],
      `our group / is not visible below /cg: ${OWN_VIEW}`,
    ],
  ])("%s", (_, mount, group, mounts, message) => {
    expect(why(mount, group, ...mounts)).toBe(message);
  });
});

describe("finding our group", () => {
  const mountinfo = (root: string, point: string) =>
    `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:38 ${root} ${point} rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate`;

  test("a systemd unit", () => {
    const cgroup = "0::/system.slice/spawnbox.service\n";
    const { base, inLeaf, mount } = findPlace(
      undefined,
      {
        cgroup,
        mountinfo: mountinfo("/", "/cg"),
      },
      there,
    );
    expect({ base, inLeaf, mount }).toEqual({
      base: "/cg/system.slice/spawnbox.service",
      inLeaf: false,
      mount: "/cg",
    });
  });

  test("a server that has been moved to its leaf finds the group it divided", () => {
    const cgroup = "1:name=systemd:/x\n0::/a.service/spawnbox/server\n";
    expect(findPlace(undefined, { cgroup, mountinfo: mountinfo("/", "/cg") }, there)).toMatchObject(
      {
        base: "/cg/a.service",
        inLeaf: true,
      },
    );
    expect(
      findPlace(
        undefined,
        { cgroup: "0::/spawnbox/server", mountinfo: mountinfo("/", "/cg") },
        there,
      ).base,
    ).toBe("/cg");
  });

  test("a container without a cgroup namespace; a mount point with a space", () => {
    const files = { cgroup: "0::/docker/1/x\n", mountinfo: mountinfo("/docker/1", "/c\\040g") };
    expect(findPlace(undefined, files, there).base).toBe("/c g/x");
    expect(findPlace("/c g/", files, there).base).toBe("/c g/x");
  });

  test("what is outside of our namespace is not visible", () => {
    const files = { cgroup: "0::/../b\n", mountinfo: mountinfo("/", "/cg") };
    expect(() => findPlace(undefined, files, there)).toThrow(CgroupUnavailable);
  });

  test("all that a container sees, and what is below it", () => {
    const point = join(dir, "point");
    const at = (cgroup: string) => {
      const found = findPlace(undefined, { cgroup, mountinfo: mountinfo("/", point) }, there);
      const { base, isRoot, isContainer, inLeaf } = found;
      return [base, isRoot, isContainer, inLeaf];
    };
    mkdirSync(join(point, "a"), { recursive: true });
    expect(at("0::/\n")).toEqual([point, true, false, false]);
    for (const where of ["", "a"]) writeFileSync(join(point, where, "cgroup.type"), "domain\n");
    expect(at("0::/\n")).toEqual([point, false, true, false]);
    expect(at("0::/a\n")).toEqual([join(point, "a"), false, false, false]);
    expect(at("0::/spawnbox/server\n")).toEqual([point, false, true, true]);
    expect(at("0::/a/spawnbox/server\n")).toEqual([join(point, "a"), false, false, true]);
    // Not what only begins so, or is below it.
    expect(at("0::/spawnbox/server/b\n")[3]).toBe(false);
  });
});

test("mounts of both versions, the last one first, with the names that are escaped", () => {
  const lines = [
    "1 0 0:1 / /a rw - cgroup2 cgroup2 rw",
    "2 0 0:2 /x\\040y /b\\134c rw shared:1 - cgroup cgroup rw,cpu,cpuacct",
    "3 0 0:3 / /c rw - tmpfs tmpfs rw",
    "broken",
    "4 0 0:4",
    "5 0 0:5 - cgroup2 cgroup2 rw",
    "6 0 0:6 / - cgroup2 cgroup2 rw",
  ];
  expect(cgroupMounts(lines.join("\n"))).toEqual([
    { point: "/b\\c", root: "/x y", controllers: ["rw", "cpu", "cpuacct"] },
    { point: "/a", root: "/", controllers: undefined },
  ]);
  expect(relative("/", "/a/b")).toBe("a/b");
  expect(relative("/a", "/a/b")).toBe("b");
  expect(relative("/a", "/a")).toBe("");
  expect(relative("/a", "/ab")).toBeUndefined();
  expect(relative("/", "/a/../b")).toBeUndefined();
});
