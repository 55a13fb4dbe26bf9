/** Attacks on privileges: set-user-id programs and file capabilities, a switch of user that fails, injected variables. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAEMON, ORDINARY } from "../accounts.ts";
import { isRoot, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import {
  acls,
  commands,
  full,
  marked,
  plainAndFull,
  py,
  python,
  serveSandboxes,
  sh,
  withMounts,
} from "./attack.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-attack-privileges-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));
const suid = join(dir, "suid");
const capable = join(dir, "capable");
copyFileSync("/usr/bin/id", suid);
chmodSync(suid, 0o6755);
copyFileSync("/usr/bin/grep", capable);
chmodSync(capable, 0o755);
const hasFileCaps =
  isRoot && Bun.spawnSync(["setcap", "cap_setuid,cap_net_raw+p", capable]).success;

const config = [
  ...plainAndFull,
  { uid: "mounted", acls, namespace: withMounts({ target: "/files", source: dir }), commands },
  {
    uid: "suidmounted",
    acls,
    namespace: withMounts({ target: "/files", source: dir, suid: true }),
    commands,
  },
  { uid: "limited", acls, commands: { ...python, limits: { nproc: 0 } } },
  { uid: "giving", acls: { user: "root" }, caps: ["SETUID", "NET_ADMIN"], commands },
  { uid: "setpcap", acls, caps: { cap: "SETPCAP" }, namespace: full, commands },
];

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));
  const roots = isRoot && user === "root";

  test.each([
    ["plain", suid],
    ["mounted", "/files/suid"],
    ["suidmounted", "/files/suid"],
  ])("[no new privileges] a set-user-id program gains nothing: %s", async (sandbox, program) => {
    const script = `os.execv("${program}", ["id"])`;
    const { lines } = await py(served, sandbox, script);
    const id = roots ? DAEMON : process.geteuid?.() || ORDINARY;
    expect(lines[0]).toContain(`uid=${id}`);
    expect(lines[0]).not.toContain("euid=");
    expect(lines[0]).not.toContain("egid=");
  });

  test.skipIf(!hasFileCaps).each([
    ["plain", capable],
    ["mounted", "/files/capable"],
    ["suidmounted", "/files/capable"],
  ])(
    "[no new privileges] a program with file capabilities gains none: %s",
    async (sandbox, program) => {
      const { lines } = await sh(served, sandbox, `${program} -E 'Cap(Eff|Prm)' /proc/self/status`);
      expect(lines.map((line) => line.split("\t")[1])).toEqual(["0".repeat(16), "0".repeat(16)]);
    },
  );

  test("[capabilities] the secure bits are locked, for who has CAP_SETPCAP too", async () => {
    const { lines } = await py(
      served,
      "setpcap",
      `
GET, SET, NOROOT, NO_SETUID_FIXUP, NO_AMBIENT = 27, 28, 1, 4, 64
bits = libc.prctl(GET)
print(hex(bits), call("prctl", SET, bits))
for other in (0, *(bits ^ b << lock for b in (NOROOT, NO_SETUID_FIXUP, NO_AMBIENT) for lock in (0, 1))):
    print(call("prctl", SET, other), end=" ")
print(hex(libc.prctl(GET)))`,
    );
    expect(lines).toEqual(["0xcb ok", `${"EPERM ".repeat(7)}0xcb`]);
  });

  test.if(user === "root")(
    "[capabilities] who gives up root may keep what it had, as ping and chronyd do, and nothing else",
    async () => {
      const { lines } = await py(
        served,
        "giving",
        `
caps = lambda: " ".join(line.split()[1].lstrip("0") or "0" for line in open("/proc/self/status") if line.startswith(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")))
print(caps())
print(call("prctl", 8, 1), call("setresuid", ${ORDINARY}, ${ORDINARY}, ${ORDINARY}), caps())
sys.stdout.flush()
os.execv("/bin/grep", ["grep", "CapPrm", "/proc/self/status"])`,
      );
      expect(lines).toEqual([
        "1080 1080 1080 1080 1080",
        "ok ok 1080 1080 0 1080 0",
        `CapPrm:\t${"0".repeat(16)}`,
      ]);
    },
  );

  test("[environment] variables that inject code do not come in through arguments", async () => {
    const names = [
      "LD_PRELOAD",
      "BASH_ENV",
      "ENV",
      "LD_LIBRARY_PATH",
      "PYTHONPATH",
      "PERL5OPT",
      "IFS",
    ];
    for (const sandbox of ["plain", "full"]) {
      for (const name of names) {
        const ignored = await served.call(`a/${sandbox}/sh`, { script: "env", [name]: "/tmp/x" });
        expect(ignored.response).toMatchObject({
          notices: [expect.stringContaining(`ignored: \`${name}\``)],
        });
        const { stdout } = ignored.response as { stdout: string[] };
        expect(stdout.join("\n")).not.toContain("/tmp/x");
        const nested = await served.call(`a/${sandbox}/sh`, {
          args: { script: "env" },
          env: { [name]: "/tmp/x" },
        });
        if (nested.request.status === "success")
          expect(JSON.stringify(nested.response)).not.toContain("/tmp/x");
      }
      const { lines } = await sh(served, sandbox, "env");
      for (const name of names) expect(lines.join("\n")).not.toContain(`${name}=`);
    }
  });

  test.if(user === "root")(
    "[identity] where the process limit denies the switch of user, the command never runs",
    async () => {
      // Executed, not only named in the command line of its launcher: before, it is nobody's process.
      const seconds = `1000.${process.pid}`;
      const other = served.call("a/plain/sh", { script: `exec sleep ${seconds}` });
      await until("it runs", () => marked(`sleep\x00${seconds}`).length > 0);
      const { request, response } = await served.call("a/limited/py", { script: "print('ran')" });
      await served.call("a/plain/sh", { action: "stop", args: { signal: 9 } });
      await other;
      expect(response).toBeUndefined();
      expect(request).toMatchObject({ status: "busy" });
      expect(request.info).toContain("EAGAIN");
    },
  );
});
