/** Attacks on the file system a command sees: fakes in a writable root, ways around read-only. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { landlockAbi } from "../../ffi/landlock.ts";
import { isRoot, shell, system, users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, commands, full, py, serveSandboxes, sh, withMounts } from "./attack.ts";
import { attackersIn, file, SECRET } from "./hostile.ts";

const own = attackersIn("attack-files");
const secret = own("secret");
const ro = own("ro");
mkdirSync(join(secret, "sub"));
for (const path of ["f", "sub/f"]) file(join(secret, path), SECRET);
file(join(ro, "f"), "meant");
chmodSync(join(ro, "f"), 0o666);

/** In this root everything the operator mounts over has been replaced by the attacker. */
const fakes = own("fakes");
for (const name of ["proc", "sys", "dev", "tmp"]) symlinkSync(secret, join(fakes, name));
mkdirSync(join(fakes, "etc"));
symlinkSync(join(secret, "f"), join(fakes, "etc/null"));
symlinkSync("/proc", join(fakes, "up"));
file(join(fakes, "fakenull"), "fake");

const over = (uid: string, ...mounts: object[]) => ({
  uid,
  // It is refused at the start already.
  optional: true,
  acls,
  namespace: withMounts({ target: "/r", source: fakes, mode: "rw" }, ...mounts),
  commands: shell,
});
const config = [
  { uid: "full", acls, namespace: full, commands },
  over("proc", { target: "/r/proc", mode: "proc" }),
  over("sys", { target: "/r/sys", mode: "sys" }),
  over("dev", { target: "/r/dev", mode: "dev" }),
  over("tmp", { target: "/r/tmp", mode: "tmpfs" }),
  over("deep", { target: "/r/up/sys", mode: "tmpfs" }),
  over("null", { target: "/r/etc/null", source: "/dev/null", mode: "rw" }),
  over("made", { target: "/r/proc/x", source: "echo x", mode: "execfd" }),
  over("fakenull", { target: "/r/fakenull", source: "/dev/null", mode: "rw" }),
  ...["daemon", "root"].map((user) => ({
    uid: `hostproc${user}`,
    acls: { user },
    caps: [],
    namespace: { mounts: system },
    commands,
  })),
  {
    uid: "ro",
    acls,
    namespace: withMounts({ target: "/ro", source: ro }),
    commands,
  },
  {
    uid: "rootro",
    acls: { user: "root" },
    namespace: withMounts({ target: "/ro", source: ro }),
    commands,
  },
];

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));

  test.each(["proc", "sys", "dev", "tmp", "deep", "made"])(
    "[mounts] a target that was replaced by a link in a writable root is refused: %s",
    async (sandbox) => {
      const { request, response } = await served.call(`a/${sandbox}/sh`, { script: "echo ran" });
      expect(response).toBeUndefined();
      expect(request.info).toMatch(/ (ELOOP|ENOTDIR)/);
      expect(
        Bun.spawnSync(["find", secret, "-mindepth", "1"]).stdout.toString().split("\n").toSorted(),
      ).toEqual(["", join(secret, "f"), join(secret, "sub"), join(secret, "sub/f")]);
    },
  );

  test.each(["null", "fakenull"])(
    "[mounts] a fake of /dev/null in a writable root is refused or covered by the device: %s",
    async (sandbox) => {
      const path = sandbox === "null" ? "/r/etc/null" : "/r/fakenull";
      const { request, response } = await served.call(`a/${sandbox}/sh`, {
        script: `stat -Lc %t:%T ${path}; cat ${path}`,
      });
      if (request.status !== "success") expect(request.info).toMatch(/ELOOP|ENOTDIR/);
      else expect(response).toMatchObject({ stdout: ["1:3"] });
    },
  );

  test.each(["ro", "rootro"])(
    "[mounts] what is read-only stays so, whatever is tried on the mount: %s",
    async (sandbox) => {
      const { lines } = await py(
        served,
        sandbox,
        `
tried = {}
def write(how):
    r = attempt(os.open, "/ro/f", os.O_WRONLY | os.O_TRUNC)
    if not isinstance(r, str): os.close(r); print("wrote after", how)
write("nothing")
MS_REMOUNT, MS_BIND = 32, 4096
call("mount", None, b"/ro", None, MS_REMOUNT | MS_BIND, None); write("remount")
call("mount", None, b"/ro", None, MS_REMOUNT, None); write("remount of the file system")
class attr(ctypes.Structure): _fields_ = [(n, ctypes.c_uint64) for n in ("set", "clr", "propagation", "userns")]
call("mount_setattr", -100, b"/ro", 0, ctypes.byref(attr(0, 1, 0, 0)), 32); write("mount_setattr")
call("mount", b"/ro", b"/tmp", None, MS_BIND, None); call("mount", None, b"/tmp", None, MS_REMOUNT | MS_BIND, None)
if not isinstance(attempt(os.open, "/tmp/f", os.O_WRONLY | os.O_TRUNC), str): print("wrote through a copy")
if call("open_tree", -100, b"/ro", 1) == "ok":
    tree = call.result
    call("mount_setattr", tree, b"", 0x1000, ctypes.byref(attr(0, 1, 0, 0)), 32)
    if not isinstance(attempt(lambda: os.open("f", os.O_WRONLY | os.O_TRUNC, dir_fd=tree)), str): print("wrote through a tree")
call("umount2", b"/ro", 2)
print(open("/ro/f").read().strip() if os.path.exists("/ro/f") else "gone")`,
      );
      file(join(ro, "f"), "meant");
      expect(lines).toEqual(["meant"]);
    },
  );

  test.each(["hostprocdaemon", "hostprocroot"])(
    "[mounts] settings and secrets of the kernel are out of reach in the host's proc too: %s",
    async (sandbox) => {
      const { lines } = await py(
        served,
        sandbox,
        `
print(len([name for name in os.listdir("/proc") if name.isdigit()]) > 2)
for name in ("sys/kernel/domainname", "sys/kernel/core_pattern", "sys/vm/drop_caches", "irq/default_smp_affinity"):
    if os.path.exists("/proc/" + name): print(attempt(os.open, "/proc/" + name, os.O_WRONLY | os.O_TRUNC) in ("EROFS", "EACCES", "EPERM"))
# Covered by the null device, which takes everything.
if os.path.exists("/proc/sysrq-trigger"): print(os.stat("/proc/sysrq-trigger").st_rdev == os.makedev(1, 3))
print(open("/proc/kallsyms").read(1) if os.path.exists("/proc/kallsyms") else "")`,
      );
      expect(new Set(lines)).toEqual(new Set(["True", ""]));
    },
  );

  test.skipIf(landlockAbi() < 1)(
    "[landlock] a link that a command leaves in a place of its own opens nothing for the next launch",
    async () => {
      const outer = own(`outer-${user.length}`);
      mkdirSync(join(outer, "inner"));
      chmodSync(join(outer, "inner"), 0o777);
      const sandbox = {
        uid: "land",
        acls,
        landlock: {
          exec: ["/usr", "/bin", "/lib", "/lib64", "/etc"],
          rw: [outer, join(outer, "inner")],
        },
        commands,
      };
      await using other = await serveSandboxes([sandbox], { user });
      const script = `cat ${secret}/f 2>/dev/null || echo denied; rmdir ${outer}/inner; ln -s ${secret} ${outer}/inner && echo linked`;
      expect((await sh(other, "land", script)).lines).toEqual(["denied", "linked"]);
      const { request, response } = await other.call("a/land/sh", { script: `cat ${secret}/f` });
      expect(response).toBeUndefined();
      expect(request.info).toContain(`landlock path ${outer}/inner: ELOOP`);
    },
  );

  test("[mounts] nothing can be mounted, unmounted or pivoted, and the old root is gone", async () => {
    const { lines } = await py(
      served,
      "full",
      `
print(call("mount", b"none", b"/tmp", b"tmpfs", 0, None), call("mount", b"/usr", b"/tmp", None, 4096, None), call("fsopen", b"tmpfs", 0),
  call("open_tree", -100, b"/usr", 1), call("umount2", b"/tmp", 2), call("umount2", b"/", 2), call("pivot_root", b"/tmp", b"/tmp"), call("chroot", b"/tmp"))
print(sorted(os.listdir("/../..")), sorted(os.listdir("/proc/self/root/..")))
print([l.split()[4] for l in open("/proc/self/mountinfo") if not l.split()[4].startswith(("/usr", "/dev", "/proc", "/tmp"))])
print(call("mknodat", -100, b"/tmp/disk", 0o60666, 0x0801), call("open_by_handle_at", 0, ctypes.create_string_buffer(b"\\x08\\0\\0\\0\\x01", 128), 0))`,
    );
    const root = "['bin', 'dev', 'lib', 'lib64', 'proc', 'tmp', 'usr']";
    expect(lines).toEqual([
      Array(8).fill("EPERM").join(" "),
      `${root} ${root}`,
      "['/']",
      expect.stringMatching(/^EPERM E/),
    ]);
  });

  test("[mounts] everything is nosuid and nodev but the minimal /dev", async () => {
    const { lines } = await sh(
      served,
      "full",
      "while read -r _ _ _ _ at options _; do case $options in *nosuid*nodev*) ;; *nosuid*) echo $at;; *) echo suid $at;; esac; done < /proc/self/mountinfo",
    );
    for (const line of lines) expect(line).toMatch(/^\/(dev|proc)\b/);
  });
});

describe.if(isRoot)("served by root", () => {
  test("[mounts] read-only reaches the mounts below the source", async () => {
    const below = join(ro, "below");
    mkdirSync(below);
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "mode=777", "none", below]).success).toBe(
      true,
    );
    try {
      await using served = await serveSandboxes(config, { user: "root" });
      const { lines } = await sh(
        served,
        "ro",
        "stat -f -c %T /ro/below; (echo x > /ro/below/f) 2>/dev/null || echo refused",
      );
      expect(lines).toEqual(["tmpfs", "refused"]);
    } finally {
      Bun.spawnSync(["umount", below]);
    }
  });
});
