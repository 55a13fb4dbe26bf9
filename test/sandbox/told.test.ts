/** Calls that are told: each gets the answer that the filter as configured gives, and the outcome names it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HANDOVER_CALL } from "../../ffi/launcher/layout.ts";
import type { WireStatus } from "../../src/api/status.ts";
import { type Served, users } from "../served.ts";
import { serving } from "../serving.ts";
import {
  acls,
  answering,
  commands,
  full,
  marked,
  py as runPython,
  pythonScript,
  serveSandboxes,
} from "./attack.ts";

const rule = (syscall: string, action: string, ...args: object[]) => ({ syscall, action, args });
const RULES = [
  rule("acct", "SCMP_ACT_ERRNO(EXDEV)"),
  rule("swapon", "SCMP_ACT_ERRNO(4094)"),
  rule("getsid", "SCMP_ACT_LOG"),
  rule("quotactl", "SCMP_ACT_NOTIFY"),
  rule("sethostname", "SCMP_ACT_KILL_PROCESS"),
  rule("settimeofday", "SCMP_ACT_KILL"),
  rule("setns", "SCMP_ACT_TRAP"),
  rule("ioctl", "SCMP_ACT_ERRNO(EXDEV)", { index: 1, op: "eq", value: "0x5412" }),
  rule("ioctl", "SCMP_ACT_ERRNO(EDOM)", { index: 1, op: "eq", value: "0x541c" }),
];
const told = { default: "SCMP_ACT_ALLOW", report: true, rules: RULES };
const namespaces = {
  plain: {},
  pid: { namespace: { shares: { pid: "disable" } } },
  full: { namespace: full },
};
const places = Object.keys(namespaces);
const strict = (action: string) => ({
  default: action,
  report: true,
  rules: [rule("@system-service", "SCMP_ACT_ALLOW")],
});
const timed = commands.map((command) => ({ ...command, timeout: 2 }));
const config = [
  ...Object.entries(namespaces).map(([uid, more]) => ({
    uid,
    acls,
    ...more,
    seccomp: told,
    commands,
  })),
  { uid: "asroot", acls: { user: "root" }, seccomp: told, commands },
  { uid: "kills", acls, namespace: full, seccomp: strict("SCMP_ACT_KILL"), commands },
  { uid: "logs", acls, seccomp: { default: "SCMP_ACT_LOG", report: true }, commands },
  { uid: "tells", acls, seccomp: strict("SCMP_ACT_NOTIFY"), commands },
  { uid: "some", acls, seccomp: { ...told, report: false }, commands },
  { uid: "minimal", profile: "minimal", acls, seccomp: { report: true }, commands },
  ...Object.entries(namespaces).map(([place, more]) => ({
    uid: `${place}timed`,
    acls,
    ...more,
    seccomp: told,
    commands: timed,
  })),
];

/** Every thread of `n` processes or threads makes denied calls for ever. */
const FLOOD = `
import threading
def flood():
    while True: call("acct", 0)
`;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));
  const py = async (sandbox: string, script: string) => {
    const { lines, errors, status } = await runPython(served, sandbox, script);
    const { exit, signal, cause, syscall, denied, logged } = status as WireStatus;
    return { lines, errors, exit, signal, cause, syscall, denied, logged };
  };
  const printing = (...calls: string[]) => calls.map((one) => `print(${one})`).join("\n");

  test.each(places)(
    "[system calls] a denied call that is told has the errno of the rule, and is counted: %s",
    async (place) => {
      const seen = await py(
        place,
        `
for _ in range(300): call("acct", 0)
libc.syscall(ctypes.c_long(NUMBERS["swapon"][ARM]), 0, 0)
print(ctypes.get_errno())
${printing('call("acct", 0)', 'call("quotactl", 0, 0, 0, 0)')}
print(os.getsid(0) == os.getpid())`,
      );
      expect<object>(seen).toEqual({
        lines: ["4094", "EXDEV", "EPERM", "True"],
        errors: [],
        exit: 0,
        denied: { acct: 301, swapon: 1, quotactl: 1 },
        logged: { getsid: 1 },
      });
    },
  );

  test.each(places)("conditions on arguments are exact: %s", async (place) => {
    const { lines, denied } = await py(
      place,
      `
r, w = os.pipe()
for request in (0x5412, 0x541c, 0x5401, 0x5412 | 1 << 32): print(call("ioctl", r, ctypes.c_ulong(request), 0))`,
    );
    expect(lines).toEqual(["EXDEV", "EDOM", "ENOTTY", "EXDEV"]);
    expect(denied).toEqual({ ioctl: 3 });
  });

  test.each(places)(
    "[system calls] a call that must kill ends the whole process before it returns, and is named: %s",
    async (place) => {
      for (const [syscall, args] of [
        ["sethostname", 'b"x", 1'],
        ["settimeofday", "0, 0"],
      ] as const) {
        const script = `print("before", flush=True); call("${syscall}", ${args}); print("after")`;
        expect<object>(await py(place, script)).toEqual({
          lines: ["before"],
          errors: [],
          exit: undefined,
          signal: "Bad system call",
          cause: "seccomp",
          syscall,
          denied: { [syscall]: 1 },
        });
      }
    },
  );

  test.each(places)("so it does from a thread that is not the first: %s", async (place) => {
    const { lines, signal, syscall } = await py(
      place,
      `
import threading
t = threading.Thread(target=lambda: call("settimeofday", 0, 0)); t.start(); t.join(); print("after")`,
    );
    expect({ lines, signal, syscall }).toEqual({
      lines: [],
      signal: "Bad system call",
      syscall: "settimeofday",
    });
  });

  test.each(places)("a child that is killed is not the command: %s", async (place) => {
    const { lines, exit, syscall, denied } = await py(
      place,
      `
import threading
for _ in range(20):
    if os.fork() == 0: call("sethostname", b"x", 1); os._exit(0)
for _ in range(5):
    if os.fork() == 0:
        t = threading.Thread(target=lambda: call("settimeofday", 0, 0)); t.start(); t.join(); os._exit(0)
print({os.wait()[1] for _ in range(25)})`,
    );
    expect({ lines, exit, syscall, denied }).toEqual({
      lines: ["{9}"],
      exit: 0,
      syscall: undefined,
      denied: { settimeofday: 5, sethostname: 20 },
    });
  });

  test("a command that a signal ends after a child was killed is not said to be ended by one", async () => {
    const script = `
if os.fork() == 0: call("sethostname", b"x", 1)
os.wait(); os.kill(os.getpid(), signal.SIGKILL)`;
    expect(await py("plain", script)).toMatchObject({
      signal: "Killed",
      cause: undefined,
      syscall: undefined,
      denied: { sethostname: 1 },
    });
  });

  test("TRAP stays between a command and its handler", async () => {
    const { lines, denied } = await py(
      "plain",
      `
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: print("caught", number))
libc.signal(31, handler)
call("setns", 0, 0); call("acct", 0)`,
    );
    expect(lines).toEqual(["caught 31"]);
    expect(denied).toEqual({ acct: 1 });
  });

  test("with KILL as the default, what @system-service has not is named", async () => {
    expect(await py("kills", `call("mount", 0, 0, 0, 0, 0)`)).toMatchObject({
      signal: "Bad system call",
      cause: "seccomp",
      syscall: "mount",
      denied: { mount: 1 },
    });
    expect(await py("kills", `print("fine")`)).toMatchObject({ lines: ["fine"], exit: 0 });
  });

  test("[system calls] NOTIFY denies with EPERM, as the default too; without report nothing else is told", async () => {
    expect(await py("tells", printing(`call("mount", 0, 0, 0, 0, 0)`))).toMatchObject({
      lines: ["EPERM"],
      denied: { mount: 1 },
    });
    const some = printing(`call("acct", 0)`, `call("quotactl", 0, 0, 0, 0)`, "os.getsid(0) > 0");
    expect(await py("some", some)).toMatchObject({
      lines: ["EXDEV", "EPERM", "True"],
      denied: { quotactl: 1 },
      logged: undefined,
    });
    // The kernel's own kill, without a name.
    expect(await py("some", `call("sethostname", b"x", 1)`)).toMatchObject({
      signal: "Bad system call",
      cause: "seccomp",
      syscall: undefined,
    });
  });

  test("with LOG as the default everything works and everything is named", async () => {
    const { lines, logged, denied } = await py(
      "logs",
      `
import subprocess, threading
threads = [threading.Thread(target=lambda: [os.getppid() for _ in range(200)]) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(subprocess.run(["/bin/echo", "child"], capture_output=True).stdout)`,
    );
    expect(lines).toEqual(["b'child\\n'"]);
    expect(denied).toBeUndefined();
    expect(logged).toMatchObject({ getppid: 1600, execve: 2 });
    expect(Object.keys(logged ?? {})).toContain("openat");
  });

  test("a profile takes it too", async () => {
    expect(await py("minimal", printing(`call("unshare", 0x20000)`))).toMatchObject({
      lines: ["EPERM"],
      denied: { unshare: 1 },
    });
  });

  test("numbers that no call has are told as such, and cannot crowd others out", async () => {
    const { denied } = await py(
      "tells",
      `
for number in range(1500, 4000): call(number)
call(999); call("mount", 0, 0, 0, 0, 0)`,
    );
    expect(denied).toEqual({ mount: 1, "syscall 999": 1, other: 2500 });
    // The number that the launcher waits in is one of them.
    const handover = printing(`call(${HANDOVER_CALL})`);
    expect(await py("tells", handover)).toMatchObject({ lines: ["EPERM"], denied: { other: 1 } });
    expect(await py("logs", handover)).toMatchObject({ lines: ["ENOSYS"], denied: undefined });
    expect(await py("plain", handover)).toMatchObject({ lines: ["ENOSYS"] });
    expect(await py("kills", handover)).toMatchObject({ signal: "Bad system call" });
  });

  test("of calls that signals interrupt, those are counted that were answered, and none goes through", async () => {
    // A signal before the supervisor looks is EINTR, or a new start of the call: signal(7).
    const { lines, errors, denied } = await py(
      "plain",
      `
caught = []
signal.signal(signal.SIGALRM, lambda *_: caught.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
answers = dict(EXDEV=0, EINTR=0)
for _ in range(20000): answers[call("acct", 0)] += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(caught) > 0, sum(answers.values()), answers["EXDEV"])`,
    );
    expect(errors).toEqual([]);
    expect(lines).toEqual([`True 20000 ${denied?.["acct"]}`]);
  });

  test.each(["plain", "full"])(
    "[system calls] a flood of denied calls keeps the server answering, and is counted to the last: %s",
    async (place) => {
      const script = `
for _ in range(4):
    if os.fork() == 0:
        for _ in range(25000): call("acct", 0)
        os._exit(0)
print({os.wait()[1] for _ in range(4)})`;
      const { result } = await answering(served, py(place, script));
      expect(result).toMatchObject({ lines: ["{0}"], denied: { acct: 100_000 } });
    },
  );

  test.each(places)(
    "[process tree] denied calls without end hold up neither a time-out nor a stop: %s",
    async (place) => {
      const marker = `told-${process.pid}-${place}-${user === "root" ? "r" : "o"}`;
      const script = `${FLOOD}
# ${marker}
for _ in range(3): os.fork()
for _ in range(3): threading.Thread(target=flood).start()
flood()`;
      const timedOut = await served.run(`a/${place}timed/py`, { script: pythonScript(script) });
      expect(timedOut.status).toMatchObject({ signal: "Killed", info: "timeout" });
      expect(marked(marker)).toEqual([]);

      const running = served.run(`a/${place}/py`, { script: pythonScript(script) });
      while (marked(marker).length < 8) await Bun.sleep(20);
      await served.call(`a/${place}/py`, { action: "stop", args: { signal: "SIGKILL" } });
      expect((await running).status).toMatchObject({ signal: "Killed", cause: "stopped" });
      expect(marked(marker)).toEqual([]);
    },
  );

  test.each(places)(
    "[system calls] a command cannot answer for the supervisor, nor let its own filter decide: %s",
    async (place) => {
      // SECCOMP_SET_MODE_FILTER with one instruction that returns `action` for every call, or only for acct.
      const { lines, errors } = await py(
        place,
        `
import struct
libc.prctl(38, 1, 0, 0, 0)
SECCOMP = 277 if ARM else 317
def install(action, flags):
    code = struct.pack("<HBBI", 0x20, 0, 0, 0) + struct.pack("<HBBI", 0x15, 0, 1, NUMBERS["acct"][ARM]) + struct.pack("<HBBI", 6, 0, 0, action) + struct.pack("<HBBI", 6, 0, 0, 0x7fff0000)
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 4, ctypes.addressof(buffer)))
    return call(SECCOMP, 1, flags, program)
NOTIFY, TRACE, LOG, ALLOW = 0x7fc00000, 0x7ff00000, 0x7ffc0000, 0x7fff0000
# A listener of its own, which could let calls go on.
print(install(NOTIFY, 8))
for action in (ALLOW, LOG, TRACE): print(install(action, 0), call("acct", 0))
# Answered by nobody: denied, if with another errno.
print(install(NOTIFY, 0), call("acct", 0))
print([fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}") and "seccomp" in os.readlink(f"/proc/self/fd/{fd}")])`,
      );
      expect(errors).toEqual([]);
      expect(lines).toEqual(["EBUSY", "ok EXDEV", "ok EXDEV", "ok EXDEV", "ok ENOSYS", "[]"]);
    },
  );

  test.skipIf(process.arch !== "x64")(
    "foreign ABIs are killed by the kernel all the same",
    async () => {
      expect(await py("plain", `call(0x40000000 + 39)`)).toMatchObject({
        signal: "Bad system call",
        cause: "seccomp",
        syscall: undefined,
        denied: undefined,
      });
    },
  );

  // Where the supervisor runs as the command's own user, the command can reach it.
  const reachable = user === "root" ? "asroot" : "plain";
  test("[system calls] a command that stops or kills its supervisor gets no denied call through", async () => {
    const stopped = await py(
      reachable,
      `
import threading
os.kill(os.getppid(), signal.SIGSTOP)
t = threading.Thread(target=lambda: print(call("acct", 0), flush=True), daemon=True); t.start(); t.join(0.5)
print("waits", t.is_alive(), flush=True)
os.kill(os.getppid(), signal.SIGCONT); t.join()`,
    );
    expect(stopped).toMatchObject({ lines: ["waits True", "EXDEV"], denied: { acct: 1 } });
    const script = `
import threading
t = threading.Thread(target=lambda: [print(call("acct", 0), flush=True) for _ in range(1000)]); t.start()
os.kill(os.getppid(), signal.SIGKILL); t.join()`;
    const { lines, cause } = await py(reachable, script);
    expect(cause).toBe("supervisor");
    // The last is the encoder's, when there were too many lines.
    for (const line of lines) expect(line).toMatch(/^(EXDEV|ENOSYS|\.\.\.)$/);
  });
});

/** Without what it takes, the command never runs, and the step is named. */
describe.if(users.includes("root"))("inside a sandbox that denies it", () => {
  let dir: string;
  let served: Served;
  const file = (name: string) => join(dir, name);
  const program = join(import.meta.dir, "../../dist/spawnbox");
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-told-"));
    chmodSync(dir, 0o755);
    const inner = {
      metadata: { uid: "i", api: "i" },
      sandboxes: { uid: "s", acls: { user: "root" }, seccomp: told, commands: [commands[0]] },
    };
    writeFileSync(file("inner.json"), JSON.stringify(inner));
    const made = Bun.spawnSync([program, "compile", file("inner.json"), "-o", file("inner.plan")]);
    expect(made.stderr.toString()).toBe("");
    const run = (...source: string[]) => ({
      uid: source[0]?.slice(2),
      encoder: "sync",
      exec: {
        cmdpath: program,
        args: ["run", "--raw", "i/sh", '{"script":"echo ran"}', ...source],
      },
    });
    const nests = [run("--config", file("inner.json")), run("--plan", file("inner.plan"))];
    const outer = (uid: string, seccomp: object) => ({
      uid,
      acls: { user: "root" },
      seccomp,
      commands: nests,
    });
    served = await serveSandboxes(
      [
        outer("old", {
          default: "SCMP_ACT_ALLOW",
          rules: rule("pidfd_getfd", "SCMP_ACT_ERRNO(ENOSYS)"),
        }),
        outer("nested", told),
      ],
      { user: "root" },
    );
  });
  afterAll(async () => {
    await served?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  });
  const said = async (verb: string) => {
    const { stdout = [], stderr = [] } = await served.run(`a/${verb}`);
    return [...stdout, ...stderr].join("\n");
  };

  test("[system calls] where the listener cannot be taken over, the command never runs", async () => {
    const plan = await said("old/plan");
    expect(plan).toContain("seccomp listener pidfd_getfd: ENOSYS");
    expect(plan).not.toContain("ran");
    const loaded = await said("old/config");
    expect(loaded).toContain(
      "sandboxes[0].seccomp: calls cannot be told here: pidfd_getfd(2): ENOSYS; it needs Linux 5.6",
    );
    expect(loaded).not.toContain("ran");
  });
  test("under a filter that is told already, a second one is refused by name", async () => {
    const plan = await said("nested/plan");
    expect(plan).toContain("seccomp listener: EBUSY");
    expect(plan).not.toContain('"ran"');
  });
});
