/** One step of a path at a time, by descriptor: no link is followed, and what is refused is told by its name. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  fileSystemOf,
  handleAt,
  mkdirAt,
  namesIn,
  openAt,
  readLink,
  renameAt,
  unlinkAt,
} from "../../ffi/at.ts";
import { openDirectory, openHandle } from "../../ffi/beneath.ts";
import { tryLock } from "../../ffi/files.ts";
import { AT_FDCWD, handleOn, NOT_KNOWN, RESOLVE } from "../../ffi/openat2.ts";
import { has } from "./descriptors.ts";

let dir = "";
let top = -1;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-at-"));
  writeFileSync(join(dir, "file"), "content");
  mkdirSync(join(dir, "directory"));
  symlinkSync("file", join(dir, "link"));
  symlinkSync("directory", join(dir, "to-directory"));
  top = openDirectory(dir);
});
afterAll(() => {
  closeSync(top);
  rmSync(dir, { recursive: true });
});

const READ = constants.O_RDONLY;

test("a file is opened for what was asked, goes to no program, and a link is refused", () => {
  const fd = openAt(top, "file", READ);
  expect(has(fd, "CLOEXEC")).toBe(true);
  expect(readFileSync(fd, "utf8")).toBe("content");
  closeSync(fd);
  expect(() => openAt(top, "link", READ)).toThrow("open(link): ELOOP");
  expect(() => openAt(top, "none", READ, 0, "a/none")).toThrow("open(a/none): ENOENT");
  expect(() => openAt(top, "file", READ | constants.O_DIRECTORY)).toThrow("ENOTDIR");
  const made = openAt(
    top,
    "made",
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
    0o600,
  );
  expect(fstatSync(made).mode & 0o777).toBe(0o600);
  closeSync(made);
  unlinkAt(top, "made");
});

test("what the runtime opens here goes to no program either", () => {
  const handle = handleAt(top, "file");
  const fd = openHandle(handle);
  expect([has(top, "PATH"), has(top, "CLOEXEC")]).toEqual([true, true]);
  expect([has(fd, "PATH"), has(fd, "CLOEXEC")]).toEqual([false, true]);
  expect(readFileSync(fd, "utf8")).toBe("content");
  expect(() => writeSync(fd, "x")).toThrow("EBADF");
  for (const one of [fd, handle]) closeSync(one);
});

test("a handle is of the name itself, also of a link, whose text it tells", () => {
  const seen = (name: string) => {
    const handle = handleAt(top, name);
    expect([has(handle, "PATH"), has(handle, "CLOEXEC")]).toEqual([true, true]);
    const stat = fstatSync(handle);
    const text = stat.isSymbolicLink() ? readLink(handle) : undefined;
    closeSync(handle);
    return [stat.isDirectory(), stat.isFile(), text];
  };
  expect(seen("file")).toEqual([false, true, undefined]);
  expect(seen("directory")).toEqual([true, false, undefined]);
  expect(seen("link")).toEqual([false, false, "file"]);
  // What begins a file of text is a character of a name.
  symlinkSync("\ufefffile", join(dir, "mark"));
  expect(seen("mark")).toEqual([false, false, "\ufefffile"]);
  expect(seen("to-directory")).toEqual([false, false, "directory"]);
  expect(() => handleAt(top, "none")).toThrow("open(none): ENOENT");
});

test("a long link is read to its end, and one that is no text is none", () => {
  const long = "é".repeat(2000);
  symlinkSync(long, join(dir, "long"));
  symlinkSync(Buffer.from([0x61, 0xff]), join(dir, "bytes"));
  for (const [name, text] of [
    ["long", long],
    ["bytes", undefined],
  ] as const) {
    const handle = handleAt(top, name);
    expect(readLink(handle)).toBe(text);
    closeSync(handle);
    unlinkAt(top, name);
  }
  const file = handleAt(top, "file");
  // It is none: the kernel says so by the errno of a name that is not there.
  expect(() => readLink(file)).toThrow("readlink");
  closeSync(file);
});

test("what holds a file is known by its number, and whether it has a size", () => {
  const proc = openDirectory("/proc/self");
  expect(fileSystemOf(proc)).toEqual({ type: 0x9fa0, blocks: 0n });
  closeSync(proc);
  expect(fileSystemOf(top).blocks).toBeGreaterThan(0n);
  expect(() => fileSystemOf(-1)).toThrow("fstatfs(): EBADF");
});

test("all names of a directory are told, however many, as bytes become text", () => {
  const many = Array.from({ length: 900 }, (_, i) => `${i}-${"n".repeat(1 + ((i * 7) % 240))}é`);
  for (const name of many) writeFileSync(join(dir, "directory", name), "");
  const fd = openAt(top, "directory", READ | constants.O_DIRECTORY);
  expect(namesIn(fd).toSorted()).toEqual(readdirSync(join(dir, "directory")).toSorted());
  closeSync(fd);
  expect(() => namesIn(-1)).toThrow("getdents64(): EBADF");
});

test("names are given, taken and removed in the directory alone", () => {
  mkdirAt(top, "new", 0o710);
  expect(statSync(join(dir, "new")).mode & 0o777).toBe(0o710 & ~process.umask());
  expect(() => mkdirAt(top, "new", 0o700)).toThrow("mkdir(new): EEXIST");
  expect(() => unlinkAt(top, "new")).toThrow("unlink(new): EISDIR");
  writeFileSync(join(dir, "one"), "1");
  writeFileSync(join(dir, "two"), "2");
  renameAt(top, "one", "two");
  expect(readFileSync(join(dir, "two"), "utf8")).toBe("1");
  expect(() => renameAt(top, "one", "two")).toThrow("rename(two): ENOENT");
  unlinkAt(top, "two");
  expect(() => unlinkAt(top, "two")).toThrow("unlink(two): ENOENT");
  expect(readlinkSync(join(dir, "link"))).toBe("file");
});

test("one open description has the lock, and its end frees it", () => {
  const [first, second] = [openAt(top, "file", READ), openAt(top, "file", READ)];
  expect([tryLock(first), tryLock(second), tryLock(first)]).toEqual([true, false, true]);
  closeSync(first);
  expect(tryLock(second)).toBe(true);
  closeSync(second);
  expect(() => tryLock(second)).toThrow("flock(): EBADF");
});

test("a handle on what a path names, from the root or from where the process is", () => {
  const of = (path: string) => {
    const handle = handleOn(AT_FDCWD, path, RESOLVE.NO_MAGICLINKS);
    if (typeof handle === "string") return handle;
    const { dev, ino } = fstatSync(handle);
    closeSync(handle);
    return `${dev}:${ino}`;
  };
  const { dev, ino } = statSync(".");
  if (NOT_KNOWN.includes(of("/"))) return;
  expect([of("."), of(process.cwd()), of("/none")]).toEqual([
    `${dev}:${ino}`,
    `${dev}:${ino}`,
    "ENOENT",
  ]);
});
