/** What a filter of the place denies: each step says what failed and how, or does it in another way that comes to the same. */
import { describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import { isRoot } from "../accounts.ts";
import { descriptorsOf } from "../descriptors.ts";
import { ENOSYS, EPERM, type Rule } from "../places/rules.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { until } from "../served.ts";
import { childrenOf, type Direct, launch, NEW, type Running } from "./direct.ts";

const sh = (script: string) => ["/bin/sh", "-c", script];
const python = (script: string) => ["/usr/bin/python3", "-ISc", script];
const NOTHING: readonly WrittenOp[] = [["UMASK", 0]];
const [EACCES, EMFILE] = [13, 24];
const rule = (call: string, errno = EACCES, more: Partial<Rule> = {}): Rule => ({
  ...{ call, errno },
  ...more,
});
const prctl = (option: number, errno = EACCES) => rule("prctl", errno, { arg: 0, is: option });

async function outcome(ops: readonly WrittenOp[], direct: Direct = {}): Promise<string> {
  const { records } = await launch(ops, direct);
  return records
    .map(({ kind, failure, error, status }) =>
      failure ? `${failure}: ${error}` : kind === "ENDED" ? `ENDED ${status}` : kind,
    )
    .join(", ");
}
const RAN = "STARTED, ENDED 0";

/** Of a pid namespace's init, the exit. */
const BOX: Direct = { flags: NEW.pid };
const FORKED: readonly WrittenOp[] = [["FORK"], ["UMASK", 0]];
const FIFO = "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))";
const files = (count: number) =>
  `resource.setrlimit(resource.RLIMIT_NOFILE, (${count}, max(${count}, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))`;
/** ioprio_set(2): real time; best effort, a little better than usual. */
const io = (value: number) =>
  `assert libc.syscall(${process.arch === "arm64" ? 30 : 251}, 1, 0, ${value}) == 0`;
const SETTING = { arg: 2, any: 0xffffffff };
const persona = (value: number) => `assert libc.personality(${value}) == 0`;
const ROOT: readonly WrittenOp[] = [["ROOT_BEGIN"], ["FSMOUNT", 0, "tmpfs", "/e"], ["ROOT_END"]];
const MOUNTS: Direct = { flags: NEW.mount };
const MAPS: readonly WrittenOp[] = [
  ["UID_MAP", "0 0 65536\n"],
  ["GID_MAP", 0, "0 0 65536\n"],
];
/** Let pass: no filter at all. */
const OPEN = Uint8Array.from([6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
const LANDLOCK: readonly WrittenOp[] = [
  ["NO_NEW_PRIVS"],
  ["LANDLOCK", 1, 0, 0],
  ["LANDLOCK_PATH", 1, 0, "/"],
  ["LANDLOCK_APPLY"],
];

describe.skipIf(!isRoot)("a step that cannot be", () => {
  test.each<[string, readonly Rule[], readonly WrittenOp[], Direct, string]>([
    ["the size of the plan", [rule("statx")], NOTHING, {}, "PLAN_READ fstat: 13"],
    ["the plan", [rule("mmap", 12)], NOTHING, {}, "PLAN_READ mmap: 12"],
    ["descriptors closed", [rule("close_range", 22)], NOTHING, {}, "CLONE close_range: 22"],
    [
      "descriptors that end with exec",
      [rule("fcntl", EACCES, { arg: 1, is: 2 })],
      NOTHING,
      {},
      "CLONE close-on-exec: 13",
    ],
    ["a session", [rule("setsid")], NOTHING, {}, "CLONE setsid: 13"],
    ["orphans", [prctl(36)], NOTHING, {}, "CLONE subreaper: 13"],
    ["the dead", [rule("wait4")], NOTHING, {}, "CLONE wait4: 13"],
    ["keys", [rule("keyctl", 122)], NOTHING, {}, "CLONE session keyring: 122"],
    ["a channel", [rule("socketpair", 97)], NOTHING, {}, "CLONE: 97"],
    ["credentials on it", [rule("setsockopt", 92)], NOTHING, {}, "CLONE: 92"],
    ["the pipe of an init", [rule("pipe2", EMFILE)], FORKED, BOX, "CLONE: 24"],
    ["shared memory", [rule("mmap", 12, { arg: 3, is: 0x21 })], NOTHING, {}, "CLONE: 12"],
    ["news of the dead", [rule("signalfd4", EMFILE)], NOTHING, {}, "CLONE: 24"],
    ["a child", [rule("clone", 11)], NOTHING, {}, "CLONE: 11"],
    [
      "a policy to ask for",
      [rule("sched_getscheduler")],
      NOTHING,
      {},
      "INHERIT scheduling policy: 13",
    ],
    [
      "a policy to give up",
      [rule("sched_setscheduler")],
      NOTHING,
      { before: FIFO },
      "INHERIT scheduling policy: 13",
    ],
    ["a nice value to ask for", [rule("getpriority")], NOTHING, {}, "INHERIT nice value: 13"],
    [
      "a nice value to give up",
      [rule("setpriority")],
      NOTHING,
      { before: "os.setpriority(0, 0, -1)" },
      "INHERIT nice value: 13",
    ],
    ["a nice value of the plan", [rule("setpriority")], [["NICE", 21]], {}, "NICE: 13"],
    ["a priority to ask for", [rule("ioprio_get")], NOTHING, {}, "INHERIT i/o priority: 13"],
    [
      "a priority to give up",
      [rule("ioprio_set")],
      NOTHING,
      { before: io((2 << 13) | 3) },
      "INHERIT i/o priority: 13",
    ],
    [
      "a score of memory to ask for",
      [],
      NOTHING,
      {
        before: `assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
assert libc.mount(b"tmpfs", b"/proc", b"tmpfs", 0, None) == 0`,
      },
      "INHERIT /proc/self/oom_score_adj: 2",
    ],
    ["limits to ask for", [rule("prlimit64")], NOTHING, {}, "INHERIT nofile: 13"],
    [
      "a limit to give up",
      [rule("prlimit64", EACCES, SETTING)],
      NOTHING,
      { before: files(1025) },
      "INHERIT nofile: 13",
    ],
    [
      "a limit of the plan",
      [rule("prlimit64", EACCES, SETTING)],
      [["RLIMIT", 7, 50, 0]],
      { before: files(1024) },
      "RLIMIT: 13",
    ],
    [
      "a personality to give up",
      [rule("personality")],
      NOTHING,
      { before: persona(0x0040000) },
      "INHERIT personality: 13",
    ],
    [
      "its lowest digit",
      [rule("personality")],
      NOTHING,
      { before: persona(8) },
      "INHERIT personality: 13",
    ],
    ["a word to the command's init", [rule("eventfd2", EMFILE)], FORKED, BOX, "FORK eventfd: 24"],
    [
      "a process for the command",
      [rule("clone", 11, { arg: 0, not: [0x20000011] })],
      FORKED,
      BOX,
      "FORK: 11",
    ],
    ["namespaces", [rule("unshare")], [["UNSHARE", NEW.uts]], {}, "UNSHARE: 13"],
    [
      "a name",
      [rule("sethostname")],
      [["HOSTNAME", "box"]],
      { flags: NEW.uts },
      "HOSTNAME box: 13",
    ],
    ["a directory", [rule("chdir")], [["CHDIR", "/usr"]], {}, "CHDIR /usr: 13"],
    ["groups", [rule("setgroups")], [["SETGROUPS"]], {}, "SETGROUPS: 13"],
    ["a group", [rule("setresgid")], [["SETGID", 0]], {}, "SETGID: 13"],
    ["a user", [rule("setresuid")], [["SETUID", 0]], {}, "SETUID: 13"],
    ["the bounding set", [prctl(24)], [["BOUNDING", 0]], {}, "BOUNDING: 13"],
    // Not taken for the end of the kernel's list, with which nothing would be dropped.
    [
      "the bounding set, as if there were none",
      [prctl(24, 22)],
      [["BOUNDING", 0]],
      {},
      "BOUNDING: 22",
    ],
    [
      "the last capability that every kernel has",
      [rule("prctl", 22, { arg: 1, is: 40 })],
      [["BOUNDING", 0]],
      {},
      "BOUNDING: 22",
    ],
    ["securebits", [prctl(28)], [["SECUREBITS", 0]], {}, "SECUREBITS: 13"],
    ["the ambient set", [prctl(47)], [["AMBIENT", 0]], {}, "AMBIENT: 13"],
    ["capabilities to ask for", [rule("capget")], [["AMBIENT", 0]], {}, "AMBIENT: 13"],
    ["capabilities to ask for, of all sets", [rule("capget")], [["CAPS", 0]], {}, "CAPS: 13"],
    ["inheritable ones", [rule("capset")], [["AMBIENT", 1]], {}, "AMBIENT: 13"],
    [
      "inheritable ones, beyond the first 32",
      [rule("capset")],
      [["AMBIENT", 1n << 32n]],
      {},
      "AMBIENT: 13",
    ],
    ["capabilities", [rule("capset")], [["CAPS", 0]], {}, "CAPS: 13"],
    ["no new privileges", [prctl(38)], [["NO_NEW_PRIVS"]], {}, "NO_NEW_PRIVS: 13"],
    ["a filter", [rule("seccomp")], [["SECCOMP", OPEN]], {}, "SECCOMP: 13"],
    [
      "a filter with a listener",
      [rule("seccomp")],
      [
        ["VERDICTS", OPEN],
        ["SECCOMP_LISTENER", OPEN],
      ],
      {},
      "SECCOMP_LISTENER: 13",
    ],
    [
      "its listener for the supervisor",
      [rule("pidfd_getfd")],
      [
        ["VERDICTS", OPEN],
        ["SECCOMP_LISTENER", OPEN],
      ],
      {},
      "SECCOMP_LISTENER pidfd_getfd: 13",
    ],
    [
      "the sizes of what it says",
      [rule("seccomp", EACCES, { arg: 0, is: 3 })],
      [
        ["VERDICTS", OPEN],
        ["SECCOMP_LISTENER", OPEN],
      ],
      {},
      "SECCOMP_LISTENER sizes of notifications: 13",
    ],
    ["a private tree of mounts", [rule("mount")], ROOT, MOUNTS, "ROOT_BEGIN /: 13"],
    ["an empty root", [rule("fsopen")], ROOT, MOUNTS, "ROOT_BEGIN tmpfs: 13"],
    ["its mode", [rule("fsconfig")], ROOT, MOUNTS, "ROOT_BEGIN tmpfs: 13"],
    [
      "its making",
      [rule("fsconfig", EACCES, { arg: 1, not: [1] })],
      ROOT,
      MOUNTS,
      "ROOT_BEGIN tmpfs: 13",
    ],
    [
      "a file system that takes its options",
      [rule("fsconfig", EACCES, { arg: 1, is: 6 })],
      [["FSMOUNT", 0, "tmpfs", "/e", "mode", "755"]],
      MOUNTS,
      "FSMOUNT tmpfs: 13",
    ],
    ["its mount", [rule("fsmount")], ROOT, MOUNTS, "ROOT_BEGIN tmpfs: 13"],
    ["its place", [rule("move_mount")], ROOT, MOUNTS, "ROOT_BEGIN /: 13"],
    ["its propagation", [rule("mount_setattr")], ROOT, MOUNTS, "ROOT_BEGIN /: 13"],
    ["a directory in it", [rule("mkdirat")], ROOT, MOUNTS, "FSMOUNT /e: 13"],
    [
      "memory for where links of a source lead",
      [rule("mmap", 12, { arg: 1, is: 256 << 10 })],
      [...MAPS, ["ROOT_BEGIN"], ["BIND", 0, 1, "/usr", "/m"], ["ROOT_END"]],
      { flags: NEW.mount | NEW.user },
      "CLONE: 12",
    ],
    [
      "memory for what is mounted below a source",
      [rule("mount_setattr", ENOSYS), rule("mmap", 12, { arg: 1, is: 4 << 20 })],
      [["ROOT_BEGIN"], ["BIND", 0, 0, "/usr", "/m"], ["ROOT_END"]],
      MOUNTS,
      "BIND /m: 12",
    ],
    ["its directory", [rule("fchdir")], ROOT, MOUNTS, "ROOT_END /: 13"],
    ["a change of root", [rule("pivot_root")], ROOT, MOUNTS, "ROOT_END /: 13"],
    ["an end of the old one", [rule("umount2")], ROOT, MOUNTS, "ROOT_END /: 13"],
    ["the top of the new one", [rule("chdir")], ROOT, MOUNTS, "ROOT_END /: 13"],
    [
      "a copy of a mount",
      [rule("open_tree")],
      [["ROOT_BEGIN"], ["BIND", 0, 0, "/usr", "/m"]],
      MOUNTS,
      "BIND /usr: 13",
    ],
    [
      "a link",
      [rule("symlinkat")],
      [["ROOT_BEGIN"], ["SYMLINK", "a", "/l"]],
      MOUNTS,
      "SYMLINK /l: 13",
    ],
    [
      "the name for a file",
      [rule("uname")],
      [["ROOT_BEGIN"], ["FILE", 0o444, 1, "/f", ""]],
      MOUNTS,
      "FILE /f: 13",
    ],
    [
      "room for what a file has in it",
      // It writes nothing of that.
      [rule("write", 0, { arg: 2, is: 1234 })],
      [["ROOT_BEGIN"], ["FILE", 0o444, 0, "/f", Buffer.from("x".repeat(1234))]],
      MOUNTS,
      "FILE /f: 28",
    ],
    [
      "the end of a file's name",
      [rule("unlinkat")],
      [["ROOT_BEGIN"], ["FILE", 0o444, 0, "/f", ""]],
      MOUNTS,
      "FILE /f: 13",
    ],
    ["a ruleset", [rule("landlock_create_ruleset")], LANDLOCK, {}, "LANDLOCK ruleset: 13"],
    ["its rule", [rule("landlock_add_rule")], LANDLOCK, {}, "LANDLOCK_PATH /: 13"],
    [
      "its rule of a port",
      [rule("landlock_add_rule", EACCES, { arg: 1, is: 2 })],
      [["NO_NEW_PRIVS"], ["LANDLOCK", 1, 0, 0], ["LANDLOCK_PORT", 1, 80]],
      {},
      "LANDLOCK_PORT port: 13",
    ],
    ["its beginning", [rule("landlock_restrict_self")], LANDLOCK, {}, "LANDLOCK_APPLY ruleset: 13"],
    [
      "the loopback of a network",
      [rule("ioctl", EACCES, { arg: 1, is: 0x8914 })],
      [["LOOPBACK"]],
      { flags: NEW.net },
      "LOOPBACK lo: 13",
    ],
    [
      "any socket for that",
      [rule("socket", 97)],
      [["LOOPBACK"]],
      { flags: NEW.net },
      "LOOPBACK lo: 97",
    ],
  ])("%s", async (_, denied, ops, direct, said) => {
    expect(await outcome(ops, { ...direct, denied })).toBe(said);
  });
});

describe.skipIf(!isRoot)("not needed", () => {
  test.each<[string, readonly Rule[], readonly WrittenOp[], Direct]>([
    ["a pipe without an init", [rule("pipe2")], NOTHING, {}],
    ["a priority of blocks that there are not", [rule("ioprio_get", ENOSYS)], NOTHING, {}],
    [
      "a priority that is the usual one",
      [rule("ioprio_set")],
      NOTHING,
      { before: io((2 << 13) | 4) },
    ],
    ["a policy that may stay", [rule("sched_setscheduler")], NOTHING, {}],
    ["a nice value that is usual", [rule("setpriority")], NOTHING, {}],
    ["a nice value where the plan has its own", [rule("getpriority")], [["NICE", 20]], {}],
    [
      "a limit that is low enough",
      [rule("prlimit64", EACCES, SETTING)],
      NOTHING,
      { before: files(1024) },
    ],
    [
      "a limit that is there",
      [rule("prlimit64", EACCES, SETTING)],
      [["RLIMIT", 7, 50, 0]],
      { before: "resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))" },
    ],
    ["a personality that is usual", [rule("personality")], NOTHING, {}],
    ["one of an ordinary user", [rule("personality")], NOTHING, { uid: 65534 }],
    [
      "capabilities that nobody has or wants",
      [rule("capset", EPERM)],
      [
        ["AMBIENT", 0],
        ["CAPS", 0],
      ],
      { uid: 65534 },
    ],
    [
      "what ends the list of capabilities",
      [rule("prctl", 22, { arg: 1, is: 41 })],
      [["BOUNDING", 0]],
      {},
    ],
    ["clone3 without a control group", [rule("clone3")], [["FORK"], ["UMASK", 0]], BOX],
  ])("%s", async (_, denied, ops, direct) => {
    expect(await outcome(ops, { ...direct, denied })).toBe(RAN);
  });
});

describe.skipIf(!isRoot).each([EPERM, ENOSYS])("in another way, where %i is said of", (errno) => {
  const fds = `import os; print([fd for fd in range(4000) if os.path.exists(f"/proc/self/fd/{fd}")])`;
  // All of these, but for that by which the list is read.
  const OPEN_FDS = "[0, 1, 2]\n";
  test("close_range: no other descriptor is left", async () => {
    const before = `
${files(4096)}
fd = os.open("/etc/passwd", os.O_RDONLY)
for to in (6, 7, 8, 9, 10, 15, 16, 255, 256, 1023, 1024, 1029, 1030, 1031, 3999): os.dup2(fd, to, True)`;
    const denied = [rule("close_range", errno)];
    for (const [ops, flags] of [
      [NOTHING, 0],
      [FORKED, NEW.pid],
    ] as const) {
      const { stdout } = await launch(ops, { before, denied, flags, argv: python(fds) });
      expect(stdout).toBe(OPEN_FDS);
    }
  });

  test("close_range: neither the supervisor nor an init holds what the command prints to", async () => {
    for (const [ops, flags] of [
      [NOTHING, 0],
      [FORKED, NEW.pid],
    ] as const) {
      const isLeft = async ({ pid, supervisor, hangUp }: Running) => {
        const output = [1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
        const holders = [supervisor, ...childrenOf(supervisor)].filter((one) => one !== pid);
        await until("they hold none of it", () =>
          holders.every((one) => !descriptorsOf(one).some((link) => output.includes(link))),
        );
        hangUp();
      };
      const denied = [rule("close_range", errno)];
      await launch(ops, { denied, flags, argv: ["/bin/sleep", "1000"], meanwhile: isLeft });
    }
  });

  test.each([
    ["one of IPv4", [2]],
    ["one of IPv4 and one of IPv6", [2, 10]],
    ["one of IPv4 and one of this machine", [1, 2]],
  ] as const)("the loopback without %s", async (_, families) => {
    const others = [1, 2, 10].filter((one) => !(families as readonly number[]).includes(one));
    const denied = [rule("socket", errno, { arg: 0, not: others })];
    const up = `import socket, struct, fcntl
one = socket.socket(socket.${others.includes(10) ? "AF_INET6" : others.includes(1) ? "AF_UNIX" : "AF_INET"}, socket.SOCK_DGRAM)
print(struct.unpack("16sh", fcntl.ioctl(one, 0x8913, struct.pack("16s16x", b"lo"))[:18])[1] & 0x41)`;
    const { stdout } = await launch([["LOOPBACK"]], { flags: NEW.net, denied, argv: python(up) });
    expect(stdout).toBe(`${0x41}\n`);
  });

  test("a hold on the command: its signals, and those of its group", async () => {
    const denied = [rule("pidfd_open", errno)];
    for (const [ops, flags] of [
      [NOTHING, 0],
      [FORKED, NEW.pid],
    ] as const)
      for (const order of [10, 0x80 | 10]) {
        const argv = sh(`trap 'exit 5' USR1; echo; while :; do sleep 0.05; done`);
        const { records } = await launch(ops, {
          ...{ flags, denied, argv },
          meanwhile: async ({ order: give, pid }) => {
            await untilCaught(pid);
            give(order);
          },
        });
        expect(records.at(-1)).toMatchObject({ kind: "ENDED", status: 5 << 8 });
      }
  });
});

describe.skipIf(!isRoot)("without any hold on the command", () => {
  const denied = [rule("pidfd_open", EMFILE)];
  const signalled = async (ops: readonly WrittenOp[], flags: number, ...orders: number[]) => {
    const argv = sh(`trap 'exit 5' USR1; trap 'exit 6' HUP; echo; while :; do sleep 0.05; done`);
    const { records } = await launch(ops, {
      ...{ flags, denied, argv },
      meanwhile: async ({ order, pid, hangUp }) => {
        await untilCaught(pid);
        order(...orders);
        // All of them are read by then.
        if (flags !== 0) hangUp();
      },
    });
    return records.at(-1)?.status;
  };
  test("a child has its signals by its number, and its group has those of a group", async () => {
    for (const order of [10, 0x80 | 10]) expect(await signalled(NOTHING, 0, order)).toBe(5 << 8);
  });
  test("in a pid namespace nobody else is signalled in its place", async () => {
    expect(await signalled(FORKED, NEW.pid, 10, 0x80 | 10)).toBe(9);
  });
});

async function untilCaught(pid: number): Promise<void> {
  await until("it catches the signal", () =>
    /SigCgt:\s*\w*[2367abef]\w\w\n/.test(readFileSync(`/proc/${pid}/status`, "utf8")),
  );
}
