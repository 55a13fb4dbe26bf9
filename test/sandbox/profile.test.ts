/** Each profile runs ordinary programs and refuses what none of them needs: as root and as a user. */
import { describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { profiles } from "./profiles.ts";
import { serve, shell, users } from "../served.ts";
import { serving } from "../serving.ts";

const admin = { user: "daemon" };
const config = {
  metadata: { uid: "p", api: "p" },
  sandboxes: [
    ...profiles.map((profile) => ({
      uid: profile,
      profile,
      ...(profile === "admin" && { acls: admin }),
      commands: [shell],
    })),
    {
      uid: "refined",
      profile: "minimal",
      acls: { umask: "027", chdir: "/" },
      envs: { name: "MINE", value: "x" },
      limits: { nofile: 99 },
      seccomp: { rules: { syscall: "mkdir", action: "SCMP_ACT_ERRNO(EXDEV)" } },
      namespace: {
        shares: { net: "enable" },
        mounts: [
          { target: "/tmp", mode: "tmpfs", size: "1M" },
          { target: "/data", source: "/usr/share", mode: "ro" },
        ],
      },
      commands: [shell, { ...shell, uid: "few", limits: { nofile: 33 } }],
    },
    {
      uid: "named",
      profile: "minimal",
      namespace: { opts: { hostname: "board.example" } },
      commands: shell,
    },
    {
      uid: "caps",
      profile: "admin",
      acls: admin,
      caps: { cap: "NET_ADMIN" },
      seccomp: { rules: { syscall: "@namespace", action: "SCMP_ACT_ALLOW" } },
      commands: shell,
    },
  ],
};

/** Prints `name errno` of each system call made with harmless arguments; errno 0 is success. */
const calls = (...numbers: [name: string, number: number, ...args: number[]][]) =>
  `/usr/bin/python3 - <<'EOF'
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, *args in ${JSON.stringify(numbers)}:
    ctypes.set_errno(0)
    libc.syscall(*[ctypes.c_long(a) for a in args])
    print(name, ctypes.get_errno())
EOF`;
const EPERM = 1;
const x64 = process.arch === "x64";
/** Numbers of x86_64, and of asm-generic. */
const nr = (x: number, generic: number): number => (x64 ? x : generic);
const denied: [string, number, ...number[]][] = [
  ["unshare", nr(272, 97), 0x10000000],
  ["mount", nr(165, 40)],
  ["umount2", nr(166, 39)],
  ["pivot_root", nr(155, 41)],
  ["keyctl", nr(250, 219)],
  ["io_uring_setup", 425],
  ["bpf", nr(321, 280)],
  ["ptrace", nr(101, 117), 0x4206, 1],
  ["kexec_load", nr(246, 104)],
  ["init_module", nr(175, 105)],
  ["reboot", nr(169, 142), 0],
  ["swapon", nr(167, 224)],
  ["setns", nr(308, 268), -1],
  ["perf_event_open", nr(298, 241)],
  ["userfaultfd", nr(323, 282), 0],
  ["open_tree", 428],
  // Newer than many a libseccomp.
  ["mount_setattr", 442],
  ["open_tree_attr", 467],
];

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));
  const script = async (sandbox: string, text: string, verb = "sh") => {
    const ran = await served.run(`p/${sandbox}/${verb}`, { script: text });
    return { stdout: [], stderr: [], ...ran };
  };

  describe.each(profiles)("%s", (profile) => {
    test("runs sh, id, ls and python3", async () => {
      const { stdout, stderr, status } = await script(
        profile,
        'id -u >/dev/null && ls / >/dev/null && echo from $(echo sh) | cat && /usr/bin/python3 -c \'import ctypes, json, socket, subprocess, threading; t = threading.Thread(target=print, args=("a thread",)); t.start(); t.join(); print(subprocess.run(["/bin/echo", "a child"], capture_output=True, text=True).stdout.strip())\'',
      );
      expect({ stdout, stderr }).toEqual({
        stdout: ["from sh", "a thread", "a child"],
        stderr: [],
      });
      expect(status.exit).toBe(0);
    });

    test("has an environment of its own, no capability and no new privileges", async () => {
      const { stdout } = await script(
        profile,
        'echo "$PATH $LANG ${SECRET_OF_SERVER-none}"; grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status',
      );
      expect(stdout[0]).toBe(
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin C.UTF-8 none",
      );
      const status = Object.fromEntries(stdout.slice(1).map((line) => line.split(":\t")));
      expect(status).toMatchObject({ NoNewPrivs: "1", Seccomp: "2", CapEff: "0".repeat(16) });
    });

    test("denies what attacks on the kernel begin with", async () => {
      const { stdout } = await script(profile, calls(...denied));
      expect(stdout).toEqual(denied.map(([name]) => `${name} ${EPERM}`));
    });

    test("clone makes threads and no namespaces; clone3 does not exist; nobody types into a terminal", async () => {
      const ENOSYS = 38;
      const { stdout } = await script(
        profile,
        calls(
          // Together with CLONE_THREAD, which a kernel without the filter refuses with EINVAL: no process is made.
          ["clone-user", nr(56, 220), 0x10010000],
          ["clone-net", nr(56, 220), 0x40010000],
          ["clone3", 435, 0, 0],
          ["TIOCSTI", nr(16, 29), 0, 0x5412, 0],
          ["TIOCSTI-high", nr(16, 29), 0, 0x100005412, 0],
          ["TIOCLINUX", nr(16, 29), 0, 0x541c, 0],
        ),
      );
      expect(stdout).toEqual([
        `clone-user ${EPERM}`,
        `clone-net ${EPERM}`,
        `clone3 ${ENOSYS}`,
        `TIOCSTI ${EPERM}`,
        `TIOCSTI-high ${EPERM}`,
        `TIOCLINUX ${EPERM}`,
      ]);
    });
  });

  test.each([
    ["minimal", "refused"],
    ["device", "refused"],
    ["network", "connected"],
    ["admin", "connected"],
  ])("a TCP connection to the host from %s: %s", async (profile, outcome) => {
    const { stdout } = await script(
      profile,
      `/usr/bin/python3 -c '
import socket
try: socket.create_connection(("127.0.0.1", ${new URL(served.url).port}), 5); print("connected")
except OSError: print("refused")'`,
    );
    expect(stdout).toEqual([outcome]);
  });

  test("network has what resolvers and TLS need, minimal has not", async () => {
    const look = "ls -d /etc/resolv.conf /etc/ssl/certs 2>/dev/null; true";
    expect((await script("network", look)).stdout).toEqual(["/etc/resolv.conf", "/etc/ssl/certs"]);
    expect((await script("minimal", look)).stdout).toEqual([]);
  });

  const NAMES = `/usr/bin/python3 -c '
import socket
with socket.create_server(("127.0.0.1", 0)) as s: socket.create_connection(("localhost", s.getsockname()[1]))
print(*[socket.getaddrinfo("localhost", 1, f)[0][4][0] for f in (socket.AF_INET, socket.AF_INET6)])
own = socket.gethostname()
print(socket.getaddrinfo(own, 1, socket.AF_INET)[0][4][0], socket.gethostbyaddr("127.0.1.1")[0] == own)'
hostname -f`;

  test.each(["minimal", "device"])("%s: localhost and the own name lead home", async (profile) => {
    const { stdout, stderr } = await script(profile, NAMES);
    expect({ stdout, stderr }).toEqual({
      stdout: ["127.0.0.1 ::1", "127.0.1.1 True", hostname()],
      stderr: [],
    });
  });

  test("so does a name that the config gives; network has the file of the host", async () => {
    const { stdout } = await script("named", `${NAMES}; echo x > /etc/hosts`);
    expect(stdout).toEqual(["127.0.0.1 ::1", "127.0.1.1 True", "board.example"]);
    const { stdout: lines } = await script("network", "cat /etc/hosts");
    expect(lines.join("\n")).toBe(readFileSync("/etc/hosts", "utf8").trimEnd());
  });

  test("what common programs look for is there, and nothing that tells which machine it is", async () => {
    for (const profile of ["minimal", "network", "device"]) {
      const { stdout } = await script(
        profile,
        "id -un; getent services ssh | cut -c1-3; mktemp -p /var/tmp | cut -d/ -f1-3; grep -q ^ID= /etc/os-release && echo os; cat /etc/machine-id /var/lib/dbus/machine-id 2>/dev/null; python3 -c 'import multiprocessing; multiprocessing.Lock(); print(1)'",
      );
      expect(stdout.slice(1)).toEqual(["ssh", "/var/tmp", "os", "1"]);
    }
  });

  test("device sees the devices of the host, the others the harmless ones", async () => {
    const look = "test -e /dev/kmsg && echo host; echo > /dev/null && echo null";
    expect((await script("device", look)).stdout).toEqual(["host", "null"]);
    expect((await script("minimal", look)).stdout).toEqual(["null"]);
  });

  test("shared memory is the sandbox's own", async () => {
    const name = `/dev/shm/spawnbox-${process.pid}-${crypto.randomUUID()}`;
    writeFileSync(name, "host");
    try {
      for (const profile of ["minimal", "network", "device"]) {
        const { stdout } = await script(
          profile,
          `cat ${name} 2>/dev/null; echo > /dev/shm/x && echo own`,
        );
        expect(stdout).toEqual(["own"]);
      }
    } finally {
      rmSync(name);
    }
  });

  test("minimal, network and device write to /tmp only; limits hold", async () => {
    for (const profile of ["minimal", "network", "device"]) {
      const { stdout } = await script(
        profile,
        "for d in / /etc /usr /tmp; do (echo > $d/x) 2>/dev/null && echo $d; done; pwd; ulimit -n; ulimit -c",
      );
      expect(stdout).toEqual(["/tmp", "/tmp", "1024", "0"]);
    }
  });

  test("files without content count, too", async () => {
    for (const profile of ["minimal", "network", "device"]) {
      const { stdout } = await script(profile, "stat -f -c %c /tmp /dev/shm");
      expect(stdout).toEqual(["32768", "32768"]);
    }
  });

  test("the config's own keys refine its profile", async () => {
    const { stdout, stderr } = await script(
      "refined",
      "pwd; umask; echo $MINE; ulimit -n; ls -d /data/doc; df -k /tmp | tail -1 | awk '{print $2}'; mkdir /tmp/x",
    );
    expect(stdout).toEqual(["/", "0027", "x", "99", "/data/doc", "1024"]);
    expect(stderr[0]).toContain("cross-device");
    expect((await script("refined", "ulimit -n; ulimit -c", "few")).stdout).toEqual(["33", "0"]);
  });

  test.skipIf(user !== "root")("capabilities and calls are what the config adds", async () => {
    const { stdout } = await script(
      "caps",
      `grep -E "^Cap(Bnd|Eff)" /proc/self/status; ${calls(["setns", nr(308, 268), -1])}`,
    );
    const EBADF = 9;
    // NET_ADMIN is 12: capability.h
    expect(stdout).toEqual([
      "CapEff:\t0000000000001000",
      "CapBnd:\t0000000000001000",
      `setns ${EBADF}`,
    ]);
  });
});
