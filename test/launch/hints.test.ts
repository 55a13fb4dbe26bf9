/** Each step of a launch, each errno: there are words for it, in the terms of where the server is. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { errnoName } from "../../ffi/errno.ts";
import { OP, type OpName } from "../../ffi/launcher/layout.ts";
import type { Confinement } from "../../src/launch/confinement.ts";
import { confinement } from "../../src/launch/confinement.ts";
import { hint, killed } from "../../src/launch/hints.ts";
import { lowerLimits } from "../../src/launch/lower-limits.ts";
import { fatalLine } from "../../src/unexpected.ts";
import { localMounts } from "../../src/launch/refused-program.ts";
import { LaunchError } from "../../src/launch/task.ts";

const ALL = (1n << 41n) - 1n;
const place = (
  more: Partial<Confinement> & { settings?: Record<string, string> } = {},
): Confinement => ({
  filtered: false,
  noNewPrivs: false,
  caps: ALL,
  label: undefined,
  isUnit: false,
  container: undefined,
  fewIds: false,
  foreignProc: false,
  readOnlySettings: false,
  setting: (name) => more.settings?.[name],
  hardLimit: () => "512",
  ...more,
});
const say = (step: OpName, errno: string, here: Confinement, what = "", plan?: object) =>
  hint({ step, errno, what, plan: plan as never }, here);

const STEPS = Object.keys(OP) as OpName[];

test("each errno that has words is called as a failed launch calls it", async () => {
  const names = new Set(Array.from({ length: 200 }, (_, number) => errnoName(number)));
  for (const file of ["hints.ts", "namespace-hints.ts"]) {
    const source = await Bun.file(join(import.meta.dir, "../../src/launch", file)).text();
    const keys = [...source.matchAll(/\b(E[A-Z0-9]{3,}): /g)].map(([, name = ""]) => name);
    expect(keys.length).toBeGreaterThan(5);
    expect(keys.filter((name) => !STEPS.includes(name as OpName) && !names.has(name))).toEqual([]);
  }
});

test.each(["EPERM", "EACCES", "ENOSYS", "ENOMEM", "EMFILE", "EROFS", "EINVAL", "ENOENT", "EIO"])(
  "%s has words for each step: never empty, never only the errno",
  (errno) => {
    for (const here of [
      place(),
      place({ filtered: true, isUnit: true }),
      place({ container: "docker", caps: 0n }),
    ])
      for (const step of STEPS) {
        const words = say(step, errno, here, "/some/where");
        expect(words.length).toBeGreaterThan(20);
        expect(words).not.toMatch(/undefined|see \w+\(2\)|^E[A-Z]+$/);
      }
  },
);

describe("the cause that is here, and the option of it", () => {
  test("a missing capability is named before a filter", () => {
    const here = place({ caps: 0n, filtered: true, isUnit: true });
    expect(say("BOUNDING", "EPERM", here)).toContain("lacks CAP_SETPCAP");
    expect(say("ROOT_BEGIN", "EPERM", { ...here, container: "docker" })).toContain(
      "--cap-add SYS_ADMIN",
    );
  });
  test("in a unit those of the unit, in a container both", () => {
    const unit = say("CLONE", "EPERM", place({ filtered: true, isUnit: true }));
    expect(unit).toContain("RestrictNamespaces=no");
    expect(unit).not.toContain("--cap-add");
    const both = say(
      "CLONE",
      "EPERM",
      place({ filtered: true, isUnit: true, container: "podman" }),
    );
    expect(both).toMatch(/--security-opt.*RestrictNamespaces=no/);
  });
  test("the session keyring, personality, a masked proc and a read-only setting have their own", () => {
    const here = place({ filtered: true });
    expect(say("CLONE", "EPERM", here, "session keyring")).toContain("SystemCallFilter=@keyring");
    expect(say("CLONE", "EDQUOT", here, "session keyring")).toContain("kernel.keys.maxkeys");
    expect(say("INHERIT", "EPERM", here, "personality")).toContain("LockPersonality=no");
    expect(say("FSMOUNT", "EPERM", place(), "proc")).toMatch(
      /ProtectKernelTunables=no.*systempaths=unconfined/,
    );
    expect(say("SETTING", "EROFS", place(), "/proc/sys/user/max_user_namespaces")).toContain(
      "ProtectKernelTunables=no",
    );
  });
  test("what is read-only is the kernel's, or somebody's directory", () => {
    for (const path of ["/proc", "/proc/x", "/sys", "/sys/fs/cgroup"])
      expect(say("UID_MAP", "EROFS", place(), path)).toContain("ProtectKernelTunables=no");
    for (const path of ["/process", "/system/x", "/srv/proc", "sys"])
      expect(say("UID_MAP", "EROFS", place(), path)).toContain(
        `${path} is read-only here: make it where it comes from, or mount a tmpfs above it`,
      );
  });
  test("sysctls with their values", () => {
    const user = { policy: { namespaces: new Set(["user"]), rlimits: [] } };
    const off = place({ settings: { "user.max_user_namespaces": "0" } });
    expect(say("CLONE", "ENOSPC", off, "", user)).toContain("user.max_user_namespaces is 0");
    const ubuntu = place({ settings: { "kernel.apparmor_restrict_unprivileged_userns": "1" } });
    for (const step of ["CLONE", "UID_MAP", "ROOT_BEGIN", "BIND"] as const)
      expect(say(step, "EPERM", ubuntu, "", user)).toContain(
        "apparmor_restrict_unprivileged_userns is 1",
      );
    const debian = place({ settings: { "kernel.unprivileged_userns_clone": "0" } });
    expect(say("CLONE", "EPERM", debian, "", user)).toContain("unprivileged_userns_clone=1");
    // Root makes its namespaces without one.
    const root = { policy: { namespaces: new Set(["pid"]), rlimits: [] } };
    expect(say("CLONE", "EPERM", debian, "", root)).not.toContain("userns_clone");
    const noexec = place({ settings: { "vm.memfd_noexec": "2" } });
    expect(hint({ step: "MEMFD", errno: "EACCES", what: "" }, noexec)).toBe(
      "vm.memfd_noexec=2 forbids the launcher: sysctl vm.memfd_noexec=1 (or 0)",
    );
  });
  test("limits with both values", () => {
    const plan = {
      policy: {
        namespaces: new Set(),
        rlimits: [
          [7, 1024n],
          [8, -1n],
          [0, 10n],
        ],
      },
    };
    expect(say("RLIMIT", "EPERM", place(), "", plan)).toMatch(
      /limits\.nofile is 1024, .* hard limit is 512: LimitNOFILE=1024.*limits\.memlock is unlimited.*LimitMEMLOCK=infinity/,
    );
    expect(lowerLimits([[7, 1024n]], place({ container: "docker" }))[0]).toContain(
      "--ulimit nofile=1024",
    );
    expect(lowerLimits([[7, 100n]], place())).toEqual([]);
  });
  test("an id that is not mapped", () => {
    const here = place({ fewIds: true, container: "podman" });
    expect(say("SETUID", "EINVAL", here)).toContain("/etc/subuid");
    expect(say("SETGROUPS", "EINVAL", place())).toContain("does not exist in the user namespace");
  });
  test("a signal that ended the launcher", () => {
    expect(killed(place({ isUnit: true }), "SIGSYS")).toContain("SystemCallErrorNumber=EPERM");
    expect(killed(place(), "SIGKILL")).toContain("out of memory");
  });
});

test("what confines this process can be read", () => {
  const here = confinement();
  expect(here.hardLimit("Max open files")).toMatch(/^(\d+|unlimited)$/);
  expect(here.setting("kernel.ostype")).toBe("Linux");
  expect(here.setting("none.such")).toBeUndefined();
});

test("what ends the program is one line; what is no bug is not called one", () => {
  const bug = fatalLine("spawnbox serve", new TypeError("x is\nnot a function"));
  expect(bug).toMatch(
    /^spawnbox serve: failed unexpectedly: TypeError: x is\\u000anot a function\. .*report.*SPAWNBOX_DEBUG=1/,
  );
  expect(bug).not.toContain("\n");
  expect(fatalLine("spawnbox run", new LaunchError("memfd", "x", "EACCES", "why"))).toBe(
    "spawnbox run: memfd x: EACCES: why",
  );
  expect(fatalLine("spawnbox run", new TypeError("bun:ffi requires the JIT"))).toContain(
    "MemoryDenyWriteExecute=no",
  );
});

test("which paths are on file systems that answer, without asking them", () => {
  const isLocal = localMounts(
    [
      "3 1 0:6 / /mnt/a\\040b/in rw - tmpfs none rw",
      "2 1 0:5 / /mnt/a\\040b rw shared:1 - fuse.sshfs host rw",
      "4 1 0:6 / /tmp rw - tmpfs none rw",
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
      "",
    ].join("\n"),
  );
  expect(["/", "/mnt", "/tmp/x", "/mnt/a bc"].filter(isLocal).length).toBe(4);
  // The second may be on top of the first.
  expect(["/mnt/a b/x", "/mnt/a b", "/mnt/a b/in/y"].filter(isLocal)).toEqual([]);
  expect(localMounts("")("/")).toBe(false);
});

test.each(["throw", "reject"])(
  "what nobody catches (%s) is one line, and ends the program",
  (how) => {
    const code = `
    import { endOnUnexpected } from ${JSON.stringify(join(import.meta.dir, "../../src/unexpected.ts"))};
    endOnUnexpected("spawnbox serve");
    setInterval(() => {}, 1000);
    if ("${how}" === "throw") setTimeout(() => { throw new RangeError("a\\nb"); });
    else void Promise.reject(new RangeError("a\\nb"));`;
    const run = (env: Record<string, string>) => {
      const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", code], { env });
      expect(exitCode).toBe(1);
      return stderr.toString();
    };
    expect(run({})).toMatch(/^spawnbox serve: failed unexpectedly: RangeError: a\\u000ab\. .*\n$/);
    expect(run({ SPAWNBOX_DEBUG: "1" })).toMatch(/\n\s+at /);
  },
);
