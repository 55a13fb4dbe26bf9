/** Flags, seals and what a look at a descriptor tells: each as the kernel has it then. */
import { dlopen, read, type Pointer } from "bun:ffi";
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import {
  closesWithin,
  haveMountsChanged,
  mountFlags,
  isReadable,
  isWritable,
  memfdCreate,
  moveFd,
  pipe,
  sealMemfd,
  setNonBlocking,
  unmapPages,
} from "../../ffi/libc.ts";
import { has, isOpen } from "./descriptors.ts";

const closing = (fds: readonly number[]): void => fds.forEach((fd) => closeSync(fd));
const codeOf = (act: () => unknown): unknown => {
  try {
    act();
    return undefined;
  } catch (error) {
    return Reflect.get(error as object, "code") ?? Reflect.get(error as object, "errno");
  }
};

describe("a memfd", () => {
  test("goes to no program, and once sealed can neither change nor be opened for it", () => {
    for (const executable of [true, false]) {
      const fd = memfdCreate("spawnbox-test", executable);
      expect(has(fd, "CLOEXEC")).toBe(true);
      if (executable) expect(fstatSync(fd).mode & 0o111).toBe(0o111);
      writeSync(fd, "plan");
      sealMemfd(fd);
      expect(codeOf(() => writeSync(fd, "x", 0))).toBe("EPERM");
      expect(codeOf(() => ftruncateSync(fd, 2))).toBe("EPERM");
      expect(codeOf(() => ftruncateSync(fd, 200))).toBe("EPERM");
      // Also by who gets it anew, and no seal is taken back or put on.
      const again = openSync(`/proc/self/fd/${fd}`, "r+");
      expect(codeOf(() => writeSync(again, "x", 0))).toBe("EPERM");
      expect(codeOf(() => sealMemfd(fd))).toBe("EPERM");
      expect(readFileSync(again, "utf8")).toBe("plan");
      closing([fd, again]);
    }
  });
});

describe("a pipe", () => {
  test("has its ends in order, and goes to no program", () => {
    const [read, write] = pipe();
    expect([has(read, "CLOEXEC"), has(write, "CLOEXEC")]).toEqual([true, true]);
    writeSync(write, "abc");
    const bytes = Buffer.alloc(8);
    expect(readSync(read, bytes)).toBe(3);
    expect(bytes.toString("latin1", 0, 3)).toBe("abc");
    closing([read, write]);
  });

  test("is readable once something, or the end, is there, and writable while there is room", () => {
    const [read, write] = pipe();
    expect([isReadable(read), isWritable(write)]).toEqual([false, true]);
    writeSync(write, "x");
    expect([isReadable(read), closesWithin(read, 0)]).toEqual([true, false]);
    setNonBlocking(write);
    expect([has(write, "NONBLOCK"), has(read, "NONBLOCK")]).toEqual([true, false]);
    expect(
      codeOf(() => {
        for (;;) writeSync(write, Buffer.alloc(65_536));
      }),
    ).toBe("EAGAIN");
    expect(isWritable(write)).toBe(false);
    closeSync(write);
    while (readSync(read, Buffer.alloc(65_536)) > 0);
    expect([isReadable(read), closesWithin(read, 60_000)]).toEqual([true, true]);
    closeSync(read);
    expect(isOpen(read)).toBe(false);
  });

  test("moves out of the way of a child's stdio, and its old number is free", () => {
    const [read, write] = pipe();
    const moved = moveFd(read);
    expect(moved).toBeGreaterThanOrEqual(16);
    expect([isOpen(read), has(moved, "CLOEXEC")]).toEqual([false, true]);
    writeSync(write, "abc");
    expect(readSync(moved, Buffer.alloc(8))).toBe(3);
    closing([moved, write]);
    expect(codeOf(() => moveFd(moved))).toBe("EBADF");
  });
});

test("a mount that nothing can be executed on is known, and what cannot be looked at is none", () => {
  const noexec = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , , options = ""]) => options.split(",").includes("noexec"))
    .map(([, path = ""]) => path);
  expect(mountFlags(process.execPath).noexec).toBe(false);
  const none = { readonly: false, nosuid: false, nodev: false, noexec: false };
  expect(mountFlags("/nowhere/at/all")).toEqual(none);
  if (noexec.includes("/proc")) expect(mountFlags("/proc/self").noexec).toBe(true);
});

test("a mount table in which nothing happens does not change", () => {
  const mountinfo = openSync("/proc/self/mountinfo", "r");
  haveMountsChanged(mountinfo);
  // Somebody else on this machine may mount something at a time, but not each time.
  const looks = Array.from({ length: 20 }, () => haveMountsChanged(mountinfo));
  expect(looks).toContain(false);
  closeSync(mountinfo);
});

test("pages of a file come back as the file has them, and only whole ones are unmapped", () => {
  const { symbols: libc } = dlopen("libc.so.6", {
    mmap: { args: ["u64", "u64", "i32", "i32", "i32", "i64"], returns: "u64" },
    memset: { args: ["u64", "i32", "u64"], returns: "u64" },
    munmap: { args: ["u64", "u64"], returns: "i32" },
  });
  const fd = openSync("/proc/self/exe", "r");
  const [size, both, mine] = [16_384, 1 | 2, 2];
  const at = BigInt(libc.mmap(0n, BigInt(size), both, mine, fd, 0n));
  closeSync(fd);
  const first = (): number => read.u8(Number(at) as Pointer, size / 2);
  const ofFile = first();
  libc.memset(at, ofFile ^ 0xff, BigInt(size));
  expect(first()).toBe(ofFile ^ 0xff);
  expect(codeOf(() => unmapPages(at + 1n, BigInt(size)))).toBe("EINVAL");
  expect(first()).toBe(ofFile ^ 0xff);
  unmapPages(at, BigInt(size));
  expect(first()).toBe(ofFile);
  libc.munmap(at, BigInt(size));
  expect(codeOf(() => unmapPages(at, BigInt(size)))).toBe("ENOMEM");
});
