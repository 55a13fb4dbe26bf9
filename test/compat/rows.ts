/**
 * What other sandboxes' options are here: the rows of the tables in the migration guide, each with a script that shows its
 * effect from inside. A row that is not true fails options.test.ts.
 */

/** One option of another program, and what says the same here. */
export interface Row {
  /** As it is written there. */
  readonly theirs: string;
  /** Keys of a sandbox. */
  readonly ours: Readonly<Record<string, unknown>>;
  /** What to know of the difference. */
  readonly note?: string;
  /** A shell script that prints what it does. `$SOURCE` is a directory of the host with a file `f`, which root owns. */
  readonly probe: string;
  /** What it prints, lines joined by blanks; of a row for bwrap: what both print. */
  readonly shows: string | RegExp;
}

/** A limit of a group: shown by the file that it is written to, as its effect needs the controllers. */
export interface LimitRow {
  readonly theirs: string;
  readonly ours: Readonly<Record<string, unknown>>;
  readonly note?: string;
  /** Such as `memory.max=67108864`. */
  readonly writes: string;
}

export const SOURCE = "SOURCE";
const root = { acls: { user: "root" } };
const mounts = (...list: object[]) => ({ namespace: { mounts: list } });
const shares = (more: Record<string, string>, opts?: object) => ({
  namespace: { ...(opts && { opts }), shares: more },
});
const WRITE = "echo x 2>/dev/null >/d/new && echo written || echo refused";
const CAPS = "grep CapEff /proc/self/status | cut -f2";
const INTERFACES = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
const NAMESPACE = (name: string) =>
  `[ "$(readlink /proc/self/ns/${name})" = "$HOST_${name}" ] && echo shared || echo own`;

export const SYSTEMD: readonly Row[] = [
  { theirs: "User=daemon", ours: { acls: { user: "daemon" } }, probe: "id -u", shows: "1" },
  {
    theirs: "Group=daemon",
    ours: { acls: { user: "nobody", group: "daemon" } },
    probe: "id -g",
    shows: "1",
  },
  {
    theirs: "SupplementaryGroups=daemon",
    ours: { acls: { user: "nobody", groups: ["daemon"] } },
    note: "exactly these: those that the user has besides are not added",
    probe: "id -G",
    shows: "65534 1",
  },
  { theirs: "UMask=0027", ours: { acls: { umask: "027" } }, probe: "umask", shows: "0027" },
  {
    theirs: "WorkingDirectory=/usr",
    ours: { acls: { chdir: "/usr" } },
    note: "as seen inside the mounts",
    probe: "pwd",
    shows: "/usr",
  },
  { theirs: "Nice=5", ours: { acls: { nice: 5 } }, probe: "nice", shows: "5" },
  {
    theirs: "Environment=A=b",
    ours: { envs: [{ name: "A", value: "b" }] },
    probe: 'echo "$A"',
    shows: "b",
  },
  {
    theirs: "UnsetEnvironment=HOME",
    ours: { envs: [{ name: "HOME", mode: "unset" }] },
    probe: 'echo "${HOME-unset}"',
    shows: "unset",
  },
  { theirs: "LimitNOFILE=64", ours: { limits: { nofile: 64 } }, probe: "ulimit -n", shows: "64" },
  { theirs: "LimitCORE=0", ours: { limits: { core: 0 } }, probe: "ulimit -c", shows: "0" },
  {
    theirs: "LimitFSIZE=0",
    ours: { limits: { fsize: 0 } },
    probe: "(echo x >/tmp/f) 2>/dev/null; stat -c %s /tmp/f",
    shows: "0",
  },
  {
    theirs: "CapabilityBoundingSet=, AmbientCapabilities=CAP_NET_RAW",
    ours: { caps: ["NET_RAW"] },
    note: "bounding and ambient set alike",
    probe: "grep -E 'CapBnd|CapAmb' /proc/self/status | cut -f2",
    shows: "0000000000002000 0000000000002000",
  },
  {
    theirs: "NoNewPrivileges=yes",
    ours: {},
    note: "always, unless `acls.newPrivs` is true",
    probe: "grep NoNewPrivs /proc/self/status | cut -f2",
    shows: "1",
  },
  {
    theirs: "PrivateNetwork=yes",
    ours: shares({ net: "disable" }),
    probe: INTERFACES,
    shows: "lo",
  },
  {
    theirs: "PrivateIPC=yes",
    ours: shares({ ipc: "disable" }),
    probe: NAMESPACE("ipc"),
    shows: "own",
  },
  {
    theirs: "PrivatePIDs=yes",
    ours: shares({ pid: "disable" }),
    note: "PID 1 is an init that reaps",
    probe: "echo $$",
    shows: "2",
  },
  {
    theirs: "PrivateUsers=yes",
    ours: shares({ users: "disable" }),
    probe: NAMESPACE("user"),
    shows: "own",
  },
  {
    theirs: "ProtectHostname=yes",
    ours: shares({ uts: "disable" }, { hostname: "inside" }),
    probe: "cat /proc/sys/kernel/hostname",
    shows: "inside",
  },
  {
    theirs: "PrivateTmp=yes",
    ours: mounts({ target: "/tmp", mode: "tmpfs" }),
    probe: "ls -A /tmp | wc -l",
    shows: "0",
  },
  {
    theirs: "TemporaryFileSystem=/d:size=1M",
    ours: mounts({ target: "/d", mode: "tmpfs", size: "1M" }),
    probe: "echo $(($(stat -f -c '%b * %S' /d)))",
    shows: "1048576",
  },
  {
    theirs: "PrivateDevices=yes",
    ours: mounts({ target: "/dev", mode: "dev" }),
    probe: "ls /dev/null /dev/urandom /dev/mem /dev/sda 2>/dev/null",
    shows: "/dev/null /dev/urandom",
  },
  {
    theirs: "ProtectHome=yes, InaccessiblePaths=/home",
    ours: mounts(),
    note: "with mounts, nothing is there that no mount shows",
    probe: "ls /home 2>/dev/null || echo none",
    shows: "none",
  },
  {
    theirs: "ProtectSystem=strict",
    ours: { ...root, ...mounts({ target: "/usr" }) },
    note: "`ro` is the default of a mount",
    probe: "touch /usr/x 2>&1 | grep -o 'Read-only file system'",
    shows: "Read-only file system",
  },
  {
    theirs: "BindReadOnlyPaths=/srv/data:/d",
    ours: { ...root, ...mounts({ target: "/d", source: SOURCE }) },
    probe: `cat /d/f; ${WRITE}`,
    shows: "content refused",
  },
  {
    theirs: "BindPaths=/srv/data:/d",
    ours: { ...root, ...mounts({ target: "/d", source: SOURCE, mode: "rw" }) },
    probe: WRITE,
    shows: "written",
  },
  {
    theirs: "NoExecPaths=/d",
    ours: { ...root, ...mounts({ target: "/d", source: SOURCE, exec: false }) },
    probe: "/d/run 2>/dev/null || echo refused",
    shows: "refused",
  },
  {
    theirs: "ProtectKernelTunables=yes",
    ours: { ...root, ...mounts({ target: "/proc", mode: "proc" }), ...{ caps: [] } },
    probe: "echo 1 2>/dev/null >/proc/sys/kernel/panic && echo written || echo refused",
    shows: "refused",
  },
  {
    theirs: "SystemCallFilter=~mkdir mkdirat, SystemCallErrorNumber=EPERM",
    ours: {
      seccomp: {
        default: "ALLOW",
        rules: [
          { syscall: "mkdir", action: "ERRNO(EPERM)" },
          { syscall: "mkdirat", action: "ERRNO(EPERM)" },
        ],
      },
    },
    probe: "mkdir /tmp/x 2>&1 | grep -o 'Operation not permitted'",
    shows: "Operation not permitted",
  },
  {
    theirs: "RestrictAddressFamilies=AF_UNIX",
    ours: { network: { families: ["AF_UNIX"] } },
    probe:
      "bash -c ': </dev/tcp/127.0.0.1/1' 2>&1 | grep -o 'Address family not supported' | head -1",
    shows: "Address family not supported",
  },
];

export const SYSTEMD_LIMITS: readonly LimitRow[] = [
  { theirs: "MemoryMax=64M", ours: { mem: { max: "64M" } }, writes: "memory.max=67108864" },
  { theirs: "MemoryHigh=32M", ours: { mem: { high: "32M" } }, writes: "memory.high=33554432" },
  { theirs: "MemorySwapMax=0", ours: { mem: { swap: "0" } }, writes: "memory.swap.max=0" },
  { theirs: "CPUWeight=50", ours: { cpu: { weight: "50" } }, writes: "cpu.weight=50" },
  {
    theirs: "CPUQuota=20%",
    ours: { cpu: { max: "20000 100000" } },
    note: "microseconds of how many",
    writes: "cpu.max=20000 100000",
  },
  { theirs: "TasksMax=32", ours: { pids: "32" }, writes: "pids.max=32" },
  { theirs: "AllowedCPUs=0-1", ours: { cset: "0-1" }, writes: "cpuset.cpus=0-1" },
  {
    theirs: "IOReadBandwidthMax=/dev/sda 1M",
    ours: { io: ["8:0 rbps=1048576"] },
    note: "the device by its number",
    writes: "io.max=8:0 rbps=1048576",
  },
];

/** What is given to bwrap besides the mounts of a minimal system: the words of `theirs`. */
export const BWRAP: readonly Row[] = [
  {
    theirs: "--ro-bind SOURCE /d",
    ours: mounts({ target: "/d", source: SOURCE }),
    probe: `cat /d/f; ${WRITE}`,
    shows: "content refused",
  },
  {
    theirs: "--bind SOURCE /d",
    ours: mounts({ target: "/d", source: SOURCE, mode: "rw" }),
    probe: WRITE,
    shows: "written",
  },
  {
    theirs: "--tmpfs /d",
    ours: mounts({ target: "/d", mode: "tmpfs" }),
    probe: `${WRITE}; stat -f -c %T /d`,
    shows: "written tmpfs",
  },
  {
    theirs: "--size 1048576 --tmpfs /d",
    ours: mounts({ target: "/d", mode: "tmpfs", size: "1M" }),
    probe: "echo $(($(stat -f -c '%b * %S' /d)))",
    shows: "1048576",
  },
  {
    theirs: "--perms 0700 --tmpfs /d",
    ours: mounts({ target: "/d", mode: "tmpfs", perm: "0700" }),
    probe: "stat -c %a /d",
    shows: "700",
  },
  {
    theirs: "--dir /d",
    ours: mounts({ target: "/d", mode: "dir" }),
    note: "a directory of its own, which the command's user may write to",
    probe: WRITE,
    shows: "written",
  },
  {
    theirs: "--symlink usr/bin /d",
    ours: mounts({ target: "/d", source: "usr/bin", mode: "symlink" }),
    probe: "readlink /d",
    shows: "usr/bin",
  },
  {
    theirs: "--proc /proc",
    ours: mounts({ target: "/proc", mode: "proc" }),
    probe: "stat -f -c %T /proc",
    shows: "proc",
  },
  {
    theirs: "--dev /dev",
    ours: mounts({ target: "/dev", mode: "dev" }),
    note: "without the link `core` to the kernel's memory",
    probe: "ls /dev | grep -v '^core$'",
    shows: "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero",
  },
  {
    theirs: "--unshare-ipc --mqueue /d",
    ours: {
      namespace: { shares: { ipc: "disable" }, mounts: [{ target: "/d", mode: "mqueue" }] },
    },
    probe: "grep -c ' /d .* - mqueue ' /proc/self/mountinfo",
    shows: "1",
  },
  { theirs: "--chdir /usr", ours: { acls: { chdir: "/usr" } }, probe: "pwd", shows: "/usr" },
  {
    theirs: "--setenv A b",
    ours: { envs: [{ name: "A", value: "b" }] },
    probe: 'echo "$A"',
    shows: "b",
  },
  {
    theirs: "--unsetenv HOME",
    ours: { envs: [{ name: "HOME", mode: "unset" }] },
    probe: 'echo "${HOME-unset}"',
    shows: "unset",
  },
  {
    theirs: "--unshare-uts --hostname inside",
    ours: shares({ uts: "disable" }, { hostname: "inside" }),
    probe: "cat /proc/sys/kernel/hostname",
    shows: "inside",
  },
  { theirs: "--unshare-net", ours: shares({ net: "disable" }), probe: INTERFACES, shows: "lo" },
  { theirs: "--unshare-pid", ours: shares({ pid: "disable" }), probe: "echo $$", shows: "2" },
  {
    theirs: "--unshare-ipc",
    ours: shares({ ipc: "disable" }),
    probe: NAMESPACE("ipc"),
    shows: "own",
  },
  {
    theirs: "--share-net",
    ours: shares({ net: "enable" }),
    probe: NAMESPACE("net"),
    shows: "shared",
  },
  {
    theirs: "--unshare-user --uid 65534 --gid 65534",
    ours: { acls: { user: "nobody" } },
    note: "as root the user is switched, without a namespace",
    probe: "id -u; id -g",
    shows: "65534 65534",
  },
  {
    theirs: "--cap-drop ALL",
    ours: { caps: [] },
    note: "only what `caps` says is there; root without `caps` keeps its own",
    probe: CAPS,
    shows: "0000000000000000",
  },
  {
    theirs: "--cap-drop ALL --cap-add CAP_NET_RAW",
    ours: { caps: ["NET_RAW"] },
    probe: CAPS,
    shows: "0000000000002000",
  },
  {
    theirs: "--new-session",
    ours: {},
    note: "always: no command has the server's terminal",
    probe: "(: </dev/tty) 2>/dev/null && echo terminal || echo none",
    shows: "none",
  },
];

export const DOCKER: readonly Row[] = [
  {
    theirs: "--user 65534:1",
    ours: { acls: { user: 65534, group: 1 } },
    probe: "id -u; id -g",
    shows: "65534 1",
  },
  {
    theirs: "--group-add 1",
    ours: { acls: { user: "nobody", groups: [1] } },
    probe: "id -G",
    shows: "65534 1",
  },
  { theirs: "--workdir /usr", ours: { acls: { chdir: "/usr" } }, probe: "pwd", shows: "/usr" },
  {
    theirs: "--env A=b",
    ours: { envs: [{ name: "A", value: "b" }] },
    probe: 'echo "$A"',
    shows: "b",
  },
  {
    theirs: "--hostname inside",
    ours: shares({ uts: "disable" }, { hostname: "inside" }),
    probe: "cat /proc/sys/kernel/hostname",
    shows: "inside",
  },
  { theirs: "--network none", ours: shares({ net: "disable" }), probe: INTERFACES, shows: "lo" },
  {
    theirs: "--network host",
    ours: shares({ net: "enable" }),
    note: "the default here",
    probe: NAMESPACE("net"),
    shows: "shared",
  },
  {
    theirs: "--pid host",
    ours: shares({ pid: "enable" }),
    note: 'the default here; what docker does without it is `"pid": "disable"`',
    probe: NAMESPACE("pid"),
    shows: "shared",
  },
  {
    theirs: "--init",
    ours: shares({ pid: "disable" }),
    note: "always, in a pid namespace",
    probe: "echo $$",
    shows: "2",
  },
  {
    theirs: "--ipc private",
    ours: shares({ ipc: "disable" }),
    probe: NAMESPACE("ipc"),
    shows: "own",
  },
  {
    theirs: "--userns …",
    ours: shares({ users: "disable" }),
    probe: NAMESPACE("user"),
    shows: "own",
  },
  {
    theirs: "--read-only",
    ours: mounts({ target: "/usr" }),
    note: "the root has only what is mounted",
    probe: "touch /usr/x 2>/dev/null || echo refused",
    shows: "refused",
  },
  {
    theirs: "--volume /srv/data:/d",
    ours: { ...root, ...mounts({ target: "/d", source: SOURCE, mode: "rw" }) },
    probe: WRITE,
    shows: "written",
  },
  {
    theirs: "--volume /srv/data:/d:ro",
    ours: { ...root, ...mounts({ target: "/d", source: SOURCE }) },
    probe: `cat /d/f; ${WRITE}`,
    shows: "content refused",
  },
  {
    theirs: "--tmpfs /d:size=1m",
    ours: mounts({ target: "/d", mode: "tmpfs", size: "1M" }),
    probe: `${WRITE}; echo $(($(stat -f -c '%b * %S' /d)))`,
    shows: "written 1048576",
  },
  {
    theirs: "--device /dev/full",
    ours: mounts({ target: "/dev/full", mode: "rw" }),
    probe: "echo x | cat 2>&1 >/dev/full | grep -o 'No space left'",
    shows: "No space left",
  },
  {
    theirs: "--cap-drop ALL",
    ours: { ...root, caps: [] },
    probe: CAPS,
    shows: "0000000000000000",
  },
  {
    theirs: "--cap-drop ALL --cap-add NET_RAW",
    ours: { ...root, caps: ["NET_RAW"] },
    probe: CAPS,
    shows: "0000000000002000",
  },
  {
    theirs: "--security-opt no-new-privileges",
    ours: {},
    note: "always, unless `acls.newPrivs` is true",
    probe: "grep NoNewPrivs /proc/self/status | cut -f2",
    shows: "1",
  },
  {
    theirs: "--security-opt seccomp=profile.json",
    ours: {
      seccomp: {
        default: "ALLOW",
        rules: [
          { syscall: "mkdir", action: "ERRNO(EPERM)" },
          { syscall: "mkdirat", action: "ERRNO(EPERM)" },
        ],
      },
    },
    note: "names of system calls and groups such as `@mount`",
    probe: "mkdir /tmp/x 2>/dev/null || echo refused",
    shows: "refused",
  },
  {
    theirs: "--ulimit nofile=64:64",
    ours: { limits: { nofile: 64 } },
    note: "soft and hard alike",
    probe: "ulimit -Hn",
    shows: "64",
  },
  {
    theirs: "--rm",
    ours: {},
    note: "always: nothing of a task is left",
    probe: "touch /tmp/left; ls -A /tmp",
    shows: "left",
  },
];

export const DOCKER_LIMITS: readonly LimitRow[] = [
  { theirs: "--memory 64m", ours: { mem: { max: "64M" } }, writes: "memory.max=67108864" },
  { theirs: "--memory-reservation 4k", ours: { mem: { min: "4K" } }, writes: "memory.min=4096" },
  {
    theirs: "--cpus 0.2",
    ours: { cpu: { max: "20000 100000" } },
    writes: "cpu.max=20000 100000",
  },
  { theirs: "--cpuset-cpus 0-1", ours: { cset: "0-1" }, writes: "cpuset.cpus=0-1" },
  { theirs: "--pids-limit 32", ours: { pids: "32" }, writes: "pids.max=32" },
  {
    theirs: "--device-read-bps /dev/sda:1mb",
    ours: { io: ["8:0 rbps=1048576"] },
    note: "the device by its number",
    writes: "io.max=8:0 rbps=1048576",
  },
];
