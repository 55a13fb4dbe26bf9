/** What the attacks share: Python that makes raw system calls inside a sandbox, and a look at processes from outside. */
import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { descriptorsOf } from "../descriptors.ts";
import { landlockAbi } from "../../ffi/landlock.ts";
import { AGENT, FD } from "../../ffi/launcher/layout.ts";
import { isRoot, type Served, serve, type ServeOptions, shell, system, until } from "../served.ts";

/** A command that runs Python handed in by the test. */
export const python = {
  uid: "py",
  encoder: "sync",
  exec: { cmdpath: "/usr/bin/python3", args: ["-IS", "-c", "%script%"] },
} as const;

/** Whom root switches to; an ordinary server's commands stay what it is. */
export const acls = { user: "daemon", chdir: "/" };
export const full = { shares: { all: "disable" }, mounts: system };
/** All namespaces and further mounts. */
export const withMounts = (...mounts: object[]) => ({
  shares: { all: "disable" },
  mounts: [...system, ...mounts],
});
export const commands = [shell, python];
/** A sandbox with nothing but another user, and one with all namespaces. */
export const plainAndFull = [
  { uid: "plain", acls, commands },
  { uid: "full", acls, namespace: full, commands },
];

export const api = (sandboxes: readonly object[]) => ({
  metadata: { uid: "a", api: "a" },
  sandboxes: sandboxes.map((sandbox) => ({ prefix: Reflect.get(sandbox, "uid"), ...sandbox })),
});
export const serveSandboxes = (sandboxes: readonly object[], options: ServeOptions) =>
  serve(api(sandboxes), options);

/** The module behind `signal`, without the names that take a third of the interpreter's start. */
const BASE = `
import _signal as signal, errno, os, sys, time
def attempt(f, *args):
    try: return f(*args)
    except OSError as e: return errno.errorcode[e.errno]
`;

/** `call("name", …)` does a system call and gives "ok" or the name of its errno. Numbers: x86_64, then aarch64. */
const CALLS = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = os.uname().machine == "aarch64"
NUMBERS = dict(ioctl=(16,29), ptrace=(101,117), syslog=(103,116), setuid=(105,146), setgid=(106,144), setgroups=(116,159),
  setresuid=(117,147), capset=(126,91), mknodat=(259,33), pivot_root=(155,41), prctl=(157,167), chroot=(161,51), acct=(163,89),
  settimeofday=(164,170), mount=(165,40), umount2=(166,39), swapon=(167,224), reboot=(169,142), sethostname=(170,161),
  init_module=(175,105), quotactl=(179,60), add_key=(248,217), request_key=(249,218), keyctl=(250,219), clone=(56,220),
  unshare=(272,97), perf_event_open=(298,241), open_by_handle_at=(304,265), setns=(308,268), kexec_load=(246,104),
  process_vm_readv=(310,270), finit_module=(313,273), kexec_file_load=(320,294), bpf=(321,280), userfaultfd=(323,282),
  io_uring_setup=(425,425), open_tree=(428,428), move_mount=(429,429), fsopen=(430,430), pidfd_open=(434,434), clone3=(435,435),
  pidfd_getfd=(438,438), mount_setattr=(442,442), shmget=(29,194))
def call(name, *args):
    ctypes.set_errno(0)
    number = NUMBERS[name][ARM] if isinstance(name, str) else name
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    call.result = r
    return "ok" if r >= 0 else errno.errorcode[ctypes.get_errno()]
`;

export interface Seen {
  readonly lines: string[];
  readonly errors: string[];
  readonly status: { exit?: number; signal?: string; info?: string };
}

async function run(served: Served, verb: string, script: string): Promise<Seen> {
  const { stdout = [], stderr = [], status } = await served.run(verb, { script });
  return { lines: stdout, errors: stderr, status };
}
export const sh = (served: Served, sandbox: string, script: string) =>
  run(served, `a/${sandbox}/sh`, script);
export const py = (served: Served, sandbox: string, script: string) =>
  run(served, `a/${sandbox}/py`, pythonScript(script));
/** The Python for a command that is called another way. */
export const pythonScript = (script: string) =>
  BASE + (/\b(call|ctypes|libc|ARM|NUMBERS)\b/.test(script) ? CALLS : "") + script;

/** Landlock keeps signals and abstract sockets within the sandbox since its version 6. */
export const scoped = landlockAbi() >= 6;

const pids = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));
export const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
};
const stateOf = (pid: string) => /\) (\S)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? "";

/** Processes whose command line contains the marker, zombies left out. */
export const marked = (marker: string): string[] =>
  pids().filter(
    (pid) =>
      Number(pid) !== process.pid &&
      read(`/proc/${pid}/cmdline`).includes(marker) &&
      !"ZX".includes(stateOf(pid) || "X"),
  );

/** Whether a process that is {@link marked} is the launcher over a command. */
export const isSupervisor = (pid: string) => read(`/proc/${pid}/cmdline`).startsWith("spawnbox: ");

/** Of processes that are {@link marked}, those of the command: its supervisor, which has told its end, goes by itself. */
export function leftOf(marker: string): string[] {
  const others = marked(marker).filter((pid) => !isSupervisor(pid));
  // A supervisor that goes between two looks has no name in the second.
  return others.filter((pid) => marked(marker).includes(pid));
}

/** Nothing of a command is left now. */
export async function leftNothing(marker: string): Promise<void> {
  expect(leftOf(marker)).toEqual([]);
  await until("its supervisor is gone, too", () => marked(marker).length === 0);
}

const groupOf = (stat: string) => Number(/\) \S \d+ (\d+) /.exec(stat)?.[1] ?? 0);
const ownGroup = groupOf(read("/proc/self/stat"));

/**
 * Ends what an attack has left behind where a protection failed. What replaces itself for ever is killed as a group, in which it
 * stays; it is rarely seen, so only several looks tell that nothing is left.
 */
export function exterminate(marker: string): void {
  for (let round = 0, unseen = 0; round < 1000 && unseen < 10; round++) {
    unseen++;
    for (const pid of marked(marker)) {
      unseen = 0;
      const group = groupOf(read(`/proc/${pid}/stat`));
      const target = group > 1 && group !== ownGroup ? `-${group}` : pid;
      Bun.spawnSync(["kill", "-s", "KILL", "--", target], {
        stdio: ["ignore", "ignore", "ignore"],
      });
    }
  }
}

/** Of every process its children, in one look. Zombies, too. */
function families(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const pid of pids()) {
    const [, parent] = /\) \S (\d+) /.exec(read(`/proc/${pid}/stat`)) ?? [];
    if (parent === undefined) continue;
    const children = found.get(parent);
    if (children) children.push(pid);
    else found.set(parent, [pid]);
  }
  return found;
}

/** The process that launches for a server is no task's, nor is who it has made ahead. */
const isAgent = (pid: string) => read(`/proc/${pid}/cmdline`).split("\0")[0] === AGENT.NAME;

const leads = (pid: string) => /\) \S \d+ (\d+) /.exec(read(`/proc/${pid}/stat`))?.[1] === pid;

/** What forks for a server, and whom it has made ahead. */
export const launchersOf = (server: number): string[] =>
  (families().get(`${server}`) ?? []).filter(isAgent);

/** What forks for a server. */
export const agentsOf = (server: number): string[] => launchersOf(server).filter(leads);

/**
 * Changes a limit of a running server, and of what forks for it, as prlimit(1) has it: `--nofile=9:` can be raised again.
 * @param by the beginning of a command: who may
 */
export function limitServer(server: number, limit: string, by: readonly string[]): void {
  // One that goes meanwhile leaves it to the next, which has those of the server by now.
  for (const pid of [`${server}`, ...launchersOf(server)]) {
    const set = Bun.spawnSync([...by, "prlimit", `--pid=${pid}`, limit]);
    const why = set.stderr.toString();
    if (!set.success && (pid === `${server}` || !why.includes("No such process")))
      throw new Error(why);
  }
}

/** But for the agent of a server. */
export const childrenOf = (pid: number): string[] =>
  (families().get(`${pid}`) ?? []).filter((child) => !isAgent(child));

/** Children of a process, theirs, and so on, in one look, but for an agent's of a server. */
export function descendantsOf(pid: number): string[] {
  const all = families();
  const below = (of: string): string[] =>
    (all.get(of) ?? []).flatMap((child) => (isAgent(child) ? [] : [child, ...below(child)]));
  return below(`${pid}`);
}

const READS_WORDS = new RegExp(`^\\d+ 0x${FD.WORDS} `);

/** Supervisors of what waits in the pools of a server; only root sees what they wait for. */
export function waitingOf(server: number): string[] {
  const all = families();
  // In a pid namespace an init lies between.
  const waits = (pid: string): boolean =>
    READS_WORDS.test(read(`/proc/${pid}/syscall`)) || (all.get(pid) ?? []).some(waits);
  const children = (all.get(`${server}`) ?? []).filter((pid) => !isAgent(pid));
  return children.filter((pid) => !canLookInside || waits(pid));
}

/** What a server must not let grow. */
export function footprint(pid: number) {
  const fds = descriptorsOf(pid);
  const children = childrenOf(pid);
  return {
    fds: fds.length,
    memfds: fds.filter((link) => link.startsWith("/memfd:")).length,
    children: children.length,
    zombies: children.filter((id) => stateOf(id) === "Z").length,
    mounts: read(`/proc/${pid}/mountinfo`).split("\n").length,
  };
}

/** Resident memory in MiB. */
export const rss = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;

/** Pings the server until `busy` settles. Gives its result, the worst answer in ms, and by how many MiB the server grew at most. */
export async function answering<T>(
  served: Served,
  busy: Promise<T>,
): Promise<{ result: T; ping: number; grown: number }> {
  const before = rss(served.pid);
  let ping = 0;
  let most = before;
  let done = false;
  const end = () => (done = true);
  void busy.then(end, end);
  while (!done) {
    const begin = performance.now();
    const { request } = await served.call("a/ping");
    if (request.status !== "success") throw new Error(`ping: ${request.info}`);
    ping = Math.max(ping, performance.now() - begin);
    most = Math.max(most, rss(served.pid));
    await Bun.sleep(5);
  }
  return { result: await busy, ping, grown: most - before };
}

/**
 * A server cannot be looked into by others of its own user (it is not dumpable), and so not by a test that runs as one: what
 * needs its /proc/PID/fd, exe or maps runs as root, for both kinds of server.
 */
export const canLookInside = isRoot;
if (!canLookInside) {
  console.warn("run as root to look into the server: the tests that must are skipped");
}
