/** What each action of a filter does to who makes the call: as root and as an ordinary user. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { compileFilter } from "../../ffi/libseccomp.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, full, py, python, serveSandboxes } from "./attack.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-seccomp-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));

const RULES = {
  acct: "SCMP_ACT_TRAP",
  swapon: "SCMP_ACT_ERRNO(4094)",
  quotactl: "SCMP_ACT_ERRNO(EXDEV)",
  getsid: "SCMP_ACT_LOG",
  sethostname: "SCMP_ACT_KILL_PROCESS",
  settimeofday: "SCMP_ACT_KILL_THREAD",
};
const rules = Object.entries(RULES).map(([syscall, action]) => ({ syscall, action }));
const BAD_CALL = "Bad system call";

/** The same rules as a file of compiled BPF. */
function compiled(): string {
  const { arch } = process;
  if (arch !== "x64" && arch !== "arm64") throw new Error(`no filters for ${arch}`);
  const file = join(dir, "filter.bpf");
  const numbered = rules.map(({ syscall, action }) => ({
    syscall,
    action: parseAction(action),
    args: [],
  }));
  writeFileSync(file, compileFilter(parseAction("SCMP_ACT_ALLOW"), numbered, arch), {
    mode: 0o644,
  });
  return file;
}

const filters = {
  rules: { seccomp: { default: "SCMP_ACT_ALLOW", rules } },
  boxed: { seccomp: { default: "SCMP_ACT_ALLOW", rules }, namespace: full },
  rulespath: { seccomp: { rulespath: compiled() } },
};
const config = Object.entries(filters).map(([uid, filter]) => ({
  uid,
  acls,
  ...filter,
  commands: python,
}));
/** Calls in a second thread, and then in the first as soon as the second has gone or is done. */
const threaded = (name: string) => `
import threading
threading.Thread(target=lambda: call("${name}", 0, 0), daemon=True).start()
while len(os.listdir("/proc/self/task")) > 1: time.sleep(0.01)
print("alone", flush=True)
os._exit(0)`;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));

  describe.each(Object.keys(filters))("filter from %s", (sandbox) => {
    const run = (script: string) => py(served, sandbox, script);

    test("ERRNO fails the call with any errno, LOG lets it go on", async () => {
      const { lines, status } = await run(`
libc.syscall(ctypes.c_long(NUMBERS["swapon"][ARM]), 0, 0)
print(ctypes.get_errno(), call("quotactl", 0, 0, 0, 0), os.getsid(0) == os.getpid())`);
      expect({ lines, status }).toMatchObject({ lines: ["4094 EXDEV True"], status: { exit: 0 } });
    });

    test("TRAP sends a SIGSYS that the command may handle", async () => {
      const handled = await run(`
signal.signal(signal.SIGSYS, lambda number, _: print("trapped", number))
call("acct", 0)
print("goes on")`);
      expect(handled).toMatchObject({
        lines: [`trapped ${constants.signals.SIGSYS}`, "goes on"],
        status: { exit: 0 },
      });
      const { lines, status } = await run('call("acct", 0)\nprint("goes on")');
      expect({ lines, status }).toMatchObject({ lines: [], status: { signal: BAD_CALL } });
    });

    test("KILL_THREAD ends the caller alone, KILL_PROCESS all of it; neither can be handled", async () => {
      const thread = await run(threaded("settimeofday"));
      expect(thread).toMatchObject({ lines: ["alone"], status: { exit: 0 } });
      const process = await run(threaded("sethostname"));
      expect(process).toMatchObject({ lines: [], status: { signal: BAD_CALL } });
      for (const name of ["settimeofday", "sethostname"]) {
        const { lines, status } = await run(`
signal.signal(signal.SIGSYS, lambda *_: print("handled"))
call("${name}", 0, 0)
print("goes on")`);
        expect({ lines, status }).toMatchObject({ lines: [], status: { signal: BAD_CALL } });
      }
    });
  });
});
