/** A plan in words: each thing that it does, or does not, in a line of its own. */
import { describe, expect, test } from "bun:test";
import { explain, explainPolicy, importWords } from "../../src/plan/explain.ts";
import type { MountStep, Policy } from "../../src/plan/policy.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { plain as some } from "./plain-policy.ts";

const plain: Policy = { ...some, identity: { uid: 5, gid: 6, groups: [] }, caps: [] };
const PLAIN = [
  "see the whole file system of the host",
  "run as uid 5, gid 6, no supplementary groups",
  "no capabilities",
  "no new privileges",
  "sockets of every address family",
  "every system call: no seccomp filter",
];
/** What a policy has more, and what it has less than nothing said. */
const changes = (policy: Partial<Policy>) => {
  const lines = explainPolicy({ ...plain, ...policy });
  return [
    lines.filter((line) => !PLAIN.includes(line)),
    PLAIN.filter((line) => !lines.includes(line)),
  ];
};
const flags = (readonly = false, nosuid = false, nodev = false, noexec = false) => ({
  readonly,
  nosuid,
  nodev,
  noexec,
});
const landlock = (paths: [string, bigint][], net = 0n, ports: [number, bigint][] = []) => ({
  landlock: { files: 1n, net, scopes: 0n, paths, links: [], hosts: [], ports },
});
const [NO_USER] = PLAIN.slice(1);
const NO_CALLS = PLAIN[5];
const ALL_FAMILIES = PLAIN[4];

test("nothing said", () => {
  expect(explainPolicy(plain)).toEqual(PLAIN);
});

test.each<[Partial<Policy>, string[], (string | undefined)[]]>([
  [
    { namespaces: new Set(["user", "mount", "pid", "net", "ipc", "uts", "cgroup"]) },
    [
      "has its own users, mounts, processes, network, System V IPC and message queues, host name, control groups",
    ],
    [],
  ],
  [{ joinNet: "/run/netns/a" }, ["join the network /run/netns/a"], []],
  [
    { cgroup: { path: "p", mount: undefined, optional: false, shared: [], task: [] } },
    ["start in a control group of its own"],
    [],
  ],
  [{ hostname: "h", namespaces: new Set(["uts"]) }, ["has its own host name", "host name h"], []],
  [{ hostname: "h" }, [], []],
  [{ nice: 0 }, ["nice value 0"], []],
  [{ umask: 0o7 }, ["umask 007"], []],
  [{ chdir: "/x" }, ["working directory /x"], []],
  [
    { identity: { uid: 5, gid: 6, groups: [7, 8], name: "n" } },
    ["run as uid 5 (n), gid 6, groups 7, 8"],
    [NO_USER],
  ],
  [
    { identity: undefined },
    ["run as the server's own user, uid 10, gid 20, no supplementary groups"],
    [NO_USER],
  ],
  [
    { identity: undefined, groups: [3, 4] },
    ["run as the server's own user, uid 10, gid 20, groups 3, 4"],
    [NO_USER],
  ],
  [
    {
      identity: undefined,
      server: { uid: 1, gid: 2, groups: [{ gid: 4, name: "adm" }, { gid: 9 }] },
    },
    [
      "run as the server's own user, uid 1, gid 2, the server's own supplementary groups adm (4), 9",
    ],
    [NO_USER],
  ],
  [{ caps: undefined }, ["every capability of root"], ["no capabilities"]],
  [
    { caps: [5, 13] },
    ["capabilities KILL (signal any process), NET_RAW (send and see raw packets), no others"],
    ["no capabilities"],
  ],
  [
    { noNewPrivs: false },
    [
      "NEW PRIVILEGES by set-user-id programs and file capabilities: other users, and no other capabilities",
    ],
    ["no new privileges"],
  ],
  [
    { noNewPrivs: false, gains: true },
    ["NEW PRIVILEGES by set-user-id programs and file capabilities: every capability of root"],
    ["no new privileges"],
  ],
  [{ label: { module: "selinux", file: "f", text: "a:b" } }, ["SELinux context a:b"], []],
  [{ label: { module: "smack", file: "f", text: "S" } }, ["Smack label S"], []],
  [{ label: { module: "apparmor", file: "f", text: "exec p" } }, ["AppArmor profile p"], []],
  [
    landlock([
      ["/r", 4n],
      ["/w", 6n],
      ["/x", 5n],
      ["/b", 7n],
      ["/s", 12n],
    ]),
    [
      "Landlock: no files but below these: read /r, /s; read and write /w; read and execute /x; read and write and execute /b",
    ],
    [],
  ],
  [landlock([]), ["Landlock: no files but below these: none"], []],
  [
    landlock([], 1n, [
      [80, 1n],
      [80, 2n],
      [81, 1n],
    ]),
    [
      "Landlock: no files but below these: none",
      "Landlock: TCP ports only 80, 81; no MPTCP, no TCP Fast Open, no TCP_ULP (kernel TLS), no io_uring, which evade that",
    ],
    [],
  ],
  [
    landlock([], 1n),
    [
      "Landlock: no files but below these: none",
      "Landlock: TCP ports only none; no MPTCP, no TCP Fast Open, no TCP_ULP (kernel TLS), no io_uring, which evade that",
    ],
    [],
  ],
  [
    { families: { names: ["AF_NETLINK"], protocols: ["NETLINK_5"], filter: new Uint8Array(8) } },
    [
      "sockets only of AF_NETLINK: others fail with EAFNOSUPPORT; no io_uring, which evades that",
      "AF_NETLINK only with the protocols 5",
      "every other system call: no seccomp filter of its own",
    ],
    [ALL_FAMILIES, NO_CALLS],
  ],
  [
    {
      families: {
        names: ["AF_UNIX", "AF_NETLINK"],
        protocols: ["NETLINK_ROUTE", "NETLINK_5"],
        filter: new Uint8Array(8),
      },
    },
    [
      "sockets only of AF_UNIX, AF_NETLINK: others fail with EAFNOSUPPORT; no io_uring, which evades that",
      "AF_NETLINK only with the protocols ROUTE, 5",
      "every other system call: no seccomp filter of its own",
    ],
    [ALL_FAMILIES, NO_CALLS],
  ],
  [
    { families: { names: [], protocols: [], filter: undefined }, seccomp: new Uint8Array(16) },
    [
      "no sockets: they fail with EAFNOSUPPORT; no io_uring, which evades that",
      "system calls only through a filter of 2 instructions",
    ],
    [ALL_FAMILIES, NO_CALLS],
  ],
  [
    {
      seccomp: new Uint8Array(8),
      abi: "i386",
      told: { all: true, verdicts: new Uint8Array(), names: {} },
    },
    [
      "system calls only through a filter of 1 instructions",
      "programs of i386 may run too",
      "the outcome names the calls that the filter denies or logs",
    ],
    [NO_CALLS],
  ],
  [
    { seccomp: new Uint8Array(8), told: { all: false, verdicts: new Uint8Array(), names: {} } },
    [
      "system calls only through a filter of 1 instructions",
      "the outcome names the calls whose action is SCMP_ACT_NOTIFY",
    ],
    [NO_CALLS],
  ],
])("policy %#", (policy, more, less) => {
  expect(changes(policy)).toEqual([more, less as string[]]);
});

test.each([
  ["own", { kind: "own" }, "of its own devpts, mounted nowhere"],
  ["mounted", { kind: "mounted", path: "/dev/pts" }, "of its own devpts at /dev/pts"],
  ["machine", { kind: "machine", path: "/dev/ptmx" }, "of the machine's devpts"],
] as const)("a terminal: %s", (_, origin, from) => {
  const [more, less] = changes({ pty: { columns: 9, rows: 8, origin, filter: new Uint8Array() } });
  expect(more).toEqual([
    `a terminal ${from}, 9 columns and 8 rows: stderr comes in stdout, there is nothing to read, and nothing can be typed (TIOCSTI, TIOCLINUX)`,
    "every other system call: no seccomp filter of its own",
  ]);
  expect(less).toEqual([NO_CALLS as string]);
});

test.each<[MountStep, string]>([
  [{ kind: "bind", source: "/s", target: "/t", flags: flags() }, "mount /t from /s (writable)"],
  [
    {
      kind: "bind",
      source: "/s",
      target: "/t",
      optional: true,
      flags: flags(true, true, true, true),
    },
    "mount /t from /s, if it is there, (read-only, nosuid, nodev, noexec)",
  ],
  [
    { kind: "tmpfs", target: "/t", mode: 0, flags: flags(false, true) },
    "mount /t as an empty tmpfs (writable, nosuid)",
  ],
  [
    { kind: "tmpfs", target: "/t", mode: 0, size: "64k", flags: flags(false, false, true) },
    "mount /t as an empty tmpfs of at most 64k (writable, nodev)",
  ],
  [{ kind: "symlink", target: "/l", text: "x" }, "link /l to x"],
  [{ kind: "dir", target: "/d", mode: 0 }, "make the directory /d"],
  [{ kind: "proc", target: "/p" }, "mount /p as the proc of its own processes"],
  [{ kind: "devpts", target: "/p" }, "mount /p as pseudo terminals of its own"],
  [{ kind: "mqueue", target: "/q" }, "mount /q as the message queues of the host"],
  [{ kind: "sys", target: "/sys" }, "mount /sys as a read-only sysfs of its own network"],
  [{ kind: "rebind", target: "/r", flags: flags(true) }, "make /r read-only"],
  [
    { kind: "file", target: "/f", mode: 0, content: new Uint8Array(3) },
    "put a file of 3 bytes, made at boot, at /f",
  ],
  [
    { kind: "file", target: "/f", mode: 0, content: new Uint8Array(3), named: true },
    "put a file with localhost and the host name at /f",
  ],
  [{ kind: "lock", target: "/l" }, "hold a lock on /l"],
  [{ kind: "seal", target: "/dev" }, "make /dev read-only"],
])("%j", (step, line) => {
  expect(changes({ mounts: [step] })).toEqual([
    ["start from an empty, read-only root", line],
    [PLAIN[0] as string],
  ]);
});

test("message queues are the command's own where its namespace is", () => {
  const mounts: MountStep[] = [{ kind: "mqueue", target: "/q" }];
  expect(changes({ mounts, namespaces: new Set(["ipc"]) })[0]).toContain(
    "mount /q as message queues of its own",
  );
});

test("a root of the host is no empty one", () => {
  const root: MountStep = { kind: "bind", source: "/", target: "/", flags: flags(true) };
  expect(changes({ mounts: [root] })[0]).toEqual(["mount / from / (read-only)"]);
});

describe("a command", () => {
  const plan = (more: Partial<Plan>): string[] =>
    explain({
      ...{
        api: "a",
        verb: "v",
        command: "c",
        sandbox: "s",
        privileges: [],
        timeout: 0,
        concurrency: 0,
      },
      ...{
        sandboxConcurrency: 0,
        verbose: 0,
        encoder: { name: "text", opts: {} },
        env: {},
        policy: plain,
        ops: new Uint8Array(),
      },
      argv: { elements: [], names: new Set() },
      ...more,
    }).slice(PLAIN.length);
  test("secrets: where they come from, and whether they have to be there", () => {
    const secrets = {
      env: { TOKEN: "/s/token" },
      kept: [],
      files: [
        { path: "/s/env", optional: false },
        { path: "/s/more", optional: true },
      ],
    };
    expect(plan({ secrets }).filter((line) => line.includes("/s/"))).toEqual([
      "variables of /s/env, read at each launch",
      "variables of /s/more, read at each launch, where it is there",
      "TOKEN: what is in /s/token at each launch",
    ]);
  });
  test("what its callers have to do, and what is written before", () => {
    expect(plan({ confirm: true })[0]).toBe("clients ask a person before they start it");
    expect(plan({ audited: true })[0]).toBe("not started before that is written to the audit");
  });
  test("its end, its pool, its program", () => {
    expect(plan({})).toEqual(["no time limit", "execute what the caller names"]);
    expect(plan({ timeout: 1 })[0]).toBe("killed after 0.001 s");
    expect(plan({ timeout: 1500 })[0]).toBe("killed after 1.5 s");
    expect(plan({ input: 1024 })[0]).toBe("stdin: what its callers give it, at most 1024 bytes");
    expect(plan({ timeout: 1500, stop: { signal: 15, grace: 250 } }).slice(0, 2)).toEqual([
      "told to end after 1.5 s",
      "told to end by SIGTERM, also by its time limit and at the server's end: what is left 0.25 s later is killed",
    ]);
    expect(plan({ pool: { size: 2, ops: new Uint8Array() } })[0]).toBe(
      "2 of these are kept ready, with all but the filter done",
    );
    expect(plan({ keptBack: ["A", "B"] })[0]).toBe(
      "variables of the server that are not handed on: A, B; envs can name them",
    );
    const elements = [
      [{ kind: "text", text: "/bin/x" }],
      [
        { kind: "text", text: "a b=" },
        { kind: "value", name: "n", required: true },
      ],
      [{ kind: "value", name: "m", required: false }],
    ] as const;
    expect(plan({ argv: { elements, names: new Set() } }).at(-1)).toBe(
      'execute "/bin/x" "a b=%n%" "?m?"',
    );
  });
});

test.each<[Partial<Parameters<typeof importWords>[0]>, string]>([
  [
    {},
    "far/*: of another binder, at unix:/run/x, by RPC v3; the start waits for it; whoever may call here may call it",
  ],
  [
    { speech: "ws", optional: true, verbs: ["a", "b"], remote: "other" },
    "far/a, b: of another binder, at unix:/run/x as other, by WSAPI; the server starts without it too; whoever may call here may call it",
  ],
  [
    { private: true, remote: undefined },
    "far/*: of another binder, at unix:/run/x as the API without a name, by RPC v3; the start waits for it; only actions and extra verbs call it",
  ],
  [
    { privileges: ["urn:x", "urn:y"] },
    "far/*: of another binder, at unix:/run/x, by RPC v3; the start waits for it; who has urn:x, urn:y may call it",
  ],
])("an import: %#", (more, expected) => {
  const plan = {
    ...{ name: "far", remote: "far", speech: "rpc", uri: "unix:/run/x?key=/secret" },
    ...{ address: { kind: "unix", path: "/run/x" }, privileges: [], ...more },
  } as Parameters<typeof importWords>[0];
  expect(importWords(plan)).toBe(expected);
});
