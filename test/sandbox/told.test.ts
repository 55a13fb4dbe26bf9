/** Calls that are told: each gets the answer that the filter as configured gives, and the outcome names it. */
import { describe, expect, test } from "bun:test";
import { release } from "node:os";
import { HANDOVER_CALL } from "../../ffi/launcher/layout.ts";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, commands, full, serveSandboxes } from "./attack.ts";
import { namespaces, places, rule, teller, told } from "./told.ts";

const strict = (action: string) => ({
  default: action,
  report: true,
  rules: [rule("@system-service", "SCMP_ACT_ALLOW")],
});
const config = [
  ...Object.entries(namespaces).map(([uid, more]) => ({
    uid,
    acls,
    ...more,
    seccomp: told,
    commands,
  })),
  { uid: "kills", acls, namespace: full, seccomp: strict("SCMP_ACT_KILL"), commands },
  { uid: "logs", acls, seccomp: { default: "SCMP_ACT_LOG", report: true }, commands },
  { uid: "tells", acls, seccomp: strict("SCMP_ACT_NOTIFY"), commands },
  { uid: "some", acls, seccomp: { ...told, report: false }, commands },
  { uid: "minimal", profile: "minimal", acls, seccomp: { report: true }, commands },
];

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));
  const py = teller(served);
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
    expect(await py("tells", handover)).toMatchObject({ lines: ["ENOSYS"], denied: { other: 1 } });
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
    const [caughtSome, calls, seen] = (lines[0] ?? "").split(" ");
    expect([caughtSome, calls]).toEqual(["True", "20000"]);
    const answered = denied?.["acct"] ?? 0;
    expect(answered).toBeGreaterThanOrEqual(Number(seen));
    // From Linux 5.19 on nothing comes between an answer and its call.
    const [major = 0, minor = 0] = release().split(/[.-]/).map(Number);
    if (major > 5 || (major === 5 && minor >= 19)) expect(answered).toBe(Number(seen));
  });

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
});
