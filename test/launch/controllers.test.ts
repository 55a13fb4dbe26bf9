/** Who hands on which controllers, and why another cannot be had: as service managers and kernels tell it that are not here. */
import { dlopen } from "bun:ffi";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  enableControllers,
  isManaged,
  lackingControllers,
  whyNotEnabled,
  whyOff,
} from "../../src/launch/cgroup/controllers.ts";
import { limit } from "../../src/launch/cgroup/sandbox-group.ts";
import type { Controller } from "../../src/plan/cgroup.ts";
import { isRoot } from "../accounts.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  setxattr: { args: ["cstring", "cstring", "cstring", "u64", "i32"], returns: "i32" },
});
const dir = mkdtempSync(join(tmpdir(), "spawnbox-controllers-"));
afterAll(() => rmSync(dir, { recursive: true }));
let made = 0;

/** As a service manager marks a group. @returns whether that is possible here */
const mark = (path: string, name: string, value: string) =>
  libc.setxattr(path, name, value, BigInt(value.length), 0) === 0;

/** A unit below a slice. */
function unit() {
  const mount = join(dir, `${made++}`);
  const [slice, base] = [join(mount, "a.slice"), join(mount, "a.slice/b.service")];
  mkdirSync(base, { recursive: true });
  return { ...{ mount, slice, base }, isRoot: false, isContainer: false, inLeaf: false };
}
const canMark = isRoot && mark(dir, "trusted.try", "1");

describe.skipIf(!canMark)("a unit's group", () => {
  for (const kind of canMark && mark(dir, "user.try", "1") ? ["trusted", "user"] : ["trusted"])
    test(`is managed unless it, or one above it, is delegated: ${kind}`, () => {
      const plain = unit();
      expect(isManaged(plain, true)).toBe(false);
      const named = unit();
      mark(named.base, `${kind}.invocation_id`, "1f");
      expect(isManaged(named, true)).toBe(true);
      expect(isManaged(named, false)).toBe(false);
      expect(isManaged({ ...named, isRoot: true }, true)).toBe(false);
      mark(named.base, `${kind}.delegate`, "0");
      expect(isManaged(named, true)).toBe(true);
      for (const where of ["base", "slice", "mount"] as const) {
        const one = unit();
        mark(one.base, `${kind}.invocation_id`, "1f");
        mark(one[where], `${kind}.delegate`, "1");
        expect([where, isManaged(one, true)]).toEqual([where, false]);
      }
      // What is above all that is seen says nothing.
      const above = unit();
      mark(above.base, `${kind}.invocation_id`, "1f");
      mark(above.slice, `${kind}.delegate`, "1");
      expect(isManaged({ ...above, mount: above.base }, true)).toBe(true);
    });
});

test("a controller is off, in use elsewhere, or not built in", () => {
  const kernel = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t0\nblkio\t4\t7\t1\n";
  const off = 'it is off: put "cgroup_enable=cpu" on the kernel command line';
  expect(whyOff("cpu", kernel)).toBe(off);
  expect(whyOff("cpu", undefined)).toStartWith(
    "/proc/cgroups, which tells why, is hidden: ProcSubset=all",
  );
  expect(whyOff("io", kernel)).toBe(
    'it is in use by cgroup v1 (a hybrid system): put "systemd.unified_cgroup_hierarchy=1", or without systemd "cgroup_no_v1=all", on the kernel command line',
  );
  expect(whyOff("io", kernel.replace("7\t1", "7\t0"))).toContain('"cgroup_enable=blkio"');
  for (const controller of ["memory", "cpuset"] as const)
    expect(whyOff(controller, kernel)).toBe("this kernel is built without it");
});

test("where nothing is asked for, nothing is looked at", () => {
  const nowhere = { ...unit(), base: join(dir, "none") };
  expect(lackingControllers(nowhere, new Set()).size).toBe(0);
  expect(enableControllers(nowhere, new Set()).size).toBe(0);
});

test("a limit is made where its controller is there; of what cannot be made it is said why", () => {
  const { base } = unit();
  for (const name of ["pids.max", "cpu.max", "cpuset.cpus"]) writeFileSync(join(base, name), "");
  writeFileSync(join(base, "cpuset.cpus.effective"), "0-1\n");
  const said: string[] = [];
  const of = (controller: Controller, file: string, value: string) => ({ controller, file, value });
  const [pids, cpu, other, cpus] = [
    of("pids", "pids.max", "7"),
    of("cpu", "cpu.max", "8"),
    of("pids", "pids.none", "9"),
    of("cpuset", "cpuset.cpus", "5"),
  ];
  const has = new Set<Controller>(["pids", "cpuset"]);
  const done = limit(base, [pids, cpu, other, cpus], has, (message) => void said.push(message));
  expect(done).toEqual([pids]);
  expect(said).toEqual([
    "pids.none: 9: ENOENT: this kernel has no such limit",
    "cpuset.cpus: 5: the CPUs that the parent group leaves are 0-1",
  ]);
  const texts = ["pids.max", "cpu.max"].map((name) => readFileSync(join(base, name), "utf8"));
  expect(texts).toEqual(["7", ""]);
});

test("a group that others are in says who, and one that is not ours what to do", () => {
  const { base } = unit();
  writeFileSync(join(base, "cgroup.procs"), "1\n2\n3\n4\n5\n6\n");
  const what = (errno: string) => `cannot enable cpu below ${base}: ${errno}`;
  const DELEGATE = 'put "Delegate=yes"';
  expect(whyNotEnabled(base, "cpu", "EBUSY")).toStartWith(
    `${what("EBUSY")}: other processes are in this group (1, 2, 3, 4, 5): start the server in one of its own: ${DELEGATE}`,
  );
  for (const errno of ["EACCES", "EPERM"])
    expect(whyNotEnabled(base, "cpu", errno)).toStartWith(
      `${what(errno)}: run as root, or ${DELEGATE}`,
    );
  expect(whyNotEnabled(base, "cpu", "EINVAL")).toStartWith(
    `${what("EINVAL")}: realtime processes are in groups (such as multipathd, `,
  );
  expect(whyNotEnabled(base, "pids", "EINVAL")).toEndWith(": EINVAL");
  expect(whyNotEnabled(base, "cpu", "EIO")).toBe(what("EIO"));
});
