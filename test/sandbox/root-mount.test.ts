/** A root that is the host's, read-only, with more mounted on it: nothing of the host can be written, and no way leads out. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, users } from "../served.ts";
import { serving } from "../serving.ts";
import { py, python, serveSandboxes } from "./attack.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-root-"));
mkdirSync(join(dir, "submount"));
const submount = join(dir, "submount");
if (isRoot) Bun.spawnSync(["mount", "-t", "tmpfs", "x", submount]);
afterAll(() => {
  if (isRoot) Bun.spawnSync(["umount", submount]);
  rmSync(dir, { recursive: true });
});

const acls = { user: "root" };
const mounts = [
  { target: "/" },
  { target: "/proc", mode: "proc" },
  { target: "/dev", mode: "dev" },
  { target: "/srv", mode: "dir" },
  { target: "/etc/hostname", source: "echo made", mode: "execfd" },
  { target: "/etc/hosts", mode: "hosts" },
];
const old = {
  default: "SCMP_ACT_ALLOW",
  rules: { syscall: "mount_setattr", action: "SCMP_ACT_ERRNO(ENOSYS)" },
};
/** With each, `py` is launched cold and `warm` from a pool. */
const sandboxes = [
  { uid: "mine", acls, namespace: { shares: { pid: "disable" }, mounts } },
  { uid: "users", acls, namespace: { shares: { all: "disable" }, mounts } },
  { uid: "minimal", profile: "minimal", namespace: { mounts: { target: "/" } } },
  { uid: "below", acls, namespace: { mounts: [...usable(), { target: "/host", source: "/" }] } },
].map((sandbox) => ({ ...sandbox, commands: [python, { ...python, uid: "warm", pool: 1 }] }));

function usable() {
  return ["/usr", "/bin", "/lib", "/lib64"]
    .filter((target) => existsSync(target))
    .map((target) => ({ target, mode: "ro" }));
}

/** What can be written of what is mounted, and of what is above the root. */
const LOOK = (root: string) => `
import os
points = [line.split()[4].encode().decode("unicode_escape") for line in open("/proc/self/mountinfo")]
print(sum(point == "/" for point in points), os.stat("/..").st_ino == os.stat("/").st_ino)
wrote = []
for place in sorted({*points, "/..", "/../..", "/etc", "/usr", "/run", ${JSON.stringify(submount)}, "/proc/1/root"}):
    if place.startswith("/proc/") and place != "/proc/1/root": continue
    # Mounts of other tests may not answer.
    if place.startswith("${tmpdir()}/") and place != ${JSON.stringify(submount)}: continue
    try:
        os.close(os.open("${root}" + place + "/spawnbox-written", os.O_CREAT | os.O_WRONLY)); wrote.append(place)
        os.unlink("${root}" + place + "/spawnbox-written")
    except OSError: pass
print(*wrote)`;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(sandboxes, { user }));

  test.each([
    ["mine", "/dev/shm /srv"],
    ["users", "/dev/shm /srv"],
    ["minimal", "/dev/shm /tmp"],
  ])("[mounts] a root of the host is read-only with all below it: %s", async (sandbox, wrote) => {
    for (const verb of ["py", "warm"]) {
      const { stdout, stderr } = await served.run(`a/${sandbox}/${verb}`, { script: LOOK("") });
      expect({ stdout, stderr }).toEqual({ stdout: ["1 True", wrote], stderr: undefined });
    }
  });

  test("what is mounted on it is there, and the rest is the host's", async () => {
    const script = `
print(open("/etc/hostname").read().strip(), "${hostname()}" in open("/etc/hosts").read())
import os
print(os.path.exists("${import.meta.path}"), len(open("/dev/zero", "rb").read(3)), len(os.listdir("/srv")))
print(os.getpid() < 10, os.listdir("/tmp") == [])`;
    expect((await py(served, "mine", script)).lines).toEqual([
      "made True",
      "True 3 0",
      "True False",
    ]);
    const { lines } = await py(
      served,
      "minimal",
      "import os; print(os.listdir('/tmp'), os.getpid() < 10)",
    );
    expect(lines).toEqual(["[] True"]);
  });

  test("the host's root can be shown elsewhere too", async () => {
    const { lines } = await py(
      served,
      "below",
      `import os; print(os.path.exists("/host${import.meta.path}"), attempt(os.mkdir, "/host/x"))`,
    );
    expect(lines).toEqual(["True EROFS"]);
  });
});

describe.skipIf(!isRoot)("before Linux 5.12, which has no mount_setattr", () => {
  const file = join(dir, "config.json");
  const inner = serving(() => {
    const config = {
      metadata: { uid: "a", api: "a" },
      sandboxes: sandboxes.map((one) => ({ prefix: one.uid, ...one })),
    };
    writeFileSync(file, JSON.stringify(config));
    const exec = (uid: string) => ({
      cmdpath: "/usr/bin/unshare",
      // Each mount is asked for its flags, and those of other tests may not answer.
      args: [
        ...["-m", "/bin/sh", "-c", 'umount -l "$0"/spawnbox-stalled-* 2>/dev/null; exec "$@"'],
        ...[tmpdir(), join(import.meta.dir, "../../dist/spawnbox"), "run", "--raw"],
        `a/${uid}/py`,
        JSON.stringify({ script: LOOK("") }),
        "--config",
        file,
      ],
    });
    const commands = ["mine", "users"].map((uid) => ({ uid, encoder: "sync", exec: exec(uid) }));
    return serveSandboxes([{ uid: "old", acls, seccomp: old, commands }], { user: "root" });
  });
  test.each(["mine", "users"])("[mounts] the same: %s", async (uid) => {
    const { stdout = [] } = await inner.run(`a/old/${uid}`);
    const reply = stdout.find((line) => line.includes('"afb-reply"')) ?? "null";
    expect(JSON.parse(reply)).toMatchObject({ response: { stdout: ["1 True", "/dev/shm /srv"] } });
  });
});
