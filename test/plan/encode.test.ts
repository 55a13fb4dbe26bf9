/** The ops of a plan: each with its numbers and texts, and in the order in which a launch has to do them. */
import { describe, expect, test } from "bun:test";
import { MAGIC, VERSION } from "../../ffi/launcher/layout.ts";
import { boundingOf } from "../../src/plan/bounding.ts";
import { encodePolicy } from "../../src/plan/encode.ts";
import type { MountStep, NamespaceName, Policy } from "../../src/plan/policy.ts";
import { decodeOps, written } from "./ops.ts";
import { plain } from "./plain-policy.ts";

const opsOf = (policy: Partial<Policy>, waits = false) =>
  written(encodePolicy({ ...plain, ...policy }, waits));
const own = (...names: NamespaceName[]) => ({ namespaces: new Set(names) });
const ALWAYS = ["RLIMIT 13 0 1", "RLIMIT 14 0 1"];
const SWITCH = ["SETGROUPS 3001 3002", "SETGID 2001", "SETUID 1001"];
const END = ["NO_NEW_PRIVS"];
const program = (length: number) => new Uint8Array(length * 8).fill(6);

test("a plan says what it is, how large, and which namespaces are made with the first process", () => {
  const flags = (policy: Partial<Policy>) => {
    const blob = encodePolicy({ ...plain, ...policy });
    const [magic, version, size, flags] = decodeOps(blob).header;
    expect([magic, version, size]).toEqual([MAGIC, VERSION, blob.length]);
    return flags;
  };
  expect(flags({})).toBe(0);
  expect(flags(own("mount"))).toBe(0x00020000);
  expect(flags(own("cgroup"))).toBe(0x02000000);
  expect(flags(own("uts"))).toBe(0x04000000);
  expect(flags(own("ipc"))).toBe(0x08000000);
  expect(flags(own("user"))).toBe(0x10000000);
  expect(flags(own("pid"))).toBe(0x20000000);
  expect(flags(own("net"))).toBe(0x40000000);
  expect(flags(own("mount", "cgroup", "uts", "ipc", "user", "pid"))).toBe(0x3e020000);
  // With an init beside it, the command makes its network itself; unless the root shows it.
  expect(flags(own("pid", "net"))).toBe(0x20000000);
  const sys: MountStep[] = [{ kind: "sys", target: "/sys" }];
  expect(flags({ ...own("pid", "net", "mount"), mounts: sys })).toBe(0x60020000);
});

test("what is left of the bounding set: what root keeps, else all; of a user namespace nothing of the server's", () => {
  const left = (policy: Partial<Policy>) => boundingOf({ ...plain, ...policy });
  const all = (1n << 64n) - 1n;
  expect(left({ caps: [0, 5], privileged: true })).toBe(0b10_0001n);
  expect(left({ caps: [], privileged: true })).toBe(0n);
  expect(left({ caps: [0], privileged: false })).toBe(all);
  expect(left({ caps: undefined, privileged: true })).toBe(all);
  expect(left({ caps: [], privileged: true, gains: true })).toBe(all);
  expect(left({ ...own("user"), caps: [0], privileged: true })).toBe(0n);
});

test.each<[string, Partial<Policy>, string[]]>([
  ["as root: groups, gid, uid, in that order", {}, [...ALWAYS, ...SWITCH, ...END]],
  [
    "without groups none is kept",
    { identity: { uid: 1, gid: 2, groups: [] } },
    [...ALWAYS, "SETGROUPS", "SETGID 2", "SETUID 1", ...END],
  ],
  [
    "as an ordinary user, nothing is switched",
    { privileged: false, identity: undefined },
    [...ALWAYS, ...END],
  ],
  [
    "but groups that it may set",
    { privileged: false, identity: undefined, groups: [7, 8] },
    [...ALWAYS, "SETGROUPS 7 8", "SETGID 20", ...END],
  ],
  [
    "none of them",
    { privileged: false, identity: undefined, groups: [] },
    [...ALWAYS, "SETGROUPS", "SETGID 20", ...END],
  ],
  ["new privileges may be gained", { noNewPrivs: false }, [...ALWAYS, ...SWITCH]],
  [
    "capabilities: bound, none at the switch, ambient, locked, the rest dropped",
    { caps: [0, 5, 40] },
    [
      `BOUNDING ${2n ** 40n + 33n}`,
      ...ALWAYS,
      "SETGROUPS 3001 3002",
      "SETGID 2001",
      "SECUREBITS 5",
      "SETUID 1001",
      `AMBIENT ${2n ** 40n + 33n}`,
      "SECUREBITS 203",
      `CAPS ${2n ** 40n + 33n}`,
      ...END,
    ],
  ],
  [
    "no capabilities",
    { caps: [] },
    [
      "BOUNDING 0",
      ...ALWAYS,
      "SETGROUPS 3001 3002",
      "SETGID 2001",
      "SECUREBITS 5",
      "SETUID 1001",
      "AMBIENT 0",
      "SECUREBITS 203",
      "CAPS 0",
      ...END,
    ],
  ],
  [
    "what may gain some by its files is not bound",
    { caps: [], noNewPrivs: false, gains: true },
    [...ALWAYS, "SETGROUPS 3001 3002", "SETGID 2001", "SETUID 1001", "AMBIENT 0", "CAPS 0"],
  ],
  [
    "who cannot lock, drops all the same",
    { privileged: false, identity: undefined, caps: [5] },
    [...ALWAYS, "AMBIENT 32", "CAPS 32", ...END],
  ],
  [
    "a nice value is counted from 20 below",
    { nice: -20 },
    ["NICE 0", ...ALWAYS, ...SWITCH, ...END],
  ],
  ["nor is 0 left out", { nice: 0 }, ["NICE 20", ...ALWAYS, ...SWITCH, ...END]],
  [
    "limits, those of a profile marked",
    {
      rlimits: [
        [7, 1024n],
        [4, 0n],
        [9, -1n],
      ],
      profileLimits: [7],
    },
    [
      ...ALWAYS,
      "RLIMIT 7 1024 1",
      "RLIMIT 4 0 0",
      `RLIMIT 9 ${2n ** 64n - 1n} 0`,
      ...SWITCH,
      ...END,
    ],
  ],
  [
    "a real-time priority that the config gives",
    { rlimits: [[14, 3n]] },
    ["RLIMIT 13 0 1", "RLIMIT 14 3 0", ...SWITCH, ...END],
  ],
  ["umask", { umask: 0 }, [...ALWAYS, "UMASK 0", ...SWITCH, ...END]],
  [
    "the directory is entered as the command",
    { umask: 0o27, chdir: "/srv" },
    [...ALWAYS, "UMASK 23", ...SWITCH, 'CHDIR "/srv"', ...END],
  ],
  [
    "a label",
    { label: { module: "smack", file: "current", text: "x y" } },
    ['LABEL "current" "x y"', ...ALWAYS, ...SWITCH, ...END],
  ],
  [
    "a joined network",
    { joinNet: "/run/netns/a" },
    ['JOIN_NET "/run/netns/a"', ...ALWAYS, ...SWITCH, ...END],
  ],
  [
    "shared places",
    { sharedPlaces: ["/a", "/b"] },
    ['SHARED_PLACES "/a" "/b"', ...ALWAYS, ...SWITCH, ...END],
  ],
  [
    "a host name in a uts namespace",
    { ...own("uts"), hostname: "box" },
    ['HOSTNAME "box"', ...ALWAYS, ...SWITCH, ...END],
  ],
  ["and never the machine's", { hostname: "box" }, [...ALWAYS, ...SWITCH, ...END]],
  ["a network of its own", own("net"), ["LOOPBACK", ...ALWAYS, ...SWITCH, ...END]],
  [
    "made beside the init",
    own("net", "pid"),
    ["FORK", "UNSHARE 1073741824", "LOOPBACK", ...ALWAYS, ...SWITCH, ...END],
  ],
  ["a pid namespace", own("pid"), ["FORK", ...ALWAYS, ...SWITCH, ...END]],
  [
    "a filter of calls, last",
    { seccomp: program(2) },
    [...ALWAYS, ...SWITCH, ...END, "SECCOMP 16 bytes"],
  ],
  [
    "one whose calls are told, and what is said to them",
    { seccomp: program(2), told: { all: true, verdicts: program(3), names: {} } },
    ["VERDICTS 24 bytes", ...ALWAYS, ...SWITCH, ...END, "SECCOMP_LISTENER 16 bytes"],
  ],
  [
    "a filter of families, once no privileges can be gained",
    { families: { names: [], protocols: [], filter: program(1) }, seccomp: program(2) },
    [...ALWAYS, ...SWITCH, ...END, "SECCOMP 8 bytes", "SECCOMP 16 bytes"],
  ],
  [
    "or while there are some",
    { noNewPrivs: false, families: { names: [], protocols: [], filter: program(1) } },
    [...ALWAYS, "SECCOMP 8 bytes", ...SWITCH],
  ],
  [
    "families that are in the filter",
    { families: { names: [], protocols: [], filter: undefined } },
    [...ALWAYS, ...SWITCH, ...END],
  ],
])("%s", (_, policy, ops) => {
  expect(opsOf(policy)).toEqual(ops);
});

describe("users of its own", () => {
  const SETTING = (needed: number) => `SETTING ${needed} "/proc/sys/user/max_user_namespaces" "0"`;
  test("map the server's ids and the command's, each once", () => {
    expect(opsOf(own("user"))).toEqual([
      'UID_MAP "10 10 1\\n1001 1001 1\\n"',
      'GID_MAP 0 "20 20 1\\n2001 2001 1\\n3001 3001 1\\n3002 3002 1\\n"',
      SETTING(1),
      ...ALWAYS,
      ...SWITCH,
      ...END,
    ]);
    const same = { uid: 10, gid: 20, groups: [20, 21] };
    expect(opsOf({ ...own("user"), identity: same }).slice(0, 2)).toEqual([
      'UID_MAP "10 10 1\\n"',
      'GID_MAP 0 "20 20 1\\n21 21 1\\n"',
    ]);
  });
  test("of an ordinary user map only that, and give setgroups(2) up first", () => {
    const user = { ...own("user"), privileged: false, identity: undefined };
    expect(opsOf(user).slice(0, 2)).toEqual(['UID_MAP "10 10 1\\n"', 'GID_MAP 1 "20 20 1\\n"']);
    expect(opsOf({ ...user, groups: [7] }).slice(0, 2)).toEqual([
      'UID_MAP "10 10 1\\n"',
      'GID_MAP 0 "20 20 1\\n7 7 1\\n"',
    ]);
  });
  test("lock the capabilities of an ordinary server's command too", () => {
    expect(opsOf({ ...own("user"), privileged: false, identity: undefined, caps: [] })).toEqual([
      'UID_MAP "10 10 1\\n"',
      'GID_MAP 1 "20 20 1\\n"',
      "BOUNDING 0",
      SETTING(1),
      ...ALWAYS,
      "SECUREBITS 5",
      "AMBIENT 0",
      "SECUREBITS 203",
      "CAPS 0",
      ...END,
    ]);
  });
});

test("a cgroup must be had, unless it is optional", () => {
  const cgroup = { path: "p", mount: undefined, optional: false, shared: [], task: [] };
  expect(opsOf({ cgroup })[0]).toBe("CGROUP");
  expect(opsOf({ cgroup: { ...cgroup, optional: true } })).not.toContain("CGROUP");
});

const flags = (readonly: boolean, nosuid = false, nodev = false, noexec = false) => ({
  ...{ readonly, nosuid, nodev, noexec },
});
const bind = (more: object, set = flags(false)): MountStep => ({
  ...{ kind: "bind", source: "/s", target: "/t", flags: set },
  ...more,
});
test.each<[string, MountStep, string]>([
  ["bind", bind({}), 'BIND 0 0 "/s" "/t"'],
  ["read-only", bind({}, flags(true)), 'BIND 1 0 "/s" "/t"'],
  ["nosuid", bind({}, flags(false, true)), 'BIND 2 0 "/s" "/t"'],
  ["nodev", bind({}, flags(false, false, true)), 'BIND 4 0 "/s" "/t"'],
  ["noexec", bind({}, flags(false, false, false, true)), 'BIND 8 0 "/s" "/t"'],
  ["all of them", bind({}, flags(true, true, true, true)), 'BIND 15 0 "/s" "/t"'],
  ["links followed", bind({ asked: "/a", links: [] }), 'BIND 0 1 "/a" "/t"'],
  ["optional", bind({ optional: true }), 'BIND 0 2 "/s" "/t"'],
  ["device", bind({ device: true }), 'BIND 0 4 "/s" "/t"'],
  ["both", bind({ asked: "/a", optional: true }), 'BIND 0 3 "/a" "/t"'],
  [
    "tmpfs",
    { kind: "tmpfs", target: "/t", mode: 0o1777, flags: flags(false, true, true) },
    'FSMOUNT 6 "tmpfs" "/t" "mode" "1777"',
  ],
  [
    "tmpfs with all",
    {
      kind: "tmpfs",
      target: "/t",
      mode: 0o700,
      size: "64k",
      owner: { uid: 1, gid: 2 },
      flags: flags(false, false, false, true),
    },
    'FSMOUNT 8 "tmpfs" "/t" "mode" "700" "size" "64k" "nr_inodes" "1024" "uid" "1" "gid" "2"',
  ],
  [
    "many files in a large tmpfs",
    { kind: "tmpfs", target: "/t", mode: 0o700, size: "1G", flags: flags(false) },
    'FSMOUNT 0 "tmpfs" "/t" "mode" "700" "size" "1G" "nr_inodes" "524288"',
  ],
  ["proc", { kind: "proc", target: "/p" }, 'FSMOUNT 14 "proc" "/p" "hidepid" "invisible"'],
  ["sys", { kind: "sys", target: "/sys" }, 'FSMOUNT 15 "sysfs" "/sys"'],
  ["mqueue", { kind: "mqueue", target: "/q" }, 'FSMOUNT 14 "mqueue" "/q"'],
  [
    "devpts",
    { kind: "devpts", target: "/d" },
    'FSMOUNT 10 "devpts" "/d" "ptmxmode" "0666" "mode" "0620"',
  ],
  [
    "rebind",
    { kind: "rebind", target: "/t", flags: flags(true, true, true, true) },
    'REBIND 15 "/t"',
  ],
  ["seal", { kind: "seal", target: "/dev" }, 'SETATTR 1 "/dev"'],
  ["symlink", { kind: "symlink", target: "/l", text: "../x" }, 'SYMLINK "../x" "/l"'],
  ["dir", { kind: "dir", target: "/d", mode: 0o755 }, 'DIR 493 "/d"'],
  ["lock", { kind: "lock", target: "/l" }, 'LOCK "/l"'],
])("mount: %s", (_, step, op) => {
  const ops = opsOf({ ...own("mount"), mounts: [step] });
  expect(ops).toEqual(["ROOT_BEGIN", op, "ROOT_END", ...ALWAYS, ...SWITCH, ...END]);
});

test("mount: a file is its target and its bytes, and may get the host name", () => {
  const content = new TextEncoder().encode("a\0b");
  const step = (named?: true): MountStep => ({
    kind: "file",
    target: "/f",
    content,
    mode: 0o444,
    ...(named && { named }),
  });
  const fileOf = (named?: true) => {
    const blob = encodePolicy({ ...plain, ...own("mount"), mounts: [step(named)] });
    const op = decodeOps(blob).ops.find(({ name }) => name === "FILE");
    return [op?.numbers, Buffer.from(op?.data ?? []).toString()];
  };
  expect(fileOf()).toEqual([[0o444n, 0n], "/f\0a\0b"]);
  expect(fileOf(true)).toEqual([[0o444n, 1n], "/f\0a\0b"]);
});

describe("Landlock", () => {
  const landlock = {
    files: 5n,
    net: 3n,
    scopes: 2n,
    paths: [
      ["/a", 1n],
      ["/b", 2n, "/l"],
      ["/proc/self/task", 4n],
      ["/proc/self", 4n, "/proc/self"],
      ["/proc/thread-self/fd", 4n],
      ["/proc/selfish", 4n, "/x"],
    ] as const,
    links: [],
    hosts: [],
    ports: [
      [80, 1n],
      [443, 2n],
    ] as const,
  };
  const RULES = [
    'LANDLOCK_PATH 1 0 "/a"',
    'LANDLOCK_PATH 2 2 "/l"',
    'LANDLOCK_PATH 4 1 "/proc/self/task"',
    'LANDLOCK_PATH 4 1 "/proc/self"',
    'LANDLOCK_PATH 4 1 "/proc/thread-self/fd"',
    'LANDLOCK_PATH 4 2 "/x"',
    "LANDLOCK_PORT 1 80",
    "LANDLOCK_PORT 2 443",
    "LANDLOCK_APPLY",
  ];
  test("has every right, path and port, and then holds", () => {
    expect(opsOf({ landlock })).toEqual([...ALWAYS, ...SWITCH, ...END, "LANDLOCK 5 3 2", ...RULES]);
  });
  test("knows where commands make links as root", () => {
    expect(opsOf({ landlock, sharedPlaces: ["/a"] })).toContain('LANDLOCK 5 3 2 "/a"');
    const mounts = [bind({ source: "/a", target: "/inside" })];
    expect(opsOf({ ...own("mount"), mounts, landlock, sharedPlaces: ["/a"] })).toContain(
      'LANDLOCK 5 3 2 "/inside"',
    );
  });
});

describe("a terminal", () => {
  const pty = (origin: NonNullable<Policy["pty"]>["origin"]) => ({
    columns: 80,
    rows: 24,
    origin,
    filter: program(1),
  });
  test.each([
    [{ kind: "own" }, 'PTY 80 24 1001 2001 0 ""'],
    [{ kind: "mounted", path: "/dev/pts" }, 'PTY 80 24 1001 2001 1 "/dev/pts"'],
    [{ kind: "machine", path: "/dev/ptmx" }, 'PTY 80 24 1001 2001 2 "/dev/ptmx"'],
  ] as const)("%j is the command's user's, and nothing types into it", (origin, op) => {
    expect(opsOf({ pty: pty(origin) })).toEqual([
      op,
      ...ALWAYS,
      ...SWITCH,
      ...END,
      "SECCOMP 8 bytes",
    ]);
  });
  test("of an ordinary server is its user's", () => {
    expect(opsOf({ pty: pty({ kind: "own" }), privileged: false, identity: undefined })[0]).toBe(
      'PTY 80 24 10 20 0 ""',
    );
  });
});

test("everything at once comes in one order, and a warm sandbox waits with all done but the filter", () => {
  const whole: Partial<Policy> = {
    ...own("user", "mount", "pid", "net", "ipc", "uts", "cgroup"),
    ...{ umask: 0o22, chdir: "/w", hostname: "h", caps: [], nice: 5, rlimits: [[7, 9n]] },
    mounts: [bind({})],
    label: { module: "apparmor", file: "f", text: "t" },
    landlock: {
      files: 1n,
      net: 0n,
      scopes: 0n,
      paths: [["/a", 1n]],
      links: [],
      hosts: [],
      ports: [[1, 1n]],
    },
    families: { names: [], protocols: [], filter: program(1) },
    pty: { columns: 1, rows: 2, origin: { kind: "own" }, filter: program(1) },
    cgroup: { path: "p", mount: undefined, optional: false, shared: [], task: [] },
    told: { all: true, verdicts: program(1), names: {} },
    seccomp: program(1),
    sharedPlaces: ["/z"],
  };
  const names = (waits: boolean) => opsOf(whole, waits).map((op) => op.split(" ")[0]);
  const cold =
    "CGROUP VERDICTS SHARED_PLACES UID_MAP GID_MAP BOUNDING LABEL FORK SETTING ROOT_BEGIN BIND ROOT_END UNSHARE LOOPBACK HOSTNAME PTY NICE RLIMIT RLIMIT RLIMIT UMASK SETGROUPS SETGID SECUREBITS SETUID AMBIENT SECUREBITS CAPS CHDIR NO_NEW_PRIVS SECCOMP SECCOMP LANDLOCK LANDLOCK_PATH LANDLOCK_PORT LANDLOCK_APPLY SECCOMP_LISTENER";
  expect(names(false).join(" ")).toBe(cold);
  expect(names(true).join(" ")).toBe(cold.replace("SECCOMP_LISTENER", "WAIT SECCOMP_LISTENER"));
  // Nothing else differs.
  expect(opsOf(whole, true).filter((op) => op !== "WAIT")).toEqual(opsOf(whole));
});

test.each<[string, Partial<Policy>]>([
  ["uid", { identity: { uid: 2 ** 32 - 1, gid: 1, groups: [] } }],
  ["gid", { identity: { uid: 1, gid: -1, groups: [] } }],
  ["group", { identity: { uid: 1, gid: 1, groups: [1.5] } }],
  ["groups to set", { identity: undefined, groups: [2 ** 32] }],
  ["server", { ...own("user"), server: { uid: -1, gid: 1, groups: [] } }],
  [
    "owner of a tmpfs",
    {
      ...own("mount"),
      mounts: [
        { kind: "tmpfs", target: "/t", mode: 0, owner: { uid: NaN, gid: 1 }, flags: flags(false) },
      ],
    },
  ],
])("what is no id is not cut to another: %s", (_, policy) => {
  expect(() => opsOf(policy)).toThrow(/is no uid or gid$/);
});
