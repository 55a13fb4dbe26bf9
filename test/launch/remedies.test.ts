/** Which of the causes is named, and with which remedy: each way through the words of a failed step. */
import { expect, test } from "bun:test";
import type { Confinement } from "../../src/launch/confinement.ts";
import { hint, killed } from "../../src/launch/hints.ts";
import { lowerLimits } from "../../src/launch/lower-limits.ts";
import { type Need, needOf, NEEDS, option, type Step } from "../../src/launch/step-needs.ts";
import { capabilityName } from "../../src/plan/words.ts";

const ALL = (1n << 41n) - 1n;
type Here = Partial<Confinement> & { readonly settings?: Readonly<Record<string, string>> };
const place = (more: Here = {}): Confinement => ({
  ...{ filtered: false, noNewPrivs: false, caps: ALL, label: undefined, isUnit: false },
  ...{ container: undefined, fewIds: false, foreignProc: false, readOnlySettings: false },
  setting: (name) => more.settings?.[name],
  hardLimit: () => "512",
  ...more,
});
const UNIT: Here = { isUnit: true };
const DOCKER: Here = { container: "docker" };
const LABEL: Here = { label: "spawnbox-profile" };
const bare = (...names: string[]): Here => ({
  caps: ALL & ~names.reduce((mask, name) => mask | (1n << BigInt(numberOf(name))), 0n),
});
const numberOf = (name: string): number =>
  Array.from({ length: 41 }, (_, i) => i).find((i) => capabilityName(i) === name) ?? -1;
const namespaces = (...names: string[]) => ({
  policy: { namespaces: new Set(names), rlimits: [] },
});
const said = (step: Step, errno: string, here: Here, what = "", plan?: object) =>
  hint({ step, errno, what, plan: plan as never }, place(here));

const CLONE_OFF = { settings: { "kernel.unprivileged_userns_clone": "0" } };
const APPARMOR = { settings: { "kernel.apparmor_restrict_unprivileged_userns": "1" } };
const sysctls = ["user", "pid", "net", "ipc", "uts", "mnt", "cgroup"];

/** The step, its errno and what it is about; where; how the words begin, or what is in them; the plan. */
type Row = readonly [string, Here, string, object?];
test.each<Row>([
  [
    "MEMFD EACCES",
    { settings: { "vm.memfd_noexec": "1" } },
    "the server may not use memfd_create(2) here: ",
  ],
  ["SPAWN EMFILE", {}, "the server may have 512 file descriptors: raise LimitNOFILE="],
  ["SPAWN EMFILE", { hardLimit: () => undefined }, "the server may have too few file descriptors"],
  [
    "SPAWN EAGAIN",
    { hardLimit: (line) => (line === "Max processes" ? "77" : "1") },
    "as many processes as it may (limit 77)",
  ],
  ["SPAWN EAGAIN", { hardLimit: () => undefined }, "(limit unknown)"],
  [
    "CLONE EAGAIN",
    { hardLimit: (line) => (line === "Max processes" ? "77" : "1") },
    "as many processes as the server's user (limit 77), the group or",
  ],
  ["SPAWN EACCES", {}, "a security module forbids to execute from memory: see dmesg"],
  [
    "SPAWN EACCES",
    LABEL,
    "spawnbox-profile confines the server and may forbid it: see dmesg; AppArmorProfile=",
  ],
  [
    "SPAWN EACCES",
    { ...LABEL, ...DOCKER },
    "spawnbox-profile confines the server and may forbid it: --security-opt apparmor=unconfined",
  ],
  [
    "OUTPUT EINVAL",
    { fewIds: true },
    "that id does not exist in the user namespace of the server, which maps only some",
  ],
  ["OUTPUT EINVAL", {}, "that id does not exist in the user namespace of the sandbox"],
  [
    "UID_MAP EPERM",
    { foreignProc: true },
    "the /proc that is mounted here is of another pid namespace",
  ],
  ["UID_MAP EPERM", CLONE_OFF, "kernel.unprivileged_userns_clone is 0"],
  ["GID_MAP EACCES", APPARMOR, "kernel.apparmor_restrict_unprivileged_userns is 1"],
  [
    "UID_MAP EPERM",
    CLONE_OFF,
    "the server may not map the ids of the sandbox: it needs CAP_SETUID and CAP_SETGID",
    namespaces("pid"),
  ],
  ["UID_MAP EPERM", { fewIds: true }, "as its own namespace maps only some: PrivateUsers=no"],
  ["UID_MAP EPERM", DOCKER, "as its own namespace maps only some: --userns=host"],
  ["UID_MAP ENOENT", {}, "/proc does not show the launcher's own child"],
  ["GID_MAP ENOENT", { foreignProc: true }, "of another pid namespace"],
  ["JOIN_NET ENOENT /run/netns/vpn0", {}, "there is no such network namespace: ip netns add vpn0"],
  [
    "LABEL EROFS /proc/self/attr/exec",
    {},
    "/proc/self/attr/exec is read-only here: ProtectKernelTunables=no, ProcSubset=all",
  ],
  ["CLONE EINVAL", {}, "this kernel lacks such a namespace"],
  ["CLONE ENOENT", {}, "others have removed its control group"],
  ["CLONE ENODEV", {}, "others have removed its control group"],
  ["CLONE ENOENT close_range", {}, "the kernel refused close_range(2)"],
  [
    "CLONE EINVAL close_range",
    {},
    "the kernel refused close_range(2), of Linux 5.9 with an answer that is not known here",
  ],
  [
    "CLONE ENOSYS close_range",
    {},
    "this kernel has no close_range(2), of Linux 5.9: it needs Linux 5.9",
  ],
  [
    "CLONE ENOSYS close_range",
    { filtered: true },
    "a seccomp filter around the server hides close_range(2), of Linux 5.9, or this is no Linux 5.9: ",
  ],
  ["LANDLOCK_PORT ENOSYS", {}, "it needs Linux 6.7, for TCP ports"],
  ["FORK ENOMEM", {}, "out of memory, or the pid namespace is ending"],
  ["FORK ENOMEM eventfd", {}, "out of memory: see MemoryMax="],
  ["FORK EMFILE eventfd", {}, "the server may have 512 file descriptors"],
  ["UNSHARE ENOSPC", {}, "there are as many namespaces as the user may have"],
  [
    "UNSHARE ENOSPC",
    { settings: { "user.max_net_namespaces": "1" } },
    "there are as many namespaces as the user may have",
  ],
  [
    "UNSHARE ENOSPC",
    { settings: { "user.max_uts_namespaces": "0" }, readOnlySettings: true },
    "it is read-only here, so set it where the container or unit is started: sysctl user.max_uts_namespaces=10000",
  ],
  ["CLONE EPERM", CLONE_OFF, "kernel.unprivileged_userns_clone is 0", namespaces("user")],
  [
    "CLONE EACCES",
    APPARMOR,
    "kernel.apparmor_restrict_unprivileged_userns is 1",
    namespaces("user"),
  ],
  [
    "CLONE EPERM",
    {
      settings: {
        "kernel.unprivileged_userns_clone": "1",
        "kernel.apparmor_restrict_unprivileged_userns": "0",
      },
    },
    "the server may not use clone(2) with new namespaces",
  ],
  ["ROOT_BEGIN EACCES", LABEL, "spawnbox-profile confines the server"],
  ["ROOT_BEGIN EACCES", {}, "the server may not use fsopen(2)"],
  ["BIND EACCES /a", {}, "the server's user may not reach /a"],
  ["BIND EACCES /a", LABEL, "spawnbox-profile confines the server"],
  ["BIND ENOENT /a", {}, "/a is not there any more"],
  ["DIR ENOENT /a", {}, "/a does not exist in the sandbox"],
  ["FILE EACCES /a", {}, "/a would have to be made in a directory of the host"],
  ["SYMLINK EACCES /a", LABEL, "spawnbox-profile confines the server"],
  ["FSMOUNT EINVAL hidepid", {}, "it needs Linux 5.8"],
  ["FSMOUNT EINVAL size", {}, "the kernel does not take that size"],
  [
    "FSMOUNT EPERM proc",
    {},
    "the kernel gives no new proc to who sees one with parts masked or read-only, as here: ProtectKernelTunables=no, ProtectKernelLogs=no",
  ],
  ["FSMOUNT EPERM sysfs", {}, "the kernel gives no new sysfs"],
  [
    "FSMOUNT EPERM proc",
    bare("CAP_SYS_ADMIN"),
    "the server lacks CAP_SYS_ADMIN, without which mounting a new proc is refused",
  ],
  ["FSMOUNT EPERM proc", bare("CAP_SYS_ADMIN"), "the kernel gives no new proc", namespaces("user")],
  ["FSMOUNT EPERM tmpfs", CLONE_OFF, "kernel.unprivileged_userns_clone is 0", namespaces("user")],
  ["FSMOUNT EACCES tmpfs", LABEL, "spawnbox-profile confines the server"],
  [
    "SETTING ENOENT /proc/sys/user/max_user_namespaces",
    { settings: { "user.max_user_namespaces": "1" } },
    "/proc hides /proc/sys/user/max_user_namespaces: ",
  ],
  ["SETTING ENOENT /proc/sys/user/none", {}, "this kernel has no /proc/sys/user/none"],
  ["SETTING ENOENT /elsewhere", { setting: () => "1" }, "this kernel has no /elsewhere"],
  ["LOOPBACK EAFNOSUPPORT lo", {}, "this kernel has no IPv4"],
  [
    "LOOPBACK EAFNOSUPPORT lo",
    { filtered: true, ...UNIT },
    "denies sockets of AF_INET: RestrictAddressFamilies=AF_INET (among others), in the unit",
  ],
  [
    "NICE EACCES",
    { hardLimit: (line) => (line === "Max nice priority" ? "25" : "0") },
    "(now 25, of 20 - nice)",
  ],
  ["NICE EACCES", { hardLimit: () => undefined }, "(now unknown, of 20 - nice)"],
  [
    "NICE EACCES",
    UNIT,
    "a nice value below the server's own needs a server of root, as in a user namespace no capability gives it; or a limit that allows it (now 512, of 20 - nice): LimitNICE=, in the unit",
    namespaces("user"),
  ],
  [
    "NICE EACCES",
    DOCKER,
    'a nice value below the server\'s own needs the host\'s users, "users": "enable" in shares, as',
    { policy: { ...namespaces("user").policy, privileged: true } },
  ],
  [
    "CLONE EOPNOTSUPP",
    {},
    "the control group that the server was started in has become a threaded",
  ],
  ["CGROUP EOPNOTSUPP", {}, "the control group that the server was started in has become"],
  [
    "MEMFD EFBIG",
    {},
    "the server may write no file that large: LimitFSIZE=infinity of the unit, --ulimit fsize=-1 of the container",
  ],
  ["SECUREBITS EPERM", {}, "the securebits of the server are locked"],
  [
    "SECUREBITS EPERM",
    bare("CAP_SETPCAP"),
    "the server lacks CAP_SETPCAP, without which prctl(2), capset(2) is refused: CapabilityBoundingSet= (and AmbientCapabilities= where User= is set) with CAP_SETPCAP",
  ],
  [
    "PTY ENOSPC",
    { settings: { "kernel.pty.reserve": "9" } },
    "of which the last 9 (kernel.pty.reserve)",
  ],
  ["PTY ENOSPC", {}, "of which the last 1024 (kernel.pty.reserve)"],
  ["PTY EPERM devpts", bare("CAP_SYS_ADMIN"), "the server lacks CAP_SYS_ADMIN"],
  [
    "SECCOMP_LISTENER EPERM",
    { settings: { "kernel.yama.ptrace_scope": "3" } },
    "kernel.yama.ptrace_scope is 3 ",
  ],
  ["SECCOMP_LISTENER EPERM", {}, "kernel.yama.ptrace_scope is unknown "],
  ["EXEC EPERM /x", { filtered: true }, "a security module, or a noexec rule"],
  [
    "UMASK EPERM",
    { filtered: true },
    "a seccomp filter around the server denies umask(2): start the server with fewer restrictions",
  ],
  ["UMASK EACCES", LABEL, "spawnbox-profile confines the server"],
  ["UMASK EROFS /x", {}, "/x is read-only here"],
  ["UMASK EDQUOT", {}, "as many keys as it may"],
  ["UMASK ENFILE", {}, "sysctl fs.file-max"],
  ["UMASK EIO", { filtered: true }, "a seccomp filter around the server may answer so to umask(2)"],
  ["UMASK EIO", {}, "the kernel refused umask(2) with an answer that is not known here"],
  ...sysctls.map((name): Row => {
    const off = `user.max_${name}_namespaces`;
    return [
      "CLONE ENOSPC",
      { settings: { [off]: "0" } },
      `${off} is 0, so no such namespace can be made: sysctl ${off}=10000`,
    ];
  }),
])("%s %#", (...[failed, here, words, plan]) => {
  const [step, errno = "", what] = failed.split(" ");
  expect(said(step as Step, errno, here, what, plan)).toContain(words);
});

/** What each step needs in the user namespace of the launch: the server, or a namespace of its own, has it. */
test.each<[Step, string]>([
  ...(
    [
      "ROOT_BEGIN",
      "SETATTR",
      "ROOT_END",
      "REBIND",
      "UNSHARE",
      "JOIN_NET",
      "HOSTNAME",
      "CLONE",
    ] as const
  ).map((step): [Step, string] => [step, "CAP_SYS_ADMIN"]),
  ["BOUNDING", "CAP_SETPCAP"],
  ["AMBIENT", "CAP_SETPCAP"],
  ["NICE", "CAP_SYS_NICE"],
  ["RLIMIT", "CAP_SYS_RESOURCE"],
  ["SETGROUPS", "CAP_SETGID"],
  ["SETGID", "CAP_SETGID"],
  ["SETUID", "CAP_SETUID"],
])("%s needs %s", (step, name) => {
  const own = namespaces("pid");
  expect(capabilityName(NEEDS[step].cap ?? -1)).toBe(name);
  const words = `the server lacks ${name}, without which ${NEEDS[step].calls} is refused: `;
  expect(said(step, "EPERM", bare(name), "", own)).toStartWith(words);
  expect(said(step, "EPERM", { ...bare(name), ...DOCKER }, "", own)).toStartWith(
    `${words}--cap-add ${name.slice(4)}`,
  );
  for (const [here, plan] of [
    [{}, own],
    [{ caps: 1n << BigInt(numberOf(name)) }, own],
    [bare(name), namespaces("user")],
  ] as const)
    expect(said(step, "EPERM", here, "", plan)).not.toContain("the server lacks");
});
test("who owns the output needs a right of its own", () => {
  expect(said("OUTPUT", "EPERM", bare("CAP_CHOWN"))).toContain("the server lacks CAP_CHOWN");
  expect(said("PIPE", "EPERM", bare("CAP_CHOWN"))).not.toContain("CAP_CHOWN");
});

test("capabilities that the config wants and the server lacks, unless it has a user namespace", () => {
  const wants = (...names: string[]) => ({
    policy: { namespaces: new Set<string>(), rlimits: [], caps: names.map(numberOf) },
  });
  const here = bare("CAP_NET_RAW", "CAP_SYS_TIME");
  for (const step of ["AMBIENT", "CAPS"] as const) {
    const all = said(step, "EPERM", here, "", wants("CAP_NET_RAW", "CAP_KILL", "CAP_SYS_TIME"));
    expect(all).toStartWith("the server itself lacks CAP_NET_RAW, CAP_SYS_TIME: ");
    expect(all).toContain("with CAP_NET_RAW CAP_SYS_TIME, in the unit");
    expect(all).toContain("--cap-add NET_RAW --cap-add SYS_TIME, of the container");
    expect(said(step, "EPERM", here, "", wants("CAP_KILL"))).not.toContain("itself lacks");
    expect(said(step, "EPERM", here)).not.toContain("itself lacks");
    const mapped = { policy: { ...wants("CAP_NET_RAW").policy, namespaces: new Set(["user"]) } };
    expect(said(step, "EPERM", here, "", mapped)).not.toContain("itself lacks");
  }
});

test("limits: those above the server's own, but for a profile's", () => {
  const limits = (...profileLimits: number[]) => ({
    policy: {
      namespaces: new Set(),
      rlimits: [
        [7, 1024n],
        [6, 513n],
        [9, 512n],
        [99, 1000n],
      ],
      profileLimits,
    },
  });
  const words = said("RLIMIT", "EPERM", {}, "", limits());
  expect(words.split("; ").map((one) => one.slice(0, 14))).toEqual([
    "limits.nofile ",
    "limits.nproc i",
  ]);
  expect(said("RLIMIT", "EPERM", {}, "", limits(7)).slice(0, 12)).toBe("limits.nproc");
  expect(said("RLIMIT", "EPERM", {}, "", limits(6, 7))).toContain("prlimit64(2)");
  expect(said("RLIMIT", "EPERM", {})).toContain("prlimit64(2)");
  const one = (value: bigint, own: string | undefined, more: Here = {}) =>
    lowerLimits([[7, value]], place({ hardLimit: () => own, ...more }));
  expect([
    one(5n, "5"),
    one(5n, "unlimited"),
    one(5n, undefined),
    one(0n, "5"),
    one(-1n, "unlimited"),
  ]).toEqual([[], [], [], [], []]);
  expect(one(6n, "5")).toEqual([
    "limits.nofile is 6, and the server's own hard limit is 5: LimitNOFILE=6 in the unit, or a lower value in the config",
  ]);
  expect(one(-1n, "5")).toEqual([
    "limits.nofile is unlimited, and the server's own hard limit is 5: LimitNOFILE=infinity in the unit, or a lower value in the config",
  ]);
  expect(one(-1n, "5", DOCKER)).toEqual([
    "limits.nofile is unlimited, and the server's own hard limit is 5: --ulimit nofile=-1, of the container, or a lower value in the config",
  ]);
  const known = [0, 1, 4, 6, 7, 8, 9, 13, 14].map(
    (resource) => lowerLimits([[resource, 600n]], place())[0]?.split(" ")[0],
  );
  expect(known).toEqual(
    ["cpu", "fsize", "core", "nproc", "nofile", "memlock", "as", "nice", "rtprio"].map(
      (name) => `limits.${name}`,
    ),
  );
});

test("options are those of where the server is", () => {
  const both = { unit: "U=", container: "--c" };
  const [unit, container] = ["U=, in the unit", "--c, of the container"];
  expect(option(place(), both)).toBe(`${unit}; or ${container}`);
  expect(option(place(UNIT), both)).toBe(unit);
  expect(option(place(DOCKER), both)).toBe(`${container}; or ${unit}`);
  expect(option(place({ ...UNIT, ...DOCKER }), both)).toBe(`${container}; or ${unit}`);
  expect(option(place(UNIT), { container: "--c" })).toBe(container);
  expect(option(place(), {})).toBe("start the server with fewer restrictions");
});

test("how the launcher died", () => {
  expect(killed(place(UNIT), "SIGSYS")).toBe(
    "a seccomp filter around the server ends what makes a call that it denies: SystemCallErrorNumber=EPERM, to be told which, in the unit",
  );
  const reasons =
    "out of memory (see dmesg, MemoryMax= of the unit, --memory of the container), or somebody of its user has killed it";
  expect(killed(place())).toBe(reasons);
  expect(killed(place({ filtered: true }), "SIGKILL")).toBe(
    `${reasons}, or a seccomp filter around the server denies it a call, such as capset(2)`,
  );
});

test.each(["UID_MAP", "GID_MAP", "SETGROUPS", "SETGID", "SETUID"] as const)(
  "ids that may not be had have one remedy: %s",
  (step) => {
    expect(NEEDS[step]).toMatchObject({
      unit: "PrivateUsers=no, no DynamicUser=, and SystemCallFilter=@setuid",
      container: "--userns=host, or more ids in /etc/subuid and /etc/subgid",
    });
  },
);

test("steps that ask for the same have the same remedies, but for what is theirs alone", () => {
  const { UNSHARE, SECCOMP, LANDLOCK } = NEEDS;
  const remedies = ({ unit, container }: Need) => ({ unit, container });
  expect(NEEDS.HOSTNAME).toEqual({
    ...{ ...UNSHARE, calls: "sethostname(2)" },
    unit: "ProtectHostname=no",
  });
  expect(remedies(NEEDS.CLONE)).toEqual(remedies(UNSHARE));
  expect([NEEDS.CLONE.cap, UNSHARE.cap]).toEqual([21, 21]);
  expect(remedies(NEEDS.NO_NEW_PRIVS)).toEqual(remedies(SECCOMP));
  expect(NEEDS.LANDLOCK_PORT).toEqual({ ...LANDLOCK, since: "6.7, for TCP ports" });
  for (const one of [UNSHARE, SECCOMP, LANDLOCK])
    expect(Object.values(remedies(one)).every((text) => (text ?? "") !== "")).toBe(true);
  // Of its parts, what is not said of them is that of the step.
  expect(needOf("FSMOUNT", "proc")).toMatchObject({ cap: 21, calls: "mounting a new proc" });
  expect(needOf("FSMOUNT", "tmpfs")).toEqual(NEEDS.FSMOUNT);
});
