/** Directories that a config has made: the end is its owner's, what is above it the server's, and nothing else changes. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { thisMachine } from "../../src/plan/machine.ts";
import { imagined, makeDirectory } from "../../src/plan/make-directory.ts";
import { descriptorsOf } from "../descriptors.ts";
import { isRoot } from "../served.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-make-"));
afterAll(() => rmSync(dir, { recursive: true }));
const self = { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 };
const owner = isRoot ? { uid: 7, gid: 8 } : self;
let before: number;
beforeEach(() => (before = process.umask(0o077)));
afterEach(() => void process.umask(before));

const of = (path: string) => {
  const { uid, gid, mode } = statSync(join(dir, path));
  return { uid, gid, mode: (mode & 0o7777).toString(8) };
};

describe("made", () => {
  test("and nothing is left open", () => {
    const open = () => descriptorsOf("self").filter((one) => one.startsWith("/"));
    const before = open();
    makeDirectory(join(dir, "left/open"), owner);
    writeFileSync(join(dir, "left/file"), "");
    expect(() => makeDirectory(join(dir, "left/file/x"), owner)).toThrow("ENOTDIR");
    expect(open()).toEqual(before);
  });
  test("with all above it, whatever the mask", () => {
    makeDirectory(join(dir, "a/b/c"), owner);
    expect([of("a"), of("a/b"), of("a/b/c")]).toEqual([
      { ...self, mode: "755" },
      { ...self, mode: "755" },
      { ...owner, mode: "750" },
    ]);
  });
  test("what is there stays as it is", () => {
    mkdirSync(join(dir, "there"));
    chmodSync(join(dir, "there"), 0o711);
    makeDirectory(join(dir, "there"), owner);
    expect(of("there")).toEqual({ ...self, mode: "711" });
    makeDirectory(join(dir, "there/own"), undefined);
    expect([of("there"), of("there/own")]).toEqual([
      { ...self, mode: "711" },
      { ...self, mode: "750" },
    ]);
  });
  test("through no link, and over no file: the part is named", () => {
    writeFileSync(join(dir, "file"), "");
    symlinkSync("a", join(dir, "link"));
    expect(() => makeDirectory(join(dir, "file/x/y"), owner)).toThrow(`(${dir}/file): ENOTDIR`);
    expect(() => makeDirectory(join(dir, "link/x"), owner)).toThrow(`(${dir}/link): `);
    expect(existsSync(join(dir, "a/x"))).toBe(false);
  });
});

describe("imagined", () => {
  const seen = () => imagined(thisMachine().files);
  test("is seen as it would be, and not there", () => {
    const machine = seen();
    const path = join(dir, "none/deep/end");
    expect(machine.files.lookup(path)).toBeUndefined();
    machine.mkdir(path, { uid: 1234, gid: 5678 });
    expect(machine.files.lookup(path)).toEqual({
      ...{ kind: "dir", executable: true, owner: 1234, group: 5678, mode: 0o750 },
      ...{ open: false, rootsOnly: false },
    });
    for (const above of ["none", "none/deep"])
      expect(machine.files.lookup(join(dir, above))).toMatchObject({
        ...{ kind: "dir", owner: self.uid, group: self.gid, mode: 0o755 },
        rootsOnly: self.uid === 0,
      });
    expect(existsSync(join(dir, "none"))).toBe(false);
    // Below what is only imagined, too.
    machine.mkdir(join(path, "more"), undefined);
    expect(machine.files.lookup(join(path, "more"))).toMatchObject({
      owner: self.uid,
      mode: 0o750,
    });
    expect(machine.files.lookup(path)).toMatchObject({ owner: 1234 });
    expect(machine.files.lookup(dir)?.kind).toBe("dir");
  });
  test("only where it could be made", () => {
    writeFileSync(join(dir, "plain"), "");
    const path = join(dir, "plain/x/y");
    expect(() => seen().mkdir(path, undefined)).toThrow(/cannot be made|ENOTDIR/);
    if (isRoot) return;
    expect(() => seen().mkdir("/proc/x", undefined)).toThrow(
      "/proc/x cannot be made: /proc: EACCES",
    );
  });
});
