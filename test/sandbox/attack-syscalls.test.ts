/** Attacks by system calls: what a missing capability or a filter must deny, foreign ABIs, typing into terminals. */
import { describe, expect, test } from "bun:test";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, commands, full, plainAndFull, py, python, serveSandboxes } from "./attack.ts";

const profiles = ["minimal", "network", "device", "admin"] as const;
const EPERM = "SCMP_ACT_ERRNO(EPERM)";
const BAD_CALL = "Bad system call";
const config = [
  ...plainAndFull,
  ...profiles.map((profile) => ({
    uid: profile,
    profile,
    acls: { user: "daemon" },
    commands: python,
  })),
  {
    uid: "ioctl",
    acls,
    namespace: full,
    seccomp: {
      default: "SCMP_ACT_ALLOW",
      rules: ["0x5412", "0x541c"].map((value) => ({
        syscall: "ioctl",
        action: EPERM,
        args: [{ index: 1, op: "eq", value }],
      })),
    },
    commands,
  },
  {
    uid: "filter",
    acls,
    seccomp: { default: "SCMP_ACT_ALLOW", rules: [{ syscall: "acct", action: EPERM }] },
    commands,
  },
];

/** Needs no privilege on this kernel, so only a filter denies it. */
const FILTERED = `
CLONE = dict(NEWNS=0x20000, NEWCGROUP=0x2000000, NEWUTS=0x4000000, NEWIPC=0x8000000, NEWUSER=0x10000000, NEWPID=0x20000000, NEWNET=0x40000000)
buffer = ctypes.create_string_buffer(256)
tried = {"unshare " + n: call("unshare", v) for n, v in CLONE.items()}
for n, v in CLONE.items():
    # A child that came to be ends here and tells by its exit code.
    r = call("clone", v | 17, 0, 0, 0, 0)
    if r == "ok" and call.result == 0: os._exit(0)
    tried["clone " + n] = r
arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
r = call("clone3", arguments, 88)
if r == "ok" and call.result == 0: os._exit(0)
tried["clone3"] = r
tried["keyctl"] = call("keyctl", 0, -3, 1)
tried["add_key"] = call("add_key", b"user", b"k", b"v", 1, -3)
tried["request_key"] = call("request_key", b"user", b"k", None, -3)
tried["io_uring"] = call("io_uring_setup", 1, buffer)
tried["bpf"] = call("bpf", 0, buffer, 72)
tried["ptrace"] = call("ptrace", 0, 0, 0, 0)
tried["process_vm_readv"] = call("process_vm_readv", os.getpid(), 0, 0, 0, 0, 0)
tried["userfaultfd"] = call("userfaultfd", 1)
tried["perf_event_open"] = call("perf_event_open", buffer, 0, -1, -1, 0)
tried["pidfd_getfd"] = call("pidfd_getfd", 0, 0, 0)`;
/** Needs a capability. */
const PRIVILEGED = `
buffer = ctypes.create_string_buffer(256)
tried = {}
tried["mount"] = call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
tried["bind"] = call("mount", b"/", b"/tmp", None, 4096, None)
tried["umount"] = call("umount2", b"/tmp", 2)
tried["pivot_root"] = call("pivot_root", b"/tmp", b"/tmp")
tried["chroot"] = call("chroot", b"/tmp")
tried["fsopen"] = call("fsopen", b"tmpfs", 0)
tried["open_tree"] = call("open_tree", -100, b"/", 1)
tried["setns"] = call("setns", os.open("/proc/self/ns/uts", 0), 0)
tried["kexec_load"] = call("kexec_load", 0, 0, 0, 0)
tried["init_module"] = call("init_module", buffer, 256, b"")
tried["reboot"] = call("reboot", 0xfee1dead, 672274793, 0x89abcdef, None)
tried["swapon"] = call("swapon", b"/tmp", 0)
tried["acct"] = call("acct", b"/tmp/acct")
tried["sethostname"] = call("sethostname", b"x", 1)
tried["settimeofday"] = call("settimeofday", (ctypes.c_long * 2)(0, 0), None)
tried["syslog"] = call("syslog", 5, 0, 0)
tried["setuid 0"] = call("setuid", 0) if os.getuid() else "EPERM"
tried["setgid 0"] = call("setgid", 0) if os.getgid() else "EPERM"
tried["setgroups"] = call("setgroups", 1, (ctypes.c_uint32 * 1)(0))
tried["capset"] = call("capset", (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(1 << 21, 1 << 21))`;
const allowed = `
print(sorted(name for name, result in tried.items() if result == "ok"), len(tried))`;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));

  test.each(["plain", "full", "filter", ...profiles])(
    "[capabilities] mounts, modules, kexec, clock, other identities are denied: %s",
    async (sandbox) => {
      const { lines, errors } = await py(served, sandbox, PRIVILEGED + allowed);
      expect({ lines, errors }).toEqual({ lines: ["[] 20"], errors: [] });
    },
  );

  test.each(profiles)(
    "[system calls] namespaces, keyrings, io_uring, bpf, ptrace and their like are denied by profile %s",
    async (profile) => {
      const { lines, errors } = await py(served, profile, FILTERED + allowed);
      expect({ lines, errors }).toEqual({ lines: ["[] 25"], errors: [] });
    },
  );

  test.each([
    ["x32", `call(0x40000000 + 39)`],
    [
      "i386",
      `
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()`,
    ],
  ])("[system calls] the foreign ABI %s is killed", async (_, script) => {
    if (process.arch !== "x64") return;
    // A kernel that has no such ABI ends even what is not filtered.
    const open = await py(served, "plain", script);
    const signal = open.status.signal === "Segmentation fault" ? open.status.signal : BAD_CALL;
    for (const sandbox of ["filter", "minimal"]) {
      const { lines, status } = await py(served, sandbox, `${script}\nprint("survived")`);
      expect({ lines, status }).toMatchObject({ lines: [], status: { signal } });
    }
  });

  test.each(["ioctl", ...profiles])(
    "[terminal] TIOCSTI and TIOCLINUX are denied by a filter, also with high bits set: %s",
    async (sandbox) => {
      // On a terminal of its own they would work.
      const { lines, errors } = await py(
        served,
        sandbox,
        `
import pty, fcntl
try: _, tty = pty.openpty()
except OSError: tty = 0
if tty and os.fork() == 0:
    os.setsid(); fcntl.ioctl(tty, 0x540e, 0)
    for high in (0, 1 << 32, 0xffffffff << 32, 1 << 63):
        for request in (0x5412, 0x541c): print(call("ioctl", tty, ctypes.c_ulong(request | high), ctypes.c_char_p(b"\\x02")))
    sys.stdout.flush(); os._exit(0)
if tty: os.wait()
print("done")`,
      );
      expect(errors).toEqual([]);
      expect(lines.at(-1)).toBe("done");
      for (const line of lines.slice(0, -1)) expect(line).toBe("EPERM");
      if (sandbox === "ioctl") expect(lines).toHaveLength(9);
    },
  );

  test.each(["plain", "full"])("[terminal] there is none to type into: %s", async (sandbox) => {
    const { lines } = await py(
      served,
      sandbox,
      `
print(attempt(os.open, "/dev/tty", os.O_RDWR))
print({call("ioctl", fd, ctypes.c_ulong(r | h), ctypes.c_char_p(b"\\x02")) for fd in range(3) for r in (0x5412, 0x541c) for h in (0, 1 << 32)})
print(open("/proc/self/stat").read().split(") ")[1].split()[4])`,
    );
    expect(lines).toEqual(["ENXIO", "{'ENOTTY'}", "0"]);
  });
});
