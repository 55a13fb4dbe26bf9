/** What is found out about a machine. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { activeLabelModule, hostFiles } from "../../src/plan/machine.ts";
import { isRoot } from "../accounts.ts";

const FILESYSTEMS = "/proc/filesystems";
const APPARMOR = "/sys/module/apparmor/parameters/enabled";
const plain = "nodev\tsysfs\nnodev\ttmpfs\n\text4\n";

test.each([
  ["none", { [FILESYSTEMS]: plain }, undefined],
  ["nothing to be read", {}, undefined],
  ["SELinux", { [FILESYSTEMS]: `${plain}nodev\tselinuxfs\n` }, "selinux"],
  [
    "SELinux, and AppArmor there too",
    { [FILESYSTEMS]: "nodev\tselinuxfs\n", [APPARMOR]: "Y\n" },
    "selinux",
  ],
  ["Smack", { [FILESYSTEMS]: `nodev\tsmackfs\n${plain}` }, "smack"],
  ["AppArmor", { [FILESYSTEMS]: plain, [APPARMOR]: "Y\n" }, "apparmor"],
  ["AppArmor, turned off", { [FILESYSTEMS]: plain, [APPARMOR]: "N\n" }, undefined],
  [
    "another of nearly the name",
    { [FILESYSTEMS]: "nodev\tselinuxfs2\nnodev\txsmackfs\n" },
    undefined,
  ],
])("the security module that has labels: %s", (_, files: Record<string, string>, expected) => {
  expect(activeLabelModule((path) => files[path] ?? "")).toBe(
    expected as typeof expected & "smack",
  );
});

describe.if(isRoot)("a file of the host", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-machine-"));
  afterAll(() => rmSync(dir, { recursive: true }));
  let made = 0;
  const directory = (mode: number, uid: number, gid: number) => {
    const path = join(dir, `${made++}`);
    mkdirSync(path);
    chownSync(path, uid, gid);
    chmodSync(path, mode);
    return hostFiles.lookup(path);
  };
  test.each([
    // Of a directory it counts who else can change what is in it: root's own group is root.
    [0o755, 0, 0, false, true],
    [0o775, 0, 0, false, true],
    [0o777, 0, 0, true, false],
    [0o757, 0, 0, true, false],
    [0o755, 0, 7, false, true],
    [0o775, 0, 7, true, false],
    [0o1777, 0, 0, true, true],
    [0o1775, 0, 7, true, true],
    [0o755, 7, 0, false, false],
    [0o755, 7, 7, false, false],
    [0o775, 7, 7, true, false],
  ])("a directory %o of %d:%d", (mode, uid, gid, open, rootsOnly) => {
    expect(directory(mode, uid, gid)).toEqual({
      ...{ kind: "dir", owner: uid, group: gid, open, rootsOnly, executable: true, mode },
    });
  });
  test("anything else is in no way open", () => {
    const path = join(dir, "file");
    writeFileSync(path, "");
    chmodSync(path, 0o666);
    expect(hostFiles.lookup(path)).toEqual({
      ...{ kind: "file", owner: 0, group: 0, open: false, rootsOnly: false },
      ...{ executable: false, mode: 0o666 },
    });
    expect(hostFiles.lookup(join(dir, "none"))).toBeUndefined();
  });
});
