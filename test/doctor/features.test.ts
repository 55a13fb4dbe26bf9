/** What is found of a machine, and what to do about it: of machines that a test describes. Whether this one is so, others ask it. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { release } from "node:os";
import type { KernelCall } from "../../ffi/kernel.ts";
import { cgroupFeature } from "../../src/doctor/cgroups.ts";
import { HIDDEN, OWN_VIEW } from "../../src/launch/cgroup/place.ts";
import type { FeatureName } from "../../src/doctor/feature.ts";
import { type Host, hostFeatures, kernelFile } from "../../src/doctor/host.ts";
import { found as ended, PROBES, remedyOf } from "../../src/doctor/probes.ts";
import { doctorVerb } from "../../src/doctor/verb.ts";

type Files = Readonly<Record<string, string | undefined>>;
const LIMITS = "/proc/self/limits";
const STATUS = "/proc/self/status";
/** A machine on which all is well, but for what a test says. */
const FILES: Files = {
  "/proc/sys/kernel/seccomp/actions_avail": "kill allow",
  [LIMITS]: "Limit Soft\nMax open files            4096                 9999    files",
  [STATUS]: "Name: x\nNoNewPrivs:\t0\nCapBnd:\t000001ffffffffff",
  "/proc/sys/kernel/cap_last_cap": "40",
  "/proc/sys/kernel/yama/ptrace_scope": "1",
};
const none = (what: string) => () => {
  throw new Error(what);
};
function host(files: Files = {}, more: Partial<Host> = {}): Host {
  const all: Files = { ...FILES, ...files };
  return {
    ...{ file: (path) => all[path], missingCall: () => undefined, landlockAbi: () => 5 },
    ...{ memfd: () => {}, libseccomp: () => "2.5.4", libcap: () => {}, ...more },
  };
}
const found = (name: string, files?: Files, more?: Partial<Host>) => {
  const { name: _, ...feature } =
    hostFeatures(host(files, more)).find((one) => one.name === name) ?? {};
  return feature;
};
const there = (what: string) => ({ ok: true, found: what });
const missing = (what: string, remedy: unknown) => ({ ok: false, found: what, remedy });

test("all is well, in its order", () => {
  const all = hostFeatures(host());
  expect(all.map(({ name }) => name)).toEqual([
    ...["kernel", "clone3", "pidfd_open", "openat2", "pidfd_getfd", "close_range", "mount_setattr"],
    ...["memfd", "seccomp-actions", "libseccomp", "libcap", "landlock", "open-files"],
    ...["bounding-set", "new-privileges", "yama"],
  ]);
  expect(all.every(({ ok, remedy }) => ok && remedy === undefined)).toBe(true);
  expect(found("kernel")).toEqual(there(`Linux ${release()}, ${process.arch}`));
  for (const name of ["clone3", "mount_setattr", "libcap"])
    expect(found(name)).toEqual(there("there"));
  expect(found("memfd")).toEqual(there("executable"));
  expect(found("seccomp-actions")).toEqual(there("kill allow"));
  expect(found("libseccomp")).toEqual(there("2.5.4"));
});

test.each<[KernelCall, string]>([
  ["clone3", "processes are put into their groups before they go on"],
  ["pidfd_open", "processes are held by their directories in /proc"],
  ["openat2", "paths are walked step by step"],
  ["close_range", "descriptors are closed one by one"],
  ["mount_setattr", "mounts are restricted one by one"],
])("without %s %s", (call, instead) => {
  const missingCall = (name: KernelCall) => (name === call ? "ENOSYS" : undefined);
  expect(found(call, {}, { missingCall })).toEqual(there(`ENOSYS, so ${instead}`));
});

test.each([
  ["ENOSYS", "it needs Linux 5.6, and only seccomp.report and SCMP_ACT_NOTIFY do"],
  [
    "EPERM",
    "a seccomp filter around the server denies it: allow it, as by a newer container runtime",
  ],
])("without pidfd_getfd, for %s", (errno, remedy) => {
  const missingCall = (name: KernelCall) => (name === "pidfd_getfd" ? errno : undefined);
  expect(found("pidfd_getfd", {}, { missingCall })).toEqual(missing(errno, remedy));
});

const PLAN = "unless they are in a plan file: spawnbox compile";
const WEAK =
  "commands of the same user can look into each other, unless their pids are private: sysctl kernel.yama.ptrace_scope=1";
test.each<[string, Files, Partial<Host>, object]>([
  ["memfd", {}, { memfd: none("no memfd") }, missing("no memfd", expect.stringMatching(/\S/))],
  [
    ...(["seccomp-actions", { "/proc/sys/kernel/seccomp/actions_avail": undefined }, {}] as const),
    missing("none", "a kernel with CONFIG_SECCOMP_FILTER"),
  ],
  [
    ...(["libseccomp", {}, { libseccomp: none("gone") }] as const),
    missing("gone", `needed for seccomp rules, ${PLAN}`),
  ],
  ["libcap", {}, { libcap: none("gone") }, missing("gone", `needed for caps, ${PLAN}`)],
  ["landlock", {}, { landlockAbi: () => 1 }, there("version 1")],
  [
    ...(["landlock", { "/sys/kernel/security/lsm": "yama" }, { landlockAbi: () => 0 }] as const),
    missing(
      "none; security modules: yama",
      "Linux 5.13 with CONFIG_SECURITY_LANDLOCK and landlock in lsm=",
    ),
  ],
  [
    ...(["landlock", {}, { landlockAbi: () => -1 }] as const),
    expect.objectContaining({ found: "none; security modules: unknown" }) as object,
  ],
  ["open-files", {}, {}, there("4096")],
  [
    ...(["open-files", { [LIMITS]: "Max open files 4095 9999 files" }, {}] as const),
    missing("4095", "LimitNOFILE=65536: a running task holds about five descriptors of the server"),
  ],
  ["open-files", { [LIMITS]: undefined }, {}, there("unknown")],
  ["bounding-set", {}, {}, there("every capability")],
  [
    ...(["bounding-set", { [STATUS]: "CapBnd: 000001fffffffffe" }, {}] as const),
    missing(
      "without CHOWN (give files to others)",
      "no command can have these: CapabilityBoundingSet= of the unit, --cap-add of the container",
    ),
  ],
  [
    ...(["bounding-set", { [STATUS]: "CapBnd: 000000ffffffffff" }, {}] as const),
    expect.objectContaining({
      found: "without CHECKPOINT_RESTORE (checkpoint and restore processes)",
    }) as object,
  ],
  [
    "bounding-set",
    { [STATUS]: "CapBnd: 000000ffffffffff", "/proc/sys/kernel/cap_last_cap": "39" },
    {},
    there("every capability"),
  ],
  [
    "bounding-set",
    { [STATUS]: undefined, "/proc/sys/kernel/cap_last_cap": undefined },
    {},
    expect.objectContaining({
      found: expect.stringMatching(/CHOWN.*CHECKPOINT_RESTORE \(.*\)$/),
    }) as object,
  ],
  ["new-privileges", {}, {}, there("the server is not restrained")],
  [
    ...(["new-privileges", { [STATUS]: "NoNewPrivs:\t1" }, {}] as const),
    missing(
      "no_new_privs is set on the server",
      "set-user-id programs cannot work even with newPrivs: NoNewPrivileges=no in the unit",
    ),
  ],
  ["yama", {}, {}, there("ptrace_scope 1")],
  ["yama", { "/proc/sys/kernel/yama/ptrace_scope": "0" }, {}, missing("ptrace_scope 0", WEAK)],
  [
    "yama",
    { "/proc/sys/kernel/yama/ptrace_scope": undefined },
    {},
    missing("not in this kernel", WEAK),
  ],
])("%s of %p", (name, files, more, expected) => {
  expect(found(name, files, more)).toEqual(expected as ReturnType<typeof found>);
});

describe("control groups", () => {
  const V1 = "30 1 0:5 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu";
  const V2 = "31 1 0:6 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw";
  const ALL = "cpuset cpu io memory pids hugetlb";
  const BOOT =
    "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all), so that version 2 has the controllers";
  const of = (mounts: string[], own: string | undefined, controllers?: string, writable = true) => {
    const files: Files = {
      "/proc/self/mountinfo": mounts.join("\n"),
      "/proc/self/cgroup": own,
      "/cg/cgroup.controllers": own === "0::/" || own === undefined ? controllers : "wrong",
      "/cg/a/cgroup.controllers": controllers,
    };
    const asked: string[] = [];
    const feature = cgroupFeature(
      (path) => files[path],
      (path) => {
        asked.push(path);
        return writable;
      },
    );
    return { feature, asked };
  };
  test.each<[string, Parameters<typeof of>, object]>([
    [
      "all there",
      [[V1.replace("cgroup cgroup", "tmpfs x"), V2], "0::/a", ALL],
      there(`/cg/a: ${ALL}`),
    ],
    ["of the root", [[V2], "1:cpu:/x\n0::/", ALL], there("/cg/a: wrong")],
    [
      "of the host's, in a namespace of ours",
      [[V2.replace(" / ", " /../.. ")], "0::/", ALL],
      missing("/cg: our group / is not visible there", OWN_VIEW),
    ],
    [
      "of two, where it is seen",
      [[V2, V2.replace("31 1 0:6 / /cg", "32 1 0:6 /x /other")], "0::/a", ALL],
      there(`/cg/a: ${ALL}`),
    ],
    [
      "at its own place",
      [[V2.replace("/ /cg", "/x/y /cg/a")], "0::/x/y", ALL],
      there(`/cg/a: ${ALL}`),
    ],
    ["hidden", [[V2], "0::/a"], missing("/cg/a: cannot be seen", HIDDEN)],
    ["none", [[], "0::/a"], missing("not mounted", "mount -t cgroup2 none /sys/fs/cgroup")],
    ["the old ones", [[V1], "0::/a"], missing("only version 1", BOOT)],
    [
      "not writable",
      [[V2], "0::/a", ALL, false],
      missing(`/cg/a: ${ALL}; not writable`, "Delegate=yes in the unit, or run as root"),
    ],
    ["both", [[V1, V2], "0::/a", "cpu"], missing("/cg/a: cpu; the system is hybrid", BOOT)],
    [
      "without controllers",
      [[V2], "0::/a", ""],
      missing(
        "/cg/a: no controllers",
        "cpu, cpuset, io, memory, pids: enable in cgroup.subtree_control of the parent, Delegate=yes in the unit",
      ),
    ],
    [
      "without some",
      [[V2], "0::/a", "cpu io pids"],
      missing(
        "/cg/a: cpu io pids",
        "cpuset, memory: enable in cgroup.subtree_control of the parent, Delegate=yes in the unit",
      ),
    ],
    ["both, and all there", [[V1, V2], "0::/a", ALL], there(`/cg/a: ${ALL}`)],
  ])("%s", (what, given, expected) => {
    if (what === "of the root") {
      const { feature, asked } = of([V2], "0::/", ALL);
      expect([feature.found, asked]).toEqual([`/cg: ${ALL}`, ["/cg"]]);
      expect(of([V2], undefined, ALL).feature.found).toBe(`/cg: ${ALL}`);
      return;
    }
    const { feature, asked } = of(...given);
    expect(feature as object).toEqual({ name: "cgroup-v2", ...expected });
    if (asked.length > 0) expect(asked).toEqual(["/cg/a"]);
  });
});

const NAMESPACES =
  "a kernel with CONFIG_NAMESPACES, and a container that may use it (--privileged, or --security-opt)";
const APPARMOR =
  "an AppArmor profile with `userns,` for spawnbox, or sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run the server as root";
test.each<[FeatureName, boolean, Files, string]>([
  ["launch", true, {}, "the launcher cannot run here at all: see memfd and the calls above"],
  [
    "user-switch",
    false,
    {},
    "acls.user, group and groups need a server of root, and a container that maps all users",
  ],
  [
    "label",
    true,
    {},
    "acls.label needs SELinux, Smack or AppArmor in lsm= of the kernel command line",
  ],
  [
    ...(["seccomp-report", true, {}] as const),
    "Linux 5.6, and ptrace(2) of children allowed: kernel.yama.ptrace_scope at most 2 for root, 1 for others; a filter that is told cannot be inside another",
  ],
  ["seccomp", true, {}, "install libseccomp2, and use a kernel with CONFIG_SECCOMP_FILTER"],
  [
    "families",
    true,
    {},
    'a kernel with CONFIG_SECCOMP_FILTER; "network": {"families": "all"} does without',
  ],
  ["mounts", true, { "/proc/sys/user/max_user_namespaces": "0" }, NAMESPACES],
  ["mounts", false, {}, NAMESPACES],
  [
    "mounts",
    false,
    { "/proc/sys/user/max_user_namespaces": "0" },
    "sysctl user.max_user_namespaces=10000",
  ],
  [
    "namespace-user",
    true,
    { "/proc/sys/user/max_user_namespaces": "0" },
    "sysctl user.max_user_namespaces=10000",
  ],
  [
    ...(["namespace-pid", false, { "/proc/sys/kernel/unprivileged_userns_clone": "0" }] as const),
    "sysctl kernel.unprivileged_userns_clone=1, or run the server as root",
  ],
  [
    "namespace-net",
    false,
    { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1" },
    APPARMOR,
  ],
  [
    "namespace-net",
    false,
    {
      "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0",
      "/proc/sys/user/max_user_namespaces": "5",
    },
    NAMESPACES,
  ],
])("what to do about %s, as root %p, where there is %p", (name, privileged, files, remedy) => {
  expect(remedyOf(name, { privileged }, (path) => files[path])).toBe(remedy);
});

test("what is tried, each by a sandbox of that alone", () => {
  const there = ["/usr", "/bin", "/lib", "/lib64"].filter((path) => existsSync(path));
  const shares = (key: string) => ({ namespace: { shares: { [key]: "disable" } } });
  expect(Object.fromEntries(PROBES) as object).toEqual({
    launch: {},
    ...Object.fromEntries(
      ["pid", "net", "ipc", "uts", "cgroup"].map((key) => [`namespace-${key}`, shares(key)]),
    ),
    "namespace-user": shares("users"),
    mounts: {
      namespace: {
        shares: { pid: "disable" },
        mounts: [
          ...there.map((target) => ({ target })),
          { target: "/proc", mode: "proc" },
          { target: "/dev", mode: "dev" },
          { target: "/tmp", mode: "tmpfs" },
        ],
      },
    },
    seccomp: {
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: [{ syscall: "reboot", action: "SCMP_ACT_ERRNO(EPERM)" }],
      },
    },
    families: { network: { families: ["AF_UNIX"] } },
    "seccomp-report": { seccomp: { default: "SCMP_ACT_LOG", report: true } },
  });
});

test.each([
  [{ exit: 0 }, there("works")],
  [{ exit: 3 }, missing("exit code 3", expect.stringContaining("libseccomp2"))],
  [{ signal: 31 }, missing("killed by signal 31", expect.stringContaining("libseccomp2"))],
])("what does nothing ended with %p", (end, expected) => {
  expect(ended("seccomp", end, { privileged: true })).toEqual({
    name: "seccomp",
    ...expected,
  } as never);
});

test("a file of the kernel is what it says, without its end, or nothing", () => {
  expect(kernelFile("/proc/sys/kernel/ostype")).toBe("Linux");
  expect(kernelFile("/proc/none")).toBeUndefined();
});

test("the verb takes nothing, and is for who may", async () => {
  const verb = doctorVerb();
  expect(verb).toMatchObject({
    ...{ name: "doctor", isLong: true, privileges: ["urn:spawnbox:doctor"] },
  });
  expect(verb.describe?.()).toEqual({
    ...{ info: "what this kernel and user can do, by trying", parameters: [] },
  });
  for (const args of [{ a: 1 }, "x", [1]])
    expect(
      await (verb.call({ args } as never) as Promise<unknown>).catch((error: unknown) => error),
    ).toMatchObject({
      ...{ status: "invalid-request", message: "doctor takes no arguments" },
    });
});
