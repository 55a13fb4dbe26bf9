/** What is found out about a machine. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  constants,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { activeLabelModule, hostFiles, thisMachine } from "../../src/plan/machine.ts";
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

test("what may not be read is no program that is looked into, and no error", () => {
  // Nor by root.
  const unreadable = "/proc/sys/vm/drop_caches";
  expect(hostFiles.head(unreadable, 1)).toBeUndefined();
  expect(hostFiles.isAllowed(unreadable, constants.R_OK)).toBe(false);
  expect(hostFiles.isAllowed("/proc/self/status", constants.R_OK)).toBe(true);
  expect(hostFiles.head("/proc/self/status", 5)).toEqual(new Uint8Array(Buffer.from("Name:")));
  expect(() => hostFiles.head("/proc/none", 1)).toThrow("ENOENT");
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

test("a user is looked for once, however many sandboxes name it", () => {
  const { user } = thisMachine();
  expect(user("root")).toMatchObject({ uid: 0, gid: 0 });
  for (const name of ["root", "0"]) expect(user(name)).toBe(user(name));
  expect(user("spawnbox-nobody-has-this-name")).toBeUndefined();
  // Another load of configs looks anew.
  expect(thisMachine().user("root")).not.toBe(user("root"));
});

describe.if(isRoot)("the server itself", () => {
  /** What it is found to be as one with these options of setpriv(1). */
  const as = (...options: string[]): object => {
    const module = JSON.stringify(join(import.meta.dir, "../../src/plan/machine.ts"));
    const script = `const { thisMachine } = await import(${module});
      const { uid, gid, groups, ambient, held } = thisMachine();
      console.log(JSON.stringify({ uid, gid, groups: groups.toSorted(), ambient: [...ambient], held: held && held.size > 0 }));`;
    const command = ["setpriv", ...options, process.execPath, "-e", script];
    return JSON.parse(Bun.spawnSync(command, { stderr: "inherit" }).stdout.toString()) as object;
  };
  const chown = ["--inh-caps=+chown", "--ambient-caps=+chown"];

  test("has the group that it is in, and those besides", () => {
    expect(as("--regid=7", "--groups=3,5")).toMatchObject({ uid: 0, gid: 7, groups: [3, 5, 7] });
  });
  test("has ambient capabilities that count as an ordinary user alone", () => {
    expect(as(...chown)).toMatchObject({ uid: 0, ambient: [], held: true });
    const ordinary = as("--reuid=5", "--regid=5", "--clear-groups", ...chown);
    expect(ordinary).toMatchObject({ uid: 5, groups: [5], ambient: [0] });
    expect(ordinary).not.toHaveProperty("held");
  });
});
