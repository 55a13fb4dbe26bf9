/** Other processes: held by pidfd, their descriptors, children and sessions. */
import { expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { killNow, listChildren, reapChild, sessionOf, stateOfChild } from "../../ffi/children.ts";
import { missingCall } from "../../ffi/kernel.ts";
import { hasEnded, openProcess, putInPlace, takeDescriptors } from "../../ffi/processes.ts";
import { isRoot, until } from "../served.ts";
import { has, isOpen } from "./descriptors.ts";

const sleeper = (stdin: "ignore" | ReturnType<typeof Bun.file> = "ignore") =>
  Bun.spawn(["sleep", "1000"], { stdio: [stdin, "ignore", "ignore"] });
/** The number after the last one that there can be. */
const NOBODY = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")) + 1;
const fds = () => readdirSync("/proc/self/fd").length;

test.skipIf(missingCall("pidfd_open") !== undefined)(
  "a process is held until it has ended, and who is not there is nobody",
  async () => {
    const child = sleeper();
    const pidfd = openProcess(child.pid) ?? -1;
    expect(has(pidfd, "CLOEXEC")).toBe(true);
    expect(hasEnded(pidfd)).toBe(false);
    child.kill("SIGKILL");
    await child.exited;
    await until("it has ended", () => hasEnded(pidfd));
    closeSync(pidfd);
    expect(openProcess(NOBODY)).toBeUndefined();
    for (const pid of [0, -1, 2 ** 32 + process.pid]) expect(() => openProcess(pid)).toThrow("pid");
  },
);

test.skipIf(missingCall("pidfd_getfd") !== undefined)(
  "descriptors are taken all or none, and go to no program",
  async () => {
    const child = sleeper(Bun.file("/proc/self/exe"));
    const pidfd = openProcess(child.pid) ?? -1;
    try {
      await until("it executes", () => statSync(`/proc/${child.pid}/exe`).ino > 0);
      const [taken = -1, other = -1] = takeDescriptors(pidfd, [0, 1]);
      expect([fstatSync(taken).ino, fstatSync(other).rdev]).toEqual([
        ...[statSync(`/proc/${child.pid}/fd/0`).ino, statSync("/dev/null").rdev],
      ]);
      expect([has(taken, "CLOEXEC"), has(other, "CLOEXEC")]).toEqual([true, true]);
      closeSync(taken);
      closeSync(other);
      const before = fds();
      expect(() => takeDescriptors(pidfd, [0, 1, 999])).toThrow(
        "pidfd_getfd(descriptor 999): EBADF",
      );
      expect(fds()).toBe(before);
    } finally {
      closeSync(pidfd);
      child.kill("SIGKILL");
      await child.exited;
    }
  },
);

test("one descriptor takes the place of another, and is inherited there", () => {
  const [place, fd] = [openSync("/dev/null", "r"), openSync("/dev/zero", "r")];
  putInPlace(fd, place);
  expect(fstatSync(place).rdev).toBe(statSync("/dev/zero").rdev);
  expect([isOpen(fd), has(place, "CLOEXEC")]).toEqual([false, false]);
  closeSync(place);
  expect(() => putInPlace(999, place)).toThrow(`dup2(999, ${place}): EBADF`);
});

test("children are listed, are alive until they are dead, and a look does not reap them", async () => {
  const child = sleeper();
  try {
    expect(listChildren()).toContain(child.pid);
    expect(listChildren().every((pid) => Number.isInteger(pid) && pid > 0)).toBe(true);
    // Where the kernel lists them, they alone.
    if (existsSync(`/proc/self/task/${process.pid}/children`))
      expect(listChildren()).not.toContain(process.pid);
    expect(stateOfChild(child.pid)).toBe("alive");
    // Alive, it is not waited for.
    reapChild(child.pid);
    expect(stateOfChild(child.pid)).toBe("alive");
    expect([stateOfChild(process.pid), stateOfChild(NOBODY)]).toEqual([undefined, undefined]);
    expect(killNow(child.pid)).toBe(true);
    expect(await child.exited).toBe(137);
    expect(stateOfChild(child.pid)).toBeUndefined();
    expect(killNow(NOBODY)).toBe(false);
  } finally {
    child.kill("SIGKILL");
  }
});

test.skipIf(!isRoot)("where the kernel lists no children, all processes may be some", () => {
  const children = JSON.stringify(join(import.meta.dir, "../../ffi/children.ts"));
  // A directory of threads that has none.
  const script = `
    const { dlopen } = await import("bun:ffi");
    const { listChildren } = await import(${children});
    const { symbols } = dlopen("libc.so.6", { mount: { args: ["cstring", "cstring", "cstring", "u64", "ptr"], returns: "i32" } });
    const text = (one) => Buffer.from(one + "\\0");
    if (symbols.mount(text("tmpfs"), text("/proc/self/task"), text("tmpfs"), 0n, null) !== 0) throw new Error("mount");
    const all = listChildren();
    console.log(all.includes(process.pid), all.includes(1), all.every((pid) => Number.isInteger(pid) && pid > 0));`;
  const run = Bun.spawnSync(["unshare", "--mount", process.execPath, "-e", script]);
  expect(run.stdout.toString() || run.stderr.toString()).toBe("true true true\n");
});

test("a group is killed by its negative number, and 0 and its like are nobody", async () => {
  const leader = Bun.spawn(["setsid", "sh", "-c", "sleep 1000 & sleep 1000"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  await until("it leads a session", () => sessionOf(leader.pid) === leader.pid);
  expect(killNow(-leader.pid)).toBe(true);
  expect(await leader.exited).toBe(137);
  await until("nobody is left", () => !killNow(-leader.pid));
  for (const pid of [0, -0, 2 ** 31, 0.5]) expect(() => killNow(pid)).toThrow("pid");
});

test("a session is that which the kernel tells", () => {
  const [, session] = /\) \S \d+ \d+ (\d+) /.exec(readFileSync("/proc/self/stat", "latin1")) ?? [];
  expect(sessionOf(0)).toBe(Number(session));
  expect(sessionOf(process.pid)).toBe(Number(session));
  expect(sessionOf(NOBODY)).toBeUndefined();
});
