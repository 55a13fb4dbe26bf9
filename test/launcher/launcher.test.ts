/** What a command has of the process that launched it, and how its tree ends: the launcher driven directly. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmdirSync, readFileSync, statSync } from "node:fs";
import { descriptorsOf } from "../descriptors.ts";
import { GROUP } from "../../ffi/launcher/layout.ts";
import { isAlive, isRoot, until } from "../served.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { canStall, stalling } from "../sandbox/stalling.ts";
import { mayTrace } from "../strace.ts";
import { childrenOf, type Direct, launch, NEW } from "./direct.ts";

const NOTHING: readonly WrittenOp[] = [["UMASK", 0o22]];
const sh = (script: string) => ["/bin/sh", "-c", script];
const python = (script: string) => ["/usr/bin/python3", "-ISc", script];
/** With a process of its own, or as the init of a pid namespace beside it. */
const shapes: readonly [string, readonly WrittenOp[], number][] = [
  ["alone", NOTHING, 0],
  ...(isRoot
    ? ([["in a pid namespace", [["FORK"], ["UMASK", 0o22]], NEW.pid]] as [
        string,
        WrittenOp[],
        number,
      ][])
    : []),
];
const traced = test.skipIf(!mayTrace());
const exited = (code: number) => ({ kind: "ENDED", status: code << 8, op: 0, error: 0 });
const killed = (signal: number) => ({ kind: "ENDED", status: signal });

/** keyctl(2), add_key(2); filters of containers deny both. */
const [KEYCTL, ADD_KEY] = process.arch === "arm64" ? [219, 217] : [250, 248];
const hasKeys =
  Bun.spawnSync([
    ...["/usr/bin/python3", "-ISc"],
    `import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(${KEYCTL}, 1, None) < 0)`,
  ]).exitCode === 0;

/** Says what it is, as JSON. */
const LOOK = `
import json, os, resource, sys
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
number = lambda path: open(path).read().strip()
fds = []
for fd in range(0, 1100):
    try: os.fstat(fd); fds.append(fd)
    except OSError: pass
import ctypes
libc = ctypes.CDLL(None)
print(json.dumps(dict(
    ignored=status["SigIgn"], blocked=status["SigBlk"], fds=fds, umask=os.umask(0),
    nice=os.getpriority(os.PRIO_PROCESS, 0), policy=os.sched_getscheduler(0),
    oom=number("/proc/self/oom_score_adj"), files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    personality=number("/proc/self/personality"), io=libc.syscall(IOPRIO_GET, 1, 0),
    leads=os.getpid() == os.getsid(0) == os.getpgid(0), argv=sys.argv[1:], env=dict(os.environ))))
`.replace("IOPRIO_GET", process.arch === "arm64" ? "31" : "252");
const IOPRIO_SET = process.arch === "arm64" ? 30 : 251;

async function seen(direct: Direct, ops: readonly WrittenOp[] = NOTHING) {
  const { stdout, stderr, records } = await launch(ops, {
    argv: [...python(LOOK), "a", ""],
    ...direct,
  });
  expect({ stderr, records }).toMatchObject({
    stderr: "",
    records: [{ kind: "STARTED" }, exited(0)],
  });
  return JSON.parse(stdout) as Record<string, unknown>;
}
/** Python's own runtime ignores these two. */
const PYTHONS = "0000000001001000";

describe.each(shapes)("a command %s", (_, ops, flags) => {
  test("ignores and blocks no signal, whatever its launcher did", async () => {
    const before = `
for one in range(1, 65):
    if one not in (9, 19, 32, 33): signal.signal(one, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())`;
    expect(await seen({ flags, before }, ops)).toMatchObject({
      ignored: PYTHONS,
      blocked: "0000000000000000",
    });
  });

  test("has stdin, stdout and stderr, and no other descriptor that was open", async () => {
    // From the first number behind those of the launcher to the last that there can be.
    const before = `
fd = os.open("/etc/passwd", os.O_RDONLY)
for to in (6, 7, 8, 9, 10, 63, 64, 255, 256, 257, 1000, 1023): os.dup2(fd, to, True)
if fd not in (6, 7, 8, 9, 10): os.close(fd)`;
    expect(await seen({ flags, before }, ops)).toMatchObject({ fds: [0, 1, 2] });
  });

  test("has its words and its environment, as they are", async () => {
    const env = { A: "1", B: "", "C D": "x=y" };
    expect(await seen({ flags, env }, ops)).toMatchObject({ argv: ["a", ""], env });
  });

  test("leads a session of its own", async () => {
    expect(await seen({ flags }, ops)).toMatchObject({ leads: true });
  });

  test("has the mask of its plan, and not that of its launcher", async () => {
    expect(await seen({ flags, before: "os.umask(0o777)" }, ops)).toMatchObject({ umask: 0o22 });
    expect(await seen({ flags, before: "os.umask(0o777)" }, ops.slice(0, -1))).toMatchObject({
      umask: 0,
    });
  });

  test("is not as large as its launcher may be, and may be ended like others", async () => {
    const before = `
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
libc.personality(0x0040000)`;
    expect(await seen({ flags, before }, ops)).toMatchObject({
      files: 1024,
      personality: "00000000",
    });
    const less = "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))";
    expect(await seen({ flags, before: less }, ops)).toMatchObject({ files: 100 });
  });

  test.skipIf(!isRoot)("runs as others do, however its launcher is preferred", async () => {
    const oom = `open("/proc/self/oom_score_adj", "w").write("-500")`;
    expect(await seen({ flags, before: oom }, ops)).toMatchObject({ oom: "0" });
    // What makes it more likely to be ended stays.
    expect(await seen({ flags, before: oom.replace("-500", "300") }, ops)).toMatchObject({
      oom: "300",
    });
    expect(await seen({ flags, before: "os.setpriority(0, 0, -7)" }, ops)).toMatchObject({
      nice: 0,
    });
    expect(await seen({ flags, before: "os.setpriority(0, 0, 3)" }, ops)).toMatchObject({
      nice: 3,
    });
    expect(
      await seen({ flags, before: "os.setpriority(0, 0, -7)" }, [
        ...ops.slice(0, -1),
        ["NICE", 15],
      ]),
    ).toMatchObject({ nice: -5 });
    for (const policy of [
      "SCHED_FIFO",
      "SCHED_RR",
      "SCHED_FIFO | os.SCHED_RESET_ON_FORK",
      "SCHED_RR | os.SCHED_RESET_ON_FORK",
    ]) {
      const before = `os.sched_setscheduler(0, os.${policy}, os.sched_param(1))`;
      expect(await seen({ flags, before }, ops)).toMatchObject({ policy: 0 });
    }
    expect(
      await seen(
        { flags, before: "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))" },
        ops,
      ),
    ).toMatchObject({ policy: 3 });
  });

  test.skipIf(!isRoot)("reads and writes as others do", async () => {
    const [REAL_TIME, BEST, IDLE] = [1, 2, 3].map((one) => one << 13) as [number, number, number];
    const io = async (value: number) =>
      (
        await seen(
          { flags, before: `assert libc.syscall(${IOPRIO_SET}, 1, 0, ${value}) == 0` },
          ops,
        )
      )["io"];
    expect(await io(REAL_TIME | 4)).not.toBe(REAL_TIME | 4);
    expect(await io(REAL_TIME | 0)).not.toBe(REAL_TIME | 0);
    expect(await io(BEST | 3)).not.toBe(BEST | 3);
    expect(await io(BEST | 6)).toBe(BEST | 6);
    expect(await io(IDLE)).toBe(IDLE);
  });

  test("ends by a signal of the lifeline: the command alone, or its group", async () => {
    const script = `trap 'kill $!; exit 7' TERM; sleep 1000 & wait`;
    const { records } = await launch(ops, {
      flags,
      argv: sh(script),
      meanwhile: async ({ pid, order }) => {
        await until("it waits", () => belowOf(pid).some((one) => nameOf(one) === "sleep"));
        order(15);
      },
    });
    expect(records).toMatchObject([{ kind: "STARTED" }, exited(7)]);
    const alone = await launch(ops, {
      flags,
      argv: ["/bin/sleep", "1000"],
      meanwhile: async ({ order }) => order(1),
    });
    expect(alone.records).toMatchObject([{ kind: "STARTED" }, killed(1)]);
  });

  test("a group gets its signal once, each process of it", async () => {
    const count = `
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
child = os.fork() == 0
os.write(2, b"x")
signal.sigwait([signal.SIGUSR1])
time.sleep(0.2)
print("child" if child else "parent", 10 in signal.sigpending(), flush=True)
if not child: os.wait()
`;
    const { stdout } = await launch(ops, {
      ...{ flags, argv: python(count) },
      meanwhile: async ({ pid, order }) => {
        // From before the fork on both hold it back until they look.
        await until("both are there", () => belowOf(pid).length === 1);
        order(GROUP | 10);
      },
    });
    expect(stdout.trim().split("\n").toSorted()).toEqual(["child False", "parent False"]);
  });

  test("goes with its server, and all that it has left behind", async () => {
    const script = `trap '' TERM HUP INT; (setsid sh -c 'trap "" TERM HUP INT; sleep 1000 & sleep 1000' &) ; sleep 1000`;
    let below: number[] = [];
    const { records } = await launch(ops, {
      ...{ flags, argv: sh(script) },
      meanwhile: async ({ supervisor, hangUp }) => {
        await until(
          "all have started",
          () => (below = belowOf(supervisor)).filter((pid) => nameOf(pid) === "sleep").length === 3,
        );
        hangUp();
      },
    });
    expect(records).toMatchObject([{ kind: "STARTED" }, killed(9)]);
    expect(below.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  });

  test("is over only when all of its tree is", async () => {
    let below: number[] = [];
    const { stdout, records } = await launch(ops, {
      ...{
        flags,
        argv: sh(
          "(setsid sleep 1000 >&- 2>&- &); read line < /proc/self/stat; echo done; sleep 0.3",
        ),
      },
      meanwhile: async ({ supervisor }) => {
        await until("it has started", () =>
          (below = belowOf(supervisor)).some((pid) => nameOf(pid) === "sleep"),
        );
      },
    });
    expect([stdout, records]).toMatchObject(["done\n", [{ kind: "STARTED" }, exited(0)]]);
    expect(below.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  });

  test("dies with its supervisor, also after it has changed its user", async () => {
    const switched: WrittenOp[] = [
      ...ops,
      ["SETGROUPS"],
      ["SETGID", 65534],
      ["SETUID", 65534],
      ["NO_NEW_PRIVS"],
    ];
    for (const steps of isRoot ? [ops, switched] : [ops]) {
      let pid = 0;
      await launch(steps, {
        ...{ flags, argv: ["/bin/sleep", "1000"] },
        meanwhile: async (running) => {
          ({ pid } = running);
          process.kill(running.supervisor, "SIGKILL");
          await until("the command is gone", async () => !(await isAlive(pid)));
        },
      });
      expect(await isAlive(pid)).toBe(false);
    }
  });

  test("tells how it ended, with what it used", async () => {
    const { records, exit } = await launch(ops, { flags, argv: sh("exit 9") });
    expect(records).toMatchObject([{ kind: "STARTED" }, exited(9)]);
    // The supervisor has done what it is for.
    expect(exit).toBe(0);
    expect((await launch(ops, { flags, argv: sh("kill -KILL $$") })).records).toMatchObject([
      { kind: "STARTED" },
      killed(9),
    ]);
    const missing = await launch(ops, { flags, argv: ["/no/such/program"] });
    expect(missing.records).toMatchObject([
      { kind: "FAILED", failure: "EXEC /no/such/program", error: 2 },
    ]);
  });

  test("tells the processor time and memory of it", async () => {
    const burn = `
import time
x = bytearray(40 << 20)
while time.process_time() < 0.2:
    for _ in range(100000): pass`;
    const { records } = await launch(ops, { flags, argv: python(burn) });
    const { user = 0, system = 0, maxrss = 0 } = records.at(-1) ?? {};
    expect(user + system).toBeWithin(200_000, 1_200_000);
    // It does nothing but count.
    expect(user).toBeGreaterThan(100_000);
    expect(maxrss).toBeWithin(40 << 10, 80 << 10);
  });

  traced("tells the time that it has used to the microsecond", async () => {
    const words = (...all: number[]) =>
      Buffer.from(BigUint64Array.from(all.map(BigInt)).buffer).toString("hex");
    // struct rusage: seconds and microseconds, of its own and of the kernel for it.
    const inject = `wait4:poke_exit=@arg4=${words(1_000_000, 3, 2_000_000, 5)}`;
    const { records } = await launch(ops, { flags, inject });
    expect(records.at(-1)).toMatchObject({
      ...exited(0),
      ...{ user: 1_000_000_000_003, system: 2_000_000_000_005 },
    });
  });

  test.skipIf(!hasKeys)("has none of the keys of its launcher's session", async () => {
    const search = (where: string) =>
      `libc.syscall(${KEYCTL}, 10, ctypes.c_long(-3), b"user", b"spawnbox-direct", 0)${where}`;
    const before = `
assert libc.syscall(${KEYCTL}, 1, None) >= 0
assert libc.syscall(${ADD_KEY}, b"user", b"spawnbox-direct", b"secret", ctypes.c_long(6), ctypes.c_long(-3)) > 0
assert ${search(" > 0")}`;
    const look = `import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(${search("")}, ctypes.get_errno())`;
    const { stdout, stderr } = await launch(ops, { flags, before, argv: python(look) });
    expect([stdout, stderr]).toEqual(["-1 126\n", ""]);
  });

  test("without a command is a trial: all is done, and nothing executed", async () => {
    expect((await launch(ops, { flags, argv: [] })).records).toMatchObject([
      { kind: "STARTED" },
      exited(0),
    ]);
    const failing: WrittenOp[] = [...ops, ["CHDIR", "/no/such"]];
    expect((await launch(failing, { flags, argv: [] })).records).toMatchObject([
      { kind: "FAILED", failure: "CHDIR /no/such", error: 2 },
    ]);
  });
});

test.skipIf(!canStall)("a command is over only when what cannot die has died, too", async () => {
  await using files = await stalling();
  await files.stall();
  const turnsOf = (pid: number) =>
    Number(
      /^voluntary_ctxt_switches:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1],
    );
  const { records } = await launch(NOTHING, {
    argv: sh(`ls ${files.source} & exec sleep 1000`),
    meanwhile: async ({ pid, supervisor, order }) => {
      const one = () => childrenOf(pid)[0] ?? 0;
      // Its question has been read: from then on no signal ends it.
      const sleeps = () => readFileSync(`/proc/${files.pid}/wchan`, "utf8").includes("nanosleep");
      await until("it waits", () => one() > 0 && sleeps());
      const waits = one();
      const before = turnsOf(supervisor);
      order(9);
      await until("it was swept often", () => turnsOf(supervisor) > before + 20);
      expect(childrenOf(supervisor)).toEqual([waits]);
      files.answer();
    },
  });
  expect(records).toMatchObject([{ kind: "STARTED" }, killed(9)]);
});

test("the sweep ends a group at once: no generation outlives the one before it", async () => {
  // Each hears of the death of its parent, if it is not dead itself by then.
  const chain = `
import ctypes, os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: os.write(2, b"x"))
for i in range(12):
    if i > 0: ctypes.CDLL(None).prctl(1, signal.SIGUSR1)
    if os.fork() > 0: break
else:
    os.execv("/bin/sleep", ["sleep", "1000"])
while True: time.sleep(100)
`;
  const { stderr, records } = await launch(NOTHING, {
    argv: python(chain),
    meanwhile: async ({ supervisor, hangUp }) => {
      const isWhole = () => belowOf(supervisor).some((pid) => nameOf(pid) === "sleep");
      await until("the chain has its end", isWhole);
      hangUp();
    },
  });
  expect(records).toMatchObject([{ kind: "STARTED" }, killed(9)]);
  expect(stderr).toBe("");
});

/** Of cgroup v2, where that is mounted and may be written. */
const hierarchy = / \/ (\/\S+) .* - cgroup2 /.exec(
  readFileSync("/proc/self/mountinfo", "utf8"),
)?.[1];
const canMakeGroups = isRoot && hierarchy !== undefined && isWritable(hierarchy);
describe.skipIf(!canMakeGroups)("in a control group of its own", () => {
  const group = `${hierarchy}/spawnbox-direct-${process.pid}`;
  const before = `
os.mkdir("${group}")
fd = os.open("${group}", os.O_RDONLY | os.O_DIRECTORY)
while fd <= 9: fd = os.dup(fd)
os.dup2(fd, 6, True)
other = os.open("/etc/passwd", os.O_RDONLY)
for to in (7, 8, 9): os.dup2(other, to, True)`;
  afterEach(() => existsSync(group) && rmdirSync(group));

  test.each([
    ["where the plan demands one", [["CGROUP"], ["UMASK", 0]]],
    ["where there is one", [["UMASK", 0]]],
  ] as [string, WrittenOp[]][])(
    "%s: from its start, and without the group's descriptor",
    async (_, ops) => {
      const script = `import os; print(open("/proc/self/cgroup").read().strip().split("::")[-1]); print([fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}").startswith("/") and fd > 2])`;
      const { stdout, records } = await launch(ops, { before, argv: python(script) });
      expect(records).toMatchObject([{ kind: "STARTED" }, exited(0)]);
      const [place, fds] = stdout.trim().split("\n");
      expect([place?.split("/").at(-1), fds]).toEqual([group.split("/").at(-1), "[]"]);
    },
  );
  test("all of it ends at once, whoever has moved where", async () => {
    const script = `trap '' TERM; (setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 1000`;
    await launch([["CGROUP"], ["UMASK", 0]], {
      ...{ before, argv: sh(script) },
      meanwhile: async ({ hangUp }) => {
        await until("all have started", () => membersOf(group).length >= 4);
        hangUp();
      },
    });
    expect(membersOf(group)).toEqual([]);
  });
  test("that is none is a failure", async () => {
    const none = before.replace(
      `fd = os.open("${group}", os.O_RDONLY | os.O_DIRECTORY)`,
      'fd = os.open("/usr", os.O_RDONLY)',
    );
    const { records } = await launch([["CGROUP"], ["UMASK", 0]], { before: none });
    expect(records).toMatchObject([{ kind: "FAILED", failure: "CLONE", error: 9 }]);
    const missing = await launch([["CGROUP"], ["UMASK", 0]]);
    expect(missing.records).toMatchObject([
      { kind: "FAILED", failure: "CLONE close-on-exec", error: 9 },
    ]);
  });
});

const membersOf = (group: string): string[] =>
  readFileSync(`${group}/cgroup.procs`, "utf8")
    .split("\n")
    .filter((pid) => pid !== "");

function isWritable(dir: string): boolean {
  const probe = `${dir}/spawnbox-probe-${process.pid}`;
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return false;
  }
}

test("who launches is not killed by what does not become its child", async () => {
  // The sweep meets numbers of other processes where the kernel lists no children.
  const other = Bun.spawn(["/bin/sleep", "1000"]);
  await launch(NOTHING, { argv: sh("(setsid sleep 1000 &); exit 0") });
  expect(await isAlive(other.pid)).toBe(true);
  other.kill("SIGKILL");
  await other.exited;
});

test.skipIf(!isRoot)(
  "what a command leaves is found by all numbers of processes, where the kernel lists no children",
  async () => {
    const other = Bun.spawn(["/bin/sleep", "1000"]);
    // In the place of /proc such numbers, what is none, and what else the launcher needs.
    const before = `
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
assert libc.mount(b"none", b"/proc", b"tmpfs", 0, b"mode=755") == 0
for name in [${other.pid}, "self", "12x"] + list(range(os.getpid(), os.getpid() + 2000)):
    os.makedirs(f"/proc/{name}", exist_ok=True)
open("/proc/self/oom_score_adj", "w").close()`;
    await using _ = {
      async [Symbol.asyncDispose]() {
        other.kill("SIGKILL");
        await other.exited;
      },
    };
    const { stdout, records } = await launch(NOTHING, {
      before,
      argv: sh("setsid sleep 1000 >/dev/null & echo $!; sleep 1000 >/dev/null & echo $!"),
    });
    expect(records.map(({ kind }) => kind)).toEqual(["STARTED", "ENDED"]);
    const left = stdout.trim().split("\n").map(Number);
    expect(left).toHaveLength(2);
    for (const pid of left) expect(await isAlive(pid)).toBe(false);
    expect(await isAlive(other.pid)).toBe(true);
  },
);

test.skipIf(!isRoot)(
  "the init of a pid namespace has no descriptors, capabilities, or debugger, and no way to more",
  async () => {
    let init: Record<string, string> = {};
    let fds: string[] = [];
    const before = `
fd = os.open("/etc/passwd", os.O_RDONLY)
for to in (6, 7, 100, 255): os.dup2(fd, to, True)`;
    const steps: WrittenOp[] = [
      ["FORK"],
      ["SETGROUPS"],
      ["SETGID", 65534],
      ["SETUID", 65534],
      ["NO_NEW_PRIVS"],
    ];
    await launch(steps, {
      ...{ flags: NEW.pid, before, argv: ["/bin/sleep", "1000"] },
      meanwhile: async ({ supervisor, pid, hangUp }) => {
        const [main = 0] = childrenOf(supervisor);
        expect(childrenOf(main)).toEqual([pid]);
        // It gives them up beside the command.
        await until(
          "it waits",
          () =>
            /wait/.test(readFileSync(`/proc/${main}/wchan`, "utf8")) &&
            readdirSync(`/proc/${main}/fd`).length === 1,
        );
        fds = readdirSync(`/proc/${main}/fd`);
        init = statusOf(main);
        hangUp();
      },
    });
    expect(fds).toEqual(["3"]);
    const NONE = "0000000000000000";
    expect(init).toMatchObject({
      CapEff: NONE,
      CapPrm: NONE,
      CapInh: NONE,
      CapAmb: NONE,
      NoNewPrivs: "1",
    });
  },
);

test.skipIf(!isRoot)(
  "of an ordinary user's command, neither supervisor nor init can be debugged by that user",
  async () => {
    const maps: WrittenOp[] = [
      ["UID_MAP", "65534 65534 1\n"],
      ["GID_MAP", 1, "65534 65534 1\n"],
      ["FORK"],
      ["UMASK", 0],
    ];
    // Of what cannot be debugged, root owns the files in /proc: proc(5).
    const ownerOf = (pid: number) => statSync(`/proc/${pid}/environ`).uid;
    let owners: number[] = [];
    await launch(maps, {
      ...{ flags: NEW.user | NEW.pid, uid: 65534, argv: ["/bin/sleep", "1000"] },
      meanwhile: async ({ supervisor, pid, hangUp }) => {
        const [main = 0] = childrenOf(supervisor);
        const look = () => (owners = [supervisor, main, pid].map(ownerOf));
        await until(
          "the init waits",
          () => readdirSync(`/proc/${main}/fd`).length === 1 && nameOf(pid) === "sleep",
        );
        look();
        hangUp();
      },
    });
    expect(owners).toEqual([0, 0, 65534]);
  },
);

test.skipIf(!isRoot)(
  "the supervisor holds nothing of the command's output, nor what was open before",
  async () => {
    let supervisors: string[] = [];
    let commands: string[] = [];
    await launch(NOTHING, {
      argv: ["/bin/sleep", "1000"],
      before: 'os.dup2(os.open("/etc/passwd", os.O_RDONLY), 77, True)',
      meanwhile: async ({ supervisor, pid, hangUp }) => {
        await until("it sleeps", () => (commands = descriptorsOf(pid)).length === 3);
        supervisors = descriptorsOf(supervisor);
        hangUp();
      },
    });
    expect(supervisors.filter((link) => commands.includes(link) || link === "/etc/passwd")).toEqual(
      [],
    );
  },
);

test.skipIf(!isRoot)("the sweep runs before those whom it ends", async () => {
  let nice = 0;
  await launch(NOTHING, {
    argv: sh("(setsid sleep 1000 &) ; sleep 1000"),
    meanwhile: async ({ supervisor, hangUp }) => {
      hangUp();
      // Without a turn of the event loop nobody reaps it: what is left of it tells how it ended.
      for (let state = ""; state !== "Z";) {
        const stat = readFileSync(`/proc/${supervisor}/stat`, "utf8");
        // Behind the name; the 19th of all is the nice value: proc_pid_stat(5).
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        [state, nice] = [fields[0] ?? "Z", Number(fields[16])];
      }
    },
  });
  expect(nice).toBe(-20);
});

test("is no program for anybody else", async () => {
  const { hostArch, launcherFile } = await import("../../ffi/launcher/build.ts");
  const run = Bun.spawnSync([launcherFile(hostArch), "/bin/true"]);
  expect([run.exitCode, run.stderr.toString()]).toEqual([
    100,
    "spawnbox launcher: started by the spawnbox server, or by the kernel as init\n",
  ]);
});

function statusOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").split("\n");
  return Object.fromEntries(lines.map((line) => line.split(":\t") as [string, string]));
}

const belowOf = (pid: number): number[] => childrenOf(pid).flatMap((one) => [one, ...belowOf(one)]);

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return "";
  }
}
