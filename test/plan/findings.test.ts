/** Each finding of the exposure with its weight, and what is none. */
import { expect, test } from "bun:test";
import { exposure, improvements } from "../../src/plan/exposure.ts";
import type { NamespaceName, Policy } from "../../src/plan/policy.ts";

const flags = (readonly: boolean) => ({ readonly, nosuid: true, nodev: true, noexec: false });
const mount = (source: string, readonly = false, target = source) =>
  ({ kind: "bind", source, target, flags: flags(readonly) }) as const;
const NAMES: NamespaceName[] = ["user", "mount", "pid", "net", "ipc", "uts", "cgroup"];
const without = (...names: NamespaceName[]) => ({
  namespaces: new Set(NAMES.filter((one) => !names.includes(one))),
});
const families = (...names: string[]) => ({
  families: { names, protocols: [], filter: undefined },
});
const landlock = (net: bigint) => ({
  landlock: { files: 1n, net, scopes: 0n, paths: [], links: [], hosts: [], ports: [] },
});

/** Nothing is found in it. */
const tight: Policy = {
  privileged: true,
  server: { uid: 0, gid: 0, groups: [] },
  groups: undefined,
  identity: { uid: 5, gid: 5, groups: [] },
  umask: 0o77,
  chdir: "/",
  namespaces: new Set(NAMES),
  joinNet: undefined,
  hostname: undefined,
  mounts: [],
  caps: [],
  noNewPrivs: true,
  cgroup: undefined,
  landlock: undefined,
  label: undefined,
  nice: undefined,
  ...families("AF_UNIX"),
  seccomp: new Uint8Array(8),
  told: undefined,
  rlimits: [[7, 1n]],
};
const found = (policy: Partial<Policy>, timeout = 1) =>
  exposure({ policy: { ...tight, ...policy }, timeout }).findings.map(({ what, weight }) => [
    what,
    weight,
  ]);
const id = (uid: number, ...groups: number[]) => ({ identity: { uid, gid: uid, groups } });

test.each<[Partial<Policy>, [string, number][]]>([
  [{}, []],
  [id(0), [["runs as root", 2]]],
  [{ identity: undefined }, [["runs as root", 2]]],
  [{ privileged: false, identity: undefined }, []],
  [{ noNewPrivs: false }, [["can gain privileges by set-user-id programs", 1.2]]],
  [id(5, 1), [["has 1 supplementary group", 0.1]]],
  [id(5, 1, 2, 3, 4), [["has 4 supplementary groups", 0.3]]],
  [
    { privileged: false, identity: undefined, groups: [1, 2] },
    [["has 2 supplementary groups", 0.2]],
  ],
  [
    { privileged: false, identity: undefined, server: { uid: 1, gid: 1, groups: [{ gid: 2 }] } },
    [["has 1 supplementary group", 0.1]],
  ],
  [
    { ...id(0), caps: undefined },
    [
      ["runs as root", 2],
      ["has every capability", 1.5],
    ],
  ],
  [{ ...id(5), caps: undefined }, []],
  [{ privileged: false, identity: undefined, caps: undefined }, []],
  [{ mounts: undefined }, [["sees all files of the host", 1.5]]],
  [
    { mounts: undefined, ...landlock(0n) },
    [["sees the host's files, as far as Landlock allows", 0.5]],
  ],
  [{ mounts: [mount("/srv")] }, [["can write to /srv of the host", 0.2]]],
  [{ mounts: [mount("/srv", true)] }, []],
  ...[
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/boot",
    "/root",
    "/home",
    "/var",
    "/run",
    "/sys",
  ].map((path): [Partial<Policy>, [string, number][]] => [
    { mounts: [mount(path)] },
    [[`can write to ${path} of the host`, 1]],
  ]),
  [{ mounts: [mount("/etc/x")] }, [["can write to /etc/x of the host", 0.2]]],
  [{ mounts: [mount("/", false, "/host")] }, [["can write to / of the host", 1]]],
  [{ mounts: [mount("/", true)] }, [["sees all files of the host", 1.2]]],
  [{ mounts: [mount("/", true, "/host")] }, []],
  [{ mounts: [mount("/img", true, "/")] }, []],
  [{ mounts: [mount("/dev", true)] }, [["sees all devices of the host", 0.5]]],
  [
    {
      mounts: ["null", "zero", "full", "random", "urandom", "tty"].map((name) =>
        mount(`/dev/${name}`),
      ),
    },
    [],
  ],
  [{ mounts: [mount("/dev/sda")] }, [["can write to /dev/sda of the host", 0.2]]],
  [{ mounts: [mount("/proc")] }, []],
  [{ mounts: [{ kind: "tmpfs", target: "/t", mode: 0, flags: flags(false) }] }, []],
  [without("net"), [["uses the host's network", 1]]],
  [{ ...without("net"), ...landlock(1n) }, [["uses the host's network", 0.6]]],
  [{ ...without("net"), ...landlock(0n) }, [["uses the host's network", 1]]],
  [{ ...without("net"), joinNet: "/n" }, [["uses the network /n", 0.5]]],
  [without("pid"), [["sees the host's processes", 0.7]]],
  [without("user"), [["shares the host's user ids", 0.4]]],
  [without("ipc"), [["shares the host's System V IPC and message queues", 0.3]]],
  [without("uts"), [["shares the host's name", 0.1]]],
  [without("cgroup", "mount"), []],
  [
    { families: undefined },
    [["may use sockets that its network does not hold, such as AF_VSOCK", 0.3]],
  ],
  [{ families: undefined, ...without("net") }, [["uses the host's network", 1]]],
  [
    { families: undefined, ...without("net"), joinNet: "/n" },
    [
      ["uses the network /n", 0.5],
      ["may use sockets that its network does not hold, such as AF_VSOCK", 0.3],
    ],
  ],
  [families("AF_UNIX", "AF_INET", "AF_VSOCK"), [["shares AF_VSOCK with the host", 0.1]]],
  [{ seccomp: undefined }, [["may use every system call", 1.5]]],
  [{ abi: "i386" }, [["may use the system calls of i386 too", 0.2]]],
  [{ rlimits: [] }, [["has no resource limits", 0.5]]],
  [
    { rlimits: [], cgroup: { path: "p", mount: undefined, optional: false, shared: [], task: [] } },
    [],
  ],
])("found %#", (policy, expected) => {
  expect(found(policy)).toEqual(expected);
});

test.each([1, 2, 7, 16, 17, 19, 21, 22, 27, 33, 39, 0, 5, 10, 12, 13, 23])(
  "capability %d",
  (cap) => {
    const takesOver = [1, 2, 7, 16, 17, 19, 21, 22, 27, 33, 39].includes(cap);
    const weight = takesOver ? 1 : 0.2;
    const weightOf = (policy: Partial<Policy>) =>
      found(policy).find(([what]) => `${what}`.startsWith("has the capability "))?.[1];
    expect(weightOf({ caps: [cap], ...without("user") })).toBe(weight);
    expect(weightOf({ caps: [cap] })).toBeCloseTo(weight * 0.4);
  },
);

test("without a time-out it may run for ever", () => {
  expect(found({}, 0)).toEqual([["may run for ever", 0.2]]);
});

test("the score is the sum, rounded, at most 10; the worst comes first, and the easiest remedy", () => {
  const loose = { ...id(0), seccomp: undefined, ...without("net", "pid"), rlimits: [] };
  const all = exposure({ policy: { ...tight, ...loose }, timeout: 0 });
  expect(all.score).toBe(5.9);
  const weights = all.findings.map(({ weight }) => weight);
  expect(weights).toEqual(weights.toSorted((a, b) => b - a));
  expect(improvements(all).map(({ what }) => what)).toEqual([
    "uses the host's network",
    "sees the host's processes",
    "has no resource limits",
  ]);
  expect(improvements(all, 1)).toHaveLength(1);
  const caps = Array.from({ length: 41 }, (_, i) => i);
  expect(
    exposure({ policy: { ...tight, ...loose, caps, ...without("user") }, timeout: 0 }).score,
  ).toBe(10);
});
