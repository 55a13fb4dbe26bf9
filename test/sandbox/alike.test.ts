/**
 * A command sees the same however it is launched: one sandbox for each feature, and one that uses all at once. What looks must see
 * each feature, or it could not tell that one is missing.
 */
import { describe, expect, test } from "bun:test";
import { landlockAbi } from "../../ffi/landlock.ts";
import { isRoot, shell, system, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import { childrenOf, py, python, serveSandboxes } from "./attack.ts";

const LOOK = `
import resource, socket, struct, fcntl, termios
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
for key in "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters SigBlk SigIgn SigCgt SigPnd".split():
    print(key, status.get(key, "").strip())
for name, option in dict(securebits=27, dumpable=3, slack=30, keepcaps=7).items(): print(name, libc.prctl(option, 0, 0, 0, 0))
mask = os.umask(0)
print("umask", oct(mask), "cwd", os.getcwd(), "nice", os.getpriority(0, 0), "policy", os.sched_getscheduler(0), "cpus", sorted(os.sched_getaffinity(0)))
for number in range(16): print("limit", number, resource.prlimit(0, number))
print("leads", os.getpid() == os.getsid(0), os.getpid() == os.getpgid(0))
print("env", sorted((k, v) for k, v in os.environ.items()))
print("argv", sys.argv)
fds = {}
for fd in range(64):
    try: fds[fd] = (os.fstat(fd).st_mode >> 12, fcntl.fcntl(fd, fcntl.F_GETFD), fcntl.fcntl(fd, fcntl.F_GETFL) & 0o3, os.isatty(fd))
    except OSError: pass
print("fds", fds)
if os.isatty(1): print("terminal", struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, b" " * 8))[:2], termios.tcgetattr(1)[:4])
print("hostname", socket.gethostname())
# Landlock, mounts and permissions, as far as they can be told from what they allow.
for path in ["/", "/etc/passwd", "/etc/hostname", "/usr/bin/true", "/tmp", "/var", "/dev/null", "/dev/mem", "/proc/1", "/proc/kallsyms", "/proc/sys/kernel/hostname", "/sys", "/made", "/own", "/mq", "/etc/hosts"]:
    print(path, attempt(lambda: oct(os.lstat(path).st_mode)), attempt(lambda: bool(os.listdir(path)) if os.path.isdir(path) else len(open(path, "rb").read(9))))
for path in ["/tmp/x-${process.pid}", "/own/x", "/x", "/usr/x"]: print(path, attempt(lambda: oct(os.fstat(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666)).st_mode)), attempt(lambda: os.unlink(path)))
print("truncate", attempt(lambda: os.truncate("/etc/passwd", 0)) if os.geteuid() else "-")
for family in (1, 2, 10, 16, 17, 38, 40): print("socket", family, attempt(lambda: socket.socket(family, 2 if family != 16 else 3).close()))
def connects(port):
    with socket.socket() as s: return s.connect_ex(("127.0.0.1", port))
print("connect", attempt(connects, 1), attempt(connects, 2))
print("calls", call("unshare", 0x10000000), call("mount", 0, 0, 0, 0, 0), call("ptrace", 16, 1, 0, 0), call("keyctl", 0, -3, 0), call("sethostname", b"x", -1), call("reboot", 0, 0, 0, 0), call("add_key", 0, 0, 0, 0, 0))
try: text = open("/proc/self/mountinfo").read()
except OSError as e: text = e.strerror
import re
def mount(line):
    own, super = line.split(" - ")
    return " ".join(own.split()[3:6] + super.split()[:2])
print("mounts", sorted(re.sub(r"\\d{4,}", "N", mount(line)) for line in text.splitlines() if " - " in line))
print("processes", len([p for p in os.listdir("/proc") if p.isdigit()]) < 9 if os.path.isdir("/proc") else "-")
for lock in ("/locked",):
    if os.path.exists(lock): print("lock", attempt(lambda: fcntl.lockf(open(lock, "rb"), fcntl.LOCK_SH | fcntl.LOCK_NB)))
`;

const acls = { user: "daemon", chdir: "/" };
const deny = (...names: string[]) => ({
  default: "SCMP_ACT_ALLOW",
  rules: names.map((syscall) => ({ syscall, action: "SCMP_ACT_ERRNO(EXDEV)" })),
});
const mounts = (...more: object[]) => ({
  shares: { all: "disable" },
  mounts: [...system, ...more],
});
const terminal = { commands: [{ ...python, pty: { cols: 91, rows: 7 } }] };
const lock = {
  exec: ["/usr", "/bin", "/lib", "/lib64"],
  ro: ["/etc/passwd", "/proc", "/dev"],
  rw: ["/dev/null", "/tmp"],
  ...(landlockAbi() >= 4 && { connectTcp: [1] }),
};

/** Beside nothing, each changes something that is seen. */
const features: Readonly<Record<string, object>> = {
  umask: { acls: { ...acls, umask: "0137" } },
  nice: { acls: { ...acls, nice: 19 } },
  chdir: { acls: { ...acls, chdir: "/usr/share" } },
  path: { acls: { ...acls, path: "/usr/bin:/somewhere" } },
  envs: {
    envs: [
      { name: "*", mode: "unset" },
      { name: "A", value: "b c" },
    ],
  },
  limits: { limits: { nofile: 99, core: 0, nproc: 300 } },
  calls: { seccomp: deny("reboot", "sethostname", "keyctl") },
  told: { seccomp: { ...deny("reboot", "sethostname"), report: true } },
  families: { network: { families: ["AF_UNIX", "AF_INET"] } },
  users: { namespace: { shares: { users: "disable" } } },
  capabilities: { caps: ["NET_RAW"], namespace: { shares: { users: "disable", net: "disable" } } },
  hostname: { namespace: { shares: { uts: "disable" }, opts: { hostname: "a-box" } } },
  network: { namespace: { shares: { net: "disable" } } },
  processes: { namespace: { shares: { all: "disable" }, mounts: system } },
  files: {
    namespace: mounts(
      { target: "/made", mode: "execfd", source: "echo made" },
      { target: "/own", mode: "dir" },
      { target: "/mq", mode: "mqueue" },
      { target: "/sys", mode: "sys" },
      { target: "/etc/hosts", mode: "hosts" },
      { target: "/locked", source: "/etc/passwd" },
      { target: "/locked", mode: "lock" },
    ),
  },
  terminal,
  ...(isRoot && {
    groups: { acls: { ...acls, groups: ["1", "12345"] } },
    raising: { acls: { ...acls, newPrivs: true } },
    root: { acls: { user: "root", chdir: "/" }, caps: ["KILL", "SETUID"] },
  }),
  ...(landlockAbi() > 0 && { landlock: { landlock: lock } }),
};
/** Those that only root's server can have, or that do nothing for an ordinary one. */
const ROOTS = ["groups", "root"];
const everything = {
  acls: { ...acls, umask: "0137", nice: 19, chdir: "/tmp", path: "/usr/bin:/somewhere" },
  envs: [
    { name: "*", mode: "unset" },
    { name: "A", value: "b c" },
  ],
  limits: { nofile: 99, core: 0, nproc: 300 },
  caps: ["NET_RAW", "CHOWN"],
  seccomp: { ...deny("reboot", "sethostname", "keyctl"), report: true },
  network: { families: ["AF_UNIX", "AF_INET"] },
  namespace: {
    ...mounts(
      { target: "/made", mode: "execfd", source: "echo made" },
      { target: "/own", mode: "dir" },
      { target: "/etc/passwd" },
    ),
    opts: { hostname: "a-box" },
  },
  ...(landlockAbi() > 0 && { landlock: { ...lock, rw: [...lock.rw, "/own"] } }),
  ...terminal,
};

const sandboxes = Object.entries({ nothing: {}, everything, ...features }).map(([uid, more]) => ({
  ...{ uid, acls, commands: [python] },
  ...more,
}));
const POOL = 1;

describe.each(users)("served by %s", (user) => {
  const served = serving(() =>
    serveSandboxes(
      [
        ...sandboxes.map((one) => ({ ...one, uid: `warm-${one.uid}`, pool: POOL })),
        ...sandboxes.map((one) => ({ ...one, uid: `cold-${one.uid}` })),
        { uid: "idle", acls, commands: [shell] },
      ],
      { user },
    ),
  );
  const seen = async (way: "warm" | "cold", uid: string) => {
    const { lines, errors } = await py(served, `${way}-${uid}`, LOOK);
    return { lines: lines.map((line) => line.replaceAll(/(?:warm|cold)-/g, "")), errors };
  };

  let plain: ReturnType<typeof seen> | undefined;
  const nothing = () => (plain ??= seen("cold", "nothing"));

  // What is only seen as root is.
  const tried = sandboxes
    .map(({ uid }) => uid)
    .filter((uid, row) =>
      ROOTS.includes(uid) && isRoot && process.env["CI"] === undefined
        ? user === "root"
        : isTried(row, user, users),
    );
  test.each(tried)("[warm sandboxes] with and without a pool: %s", async (uid) => {
    await until(
      "the pools are full",
      () => childrenOf(served.pid).length >= sandboxes.length * POOL,
    );
    const [warm, cold] = [await seen("warm", uid), await seen("cold", uid)];
    expect(warm).toEqual(cold);
    expect(cold.lines.length).toBeGreaterThan(40);
    if (uid === "nothing" || (user !== "root" && ROOTS.includes(uid))) return;
    // The feature is seen.
    expect((await nothing()).lines).not.toEqual(cold.lines);
  });
});
