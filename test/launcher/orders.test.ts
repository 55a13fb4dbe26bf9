/** What comes on the lifeline, and what a supervisor holds meanwhile; and a control group where clone3(2) is denied. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { descriptorsOf } from "../descriptors.ts";
import { GROUP, WAKE } from "../../ffi/launcher/layout.ts";
import { isRoot } from "../accounts.ts";
import { ENOSYS, EPERM, type Rule } from "../places/rules.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { until } from "../served.ts";
import { childrenOf, launch, NEW, type Told } from "./direct.ts";

const NOTHING: readonly WrittenOp[] = [["UMASK", 0]];
const FORKED: readonly WrittenOp[] = [["FORK"], ["UMASK", 0]];
const python = (script: string) => ["/usr/bin/python3", "-ISc", script];
const [USR1, USR2] = [10, 12];
const EMFILE = 24;
const said = (records: readonly Told[]) =>
  records.map(({ kind, failure, error, status }) =>
    failure ? `${failure}: ${error}` : kind === "ENDED" ? `ENDED ${status}` : kind,
  );
const statusOf = (pid: number, name: string): string =>
  new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ??
  "";
const isPending = (pid: number, signal: number): boolean =>
  ((BigInt(`0x${statusOf(pid, "ShdPnd")}`) >> BigInt(signal - 1)) & 1n) === 1n;

/** Counts what it catches, in the order that it comes, until a signal that ends it. */
const CATCHES = `
import os, signal
told = []
for one in (signal.SIGUSR1, signal.SIGUSR2): signal.signal(one, lambda n, _: told.append(n))
signal.signal(signal.SIGCONT, lambda n, _: told.append("cont"))
os.write(1, b"ready\\n")
while signal.SIGUSR2 not in told: signal.pause()
print(told)`;
/** How often one that is queued comes (signal(7)), to it and to another of its group. */
const COUNTS = `
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [34, signal.SIGUSR1])
def count():
    n = 0
    while signal.sigtimedwait([34], 0): n += 1
    return n
other = os.fork()
if other == 0:
    signal.sigwait([34])
    os._exit(1 + count())
signal.sigwait([signal.SIGUSR1])
print([count(), os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])])`;
const blocks = (pid: number) => (BigInt(`0x${statusOf(pid, "SigBlk")}`) >> BigInt(33)) & 1n;
const catches = (pid: number) => (BigInt(`0x${statusOf(pid, "SigCgt")}`) >> BigInt(17)) & 1n;

/** How often the signal of one order for a group has come, to it and to another. */
async function counted(ops: readonly WrittenOp[], flags: number, denied: readonly Rule[] = []) {
  const { stdout } = await launch(ops, {
    ...{ flags, denied, argv: python(COUNTS) },
    meanwhile: async ({ pid, order }) => {
      await until("it waits", () => blocks(pid) === 1n && childrenOf(pid).length === 1);
      order(34 | GROUP, USR1);
    },
  });
  return stdout;
}

test.skipIf(!isRoot)(
  "without a hold on it, a command has the signal of its group once",
  async () => {
    const denied = [{ call: "pidfd_open", errno: EMFILE }];
    expect(await counted(NOTHING, 0, denied)).toBe("[1, 1]\n");
  },
);

describe.skipIf(!isRoot).each([
  ["alone", NOTHING, 0],
  ["in a pid namespace", FORKED, NEW.pid],
] as const)("the lifeline of a command %s", (_, ops, flags) => {
  test("has a byte for each signal, which goes to the command alone, and no signal of its own", async () => {
    const { stdout, records } = await launch(ops, {
      ...{ flags, argv: python(CATCHES) },
      meanwhile: async ({ pid, order }) => {
        await until("it catches", () => catches(pid) === 1n);
        order(USR1);
        await until("it is caught", () => !isPending(pid, USR1));
        // Neither is a signal for it.
        order(0, GROUP, WAKE);
        order(USR2);
      },
    });
    expect([stdout, said(records)]).toEqual(["ready\n[10, 12]\n", ["STARTED", "ENDED 0"]]);
  });
  test("has a byte for the whole group, of which each has the signal once", async () => {
    expect(await counted(ops, flags)).toBe("[1, 1]\n");
  });
  test("does not let go on what somebody has stopped, until that is told", async () => {
    let stopped: boolean[] = [];
    const isStopped = (pid: number) => statusOf(pid, "State") === "T";
    const { stdout } = await launch(ops, {
      ...{ flags, argv: python(CATCHES) },
      meanwhile: async ({ pid, order, supervisor }) => {
        await until("it catches", () => catches(pid) === 1n);
        process.kill(pid, "SIGSTOP");
        await until("it is stopped", () => isStopped(pid));
        const [main = 0] = childrenOf(supervisor);
        if (main !== pid) {
          process.kill(main, "SIGSTOP");
          await until("its init is stopped", () => isStopped(main));
        }
        order(WAKE, USR1);
        await until("it waits", () => isPending(pid, USR1));
        stopped = [isStopped(pid), main !== pid && isStopped(main)];
        order(18, USR2);
      },
    });
    expect(stopped).toEqual([true, false]);
    expect(stdout).toContain("cont");
  });
  test("is held with what is needed, and nothing else", async () => {
    let held: string[] = [];
    // Without CAP_DAC_OVERRIDE: all of it is opened as it may be.
    const before = "assert libc.prctl(24, 1, 0, 0, 0) == 0";
    await launch(ops, {
      ...{ flags: flags | NEW.mount, before, argv: ["/bin/sleep", "1000"] },
      meanwhile: async ({ supervisor, hangUp }) => {
        const links = () =>
          descriptorsOf(supervisor).map((link) =>
            link
              .replace(/^\/proc\/\d+\/task\/\d+\//, "")
              .replace(/[\d[\]:]+$/, "")
              .replace(/^\/.*\//, ""),
          );
        // It opens the last of them beside the command.
        const count = flags === 0 ? 7 : 8;
        await until("it has them all", () => links().length === count);
        held = links().toSorted();
        hangUp();
      },
    });
    const pipes = ["pipe", "pipe", ...(flags === 0 ? [] : ["pipe"])];
    expect(held).toEqual([
      "anon_inode:[pidfd",
      "anon_inode:[signalfd",
      "children",
      "mnt",
      ...pipes,
      "plan",
    ]);
  });
});

describe.skipIf(!isRoot)("the init of a pid namespace", () => {
  test("killed by somebody, takes all with it, and that is told", async () => {
    const { records } = await launch(FORKED, {
      ...{ flags: NEW.pid, argv: ["/bin/sleep", "1000"] },
      meanwhile: async ({ supervisor }) =>
        void process.kill(childrenOf(supervisor)[0] ?? 0, "SIGKILL"),
    });
    expect(said(records)).toEqual(["STARTED", "ENDED 9"]);
  });
});

/** Of cgroup v2, where that is mounted. */
const hierarchy = / \/ (\/\S+) .* - cgroup2 /.exec(
  readFileSync("/proc/self/mountinfo", "utf8"),
)?.[1];
const group = `${hierarchy}/spawnbox-orders-${process.pid}`;
const canMake = (() => {
  try {
    mkdirSync(group);
    rmdirSync(group);
    return isRoot;
  } catch {
    return false;
  }
})();
describe.skipIf(!canMake).each([EPERM, ENOSYS])("a control group where clone3 says %i", (errno) => {
  afterEach(() => existsSync(group) && rmdirSync(group));
  const before = (directory: string) => `
os.makedirs("${group}", exist_ok=True)
fd = os.open("${directory}", os.O_RDONLY | os.O_DIRECTORY)
while fd <= 6: fd = os.dup(fd)
os.dup2(fd, 6, True)`;
  const denied = [{ call: "clone3", errno }];
  const place = `print(open("/proc/self/cgroup").read().strip().split("/")[-1], __import__("os").path.exists("/proc/self/fd/6"))`;
  test("has the command from its start", async () => {
    for (const [ops, flags] of [
      [NOTHING, 0],
      [[["CGROUP"], ...NOTHING], 0],
      [FORKED, NEW.pid],
    ] as [WrittenOp[], number][]) {
      const { stdout, records } = await launch(ops, {
        flags,
        denied,
        before: before(group),
        argv: python(place),
      });
      expect([stdout, said(records)]).toEqual([
        `${group.split("/").at(-1)} False\n`,
        ["STARTED", "ENDED 0"],
      ]);
    }
  });
  test("that is none is a failure, and so is a kernel that says something else", async () => {
    expect(said((await launch(NOTHING, { denied, before: before("/usr") })).records)).toEqual([
      "CLONE cgroup.procs: 2",
    ]);
    const other = [{ call: "clone3", errno: 13 }];
    expect(said((await launch(NOTHING, { denied: other, before: before(group) })).records)).toEqual(
      ["CLONE: 13"],
    );
  });
});
