/** What fits into the machine, and who gets what of it. */
import { describe, expect, test } from "bun:test";
import { capacity, LAUNCH, MEMORY, room, shares, type Supply } from "../../src/launch/capacity.ts";
import { isScarce, poolCapacity, poolSizes, roomToWait } from "../../src/launch/reserve.ts";
import { ourGroups, supplies } from "../../src/launch/supplies.ts";
import { withoutDescriptors } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";

const supply = (of: Partial<Supply>): Supply => ({
  ...{ name: "descriptors", limit: "RLIMIT_NOFILE", total: 256, used: 30, each: 10, share: 0.75 },
  ...of,
});

describe("capacity", () => {
  test("the scarcest supply decides, and is named", () => {
    const processes = supply({ name: "processes", total: 40, used: 0, each: 4 });
    expect(capacity([supply({}), processes])).toEqual({ launches: 7, scarcest: processes });
    expect(capacity([processes, supply({})])).toEqual({ launches: 7, scarcest: processes });
    // Of those that are as scarce, the first.
    const other = { ...processes, name: "others" };
    expect(capacity([processes, other]).scarcest).toBe(processes);
    expect(capacity([])).toEqual({ launches: Infinity, scarcest: undefined });
  });

  test("no more than its share of the whole, and than what is left", () => {
    expect(room(supply({}))).toBe(19);
    expect(room(supply({ used: 200 }))).toBe(5);
    expect(room(supply({ used: 300 }))).toBe(0);
    expect(room(supply({ total: Infinity }))).toBe(Infinity);
    expect(capacity([supply({ used: 300 })]).launches).toBe(1);
  });

  test("pools have what is left of half, their own not counted", () => {
    expect(poolCapacity([supply({})]).launches).toBe(9);
    expect(poolCapacity([supply({ used: 120 })]).launches).toBe(0);
    expect(poolCapacity([supply({ used: 120 })], 9).launches).toBe(9);
    expect(poolCapacity([supply({ used: 255 })]).launches).toBe(0);
    expect(poolCapacity([supply({ name: MEMORY, total: 260, used: 255 })]).launches).toBe(13);
    expect(poolCapacity([])).toEqual({ launches: Infinity, scarcest: undefined });
    const [few, fewest] = [supply({ used: 60 }), supply({ name: "processes", used: 100 })];
    for (const all of [
      [supply({}), few, fewest],
      [fewest, few, supply({})],
      [few, fewest],
    ])
      expect(poolCapacity(all)).toEqual({ launches: 2, scarcest: fewest });
  });
});

describe("shares", () => {
  test.each([
    [[32, 1, 4], 12, [7, 1, 4]],
    [[3, 3], 1, [1, 0]],
    [[3, 3], 0, [0, 0]],
    [[2, 5], Infinity, [2, 5]],
    [[], 3, []],
  ])("of %p wanted, %p are given as %p", (wanted, all, given) => {
    expect(shares(wanted, all)).toEqual(given);
  });
});

describe("supplies", () => {
  test("this machine has room for a launch, and each number is one", () => {
    for (const { total, used, each, limit } of supplies()) {
      expect(total, limit).toBeGreaterThan(0);
      expect(used, limit).toBeGreaterThanOrEqual(0);
      expect(used, limit).toBeLessThan(Infinity);
      expect(each, limit).toBeGreaterThan(0);
    }
    expect(supplies().map(({ name }) => name)).toContain("descriptors");
    expect(LAUNCH.descriptors).toBeGreaterThan(4);
  });

  test("all groups from ours up to what we see, of both versions", () => {
    const mount = (point: string, root: string, type: string, options: string) =>
      `30 1 0:1 ${root} ${point} rw - ${type} none rw,${options}`;
    const groups = (cgroup: string, ...mounts: string[]) =>
      ourGroups({ cgroup, mountinfo: mounts.join("\n") });
    const v2 = mount("/sys/fs/cgroup", "/", "cgroup2", "nsdelegate");
    expect(groups("0::/a/b\n", v2)).toEqual(
      ["/a/b", "/a", ""].map((group) => `/sys/fs/cgroup${group}`),
    );
    expect(groups("0::/\n", v2)).toEqual(["/sys/fs/cgroup"]);
    const pids = mount("/cg/pids", "/docker/x", "cgroup", "pids");
    expect(groups("8:pids:/docker/x/y\n4:memory:/z\n", pids, v2)).toEqual([
      "/cg/pids/y",
      "/cg/pids",
    ]);
    expect(groups("8:pids:/elsewhere\n", pids)).toEqual([]);
    const memory = mount("/cg/memory", "/", "cgroup", "memory");
    expect(groups("4:memory:/z\n", memory)).toEqual(["/cg/memory/z", "/cg/memory"]);
    // One that limits other things does not count, but one that limits these, too.
    const both = mount("/cg/both", "/", "cgroup", "cpu,pids");
    expect(groups("3:cpu:/z\n5:cpu,pids:/y\n", pids, both)).toEqual(["/cg/both/y", "/cg/both"]);
    expect(groups("5:cpu,pids:/docker/x\n", pids)).toEqual([]);
  });
});

test("where no descriptor is left to look with, there is no room for what waits", async () => {
  const hasRoom = roomToWait();
  const api = compiled({ acls: { user: "nobody" }, pool: 3 });
  const plan = planOf(api);
  // How many are wanted stays as it is: whether there is room, each is asked when it is made.
  const sizes = new Map([[plan, 3]]);
  const looks = () => [isScarce(), hasRoom(), poolSizes([api], 0)];
  expect(await withoutDescriptors(looks)).toEqual([true, false, sizes]);
  expect(looks()).toEqual([false, true, sizes]);
});
