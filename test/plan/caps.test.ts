/** Capabilities that would do nothing: told at the key, with the one that makes them real. */
import { describe, expect, test } from "bun:test";
import { asRoot, asUser, compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "daemon" };
const root = { ...asRoot, held: undefined };
const shares = (...own: string[]) => ({
  shares: Object.fromEntries(own.map((key) => [key, "disable"])),
});
const notices = (sandbox: object, machine: object = root) =>
  compiled(sandbox, machine)
    .notices.filter(({ path }) => path.includes(".caps"))
    .map(({ path, message }) => `${path}: ${message}`);

const ENABLE = 'set namespace.shares.users to "enable"';
const NETWORK = `sandboxes[0].caps[0].cap: NET_ADMIN would do nothing: it acts on a network that is not the sandbox's, where only capabilities of the host's users count, and the sandbox has users of its own: ${ENABLE}, or namespace.shares.net to "disable" for a network of its own`;
const MACHINE = (name: string) =>
  `sandboxes[0].caps[0].cap: ${name} would do nothing: it acts on the machine itself, where only capabilities of the host's users count, and the sandbox has users of its own: ${ENABLE}`;

describe("with users of its own", () => {
  test("the host's network, or a joined one, heeds nobody", () => {
    const caps = ["NET_ADMIN"];
    expect(refused({ profile: "network", caps }, root)).toEqual([NETWORK]);
    expect(refused({ acls, caps, namespace: shares("users") }, root)).toEqual([NETWORK]);
    const joined = { shares: { users: "disable", net: "name:vpn" } };
    expect(refused({ acls, caps, namespace: joined }, root)[0]).toBe(NETWORK);
    // The key that it names makes it real.
    const enabled = { profile: "network", caps, namespace: { shares: { users: "enable" } } };
    expect(planOf(compiled(enabled, root)).policy.caps).toEqual([12]);
    for (const profile of ["minimal", "device"])
      expect(planOf(compiled({ profile, caps }, root)).policy.caps).toEqual([12]);
  });
  test.each([
    ..."SYS_MODULE SYS_RAWIO SYS_PACCT SYS_NICE SYS_RESOURCE SYS_TIME MKNOD LEASE".split(" "),
    ..."SYSLOG WAKE_ALARM BLOCK_SUSPEND PERFMON BPF LINUX_IMMUTABLE IPC_LOCK".split(" "),
    ..."AUDIT_WRITE MAC_ADMIN SYS_TTY_CONFIG".split(" "),
  ])("the machine heeds nobody: %s", (name) => {
    expect(refused({ acls, caps: [name], namespace: shares("users") }, root)).toEqual([
      MACHINE(name),
    ]);
    expect(notices({ acls, caps: [name], namespace: shares("net", "pid") })).toEqual([]);
  });
  test.each([
    ["NET_RAW", "net"],
    ["IPC_OWNER", "ipc"],
    ["KILL", "pid"],
    ["SYS_PTRACE", "pid"],
  ])("%s counts in a %s namespace of its own", (cap, key) => {
    const caps = [{ cap }];
    expect(refused({ acls, caps, namespace: shares("users") }, root)[0]).toContain(
      `namespace.shares.${key} to "disable"`,
    );
    expect(notices({ acls, caps, namespace: shares("users", key) })).toEqual([]);
  });
  test("what is taken back is not told, and places are those of the config", () => {
    const unset = [{ cap: "SYS_TIME" }, { cap: "SYS_TIME", mode: "unset" }];
    expect(planOf(compiled({ profile: "minimal", caps: unset }, root)).policy.caps).toEqual([]);
    expect(refused({ profile: "minimal", caps: ["CHOWN", "SYS_TIME"] }, root)[0]).toStartWith(
      "sandboxes[0].caps[1].cap: SYS_TIME",
    );
  });
  test("files and ids are few", () => {
    const few = (ids: string) =>
      `sandboxes[0].caps: DAC_OVERRIDE, SETUID: only for uid ${ids}: the sandbox has users of its own, and no others`;
    const sandbox = { acls, caps: ["DAC_OVERRIDE", "SETUID"], namespace: shares("users") };
    expect(notices(sandbox)).toEqual([few("0 and 1, and files of these")]);
    expect(notices(sandbox, asUser)).toEqual([few("65534, and files of it")]);
    expect(notices({ ...sandbox, namespace: shares("net") })).toEqual([]);
  });
});

test("restarting the machine and auditing need the host's namespaces, whoever the users are", () => {
  const [boot] = refused({ acls, caps: ["SYS_BOOT"], namespace: shares("pid") }, root);
  expect(boot).toEndWith('only ends the sandbox: set namespace.shares.pid to "enable"');
  const [both] = refused({ profile: "minimal", caps: ["SYS_BOOT"] }, root);
  expect(both).toEndWith('namespace.shares.pid to "enable", and namespace.shares.users too');
  expect(refused({ acls, caps: ["AUDIT_CONTROL"], namespace: shares("pid") }, root)).toHaveLength(
    1,
  );
  expect(refused({ acls, caps: ["AUDIT_READ"], namespace: shares("net") }, root)).toHaveLength(1);
  expect(notices({ acls, caps: ["SYS_BOOT", "AUDIT_READ", "AUDIT_CONTROL"] })).toEqual([]);
});

test("of an ordinary server's own making it is a notice, as what else it cannot grant", () => {
  const sandbox = { acls, caps: ["SYS_TIME"], namespace: shares("net") };
  expect(notices(sandbox)).toEqual([]);
  expect(notices(sandbox, asUser)[0]).toEndWith(`serve as root and ${ENABLE}`);
  expect(refused({ profile: "network", caps: ["NET_ADMIN"] }, asUser)[0]).toContain(
    "serve as root and set",
  );
});

test("what the server itself has not, no command can have", () => {
  const held = new Set([0, 1, 5, 12]);
  const sandbox = { acls, caps: ["NET_ADMIN", "SYS_TIME"] };
  expect(refused(sandbox, { ...asRoot, held })).toEqual([
    "sandboxes[0].caps[1].cap: the server itself has not SYS_TIME, so no command can: its container needs --cap-add SYS_TIME, its unit CapabilityBoundingSet= with CAP_SYS_TIME",
  ]);
  expect(notices(sandbox)).toEqual([]);
  // A user namespace has them all, whoever makes it; and plans may be for another server.
  const inside = { acls, caps: ["NET_RAW"], namespace: shares("users", "net") };
  expect(notices(inside, { ...asRoot, held })).toEqual([]);
  expect(notices(sandbox, { ...asRoot, held, inherits: false })).toEqual([]);
});

test("who may gain privileges by files loses these", () => {
  const raising = { acls: { ...acls, newPrivs: true }, caps: ["NET_RAW"] };
  expect(notices(raising, { ...root, noNewPrivs: false })[0]).toContain("a set-user-id program");
  expect(notices({ acls, caps: ["NET_RAW"] })).toEqual([]);
});

test("an ordinary server grants those that it has as ambient ones, and tells the others alone", () => {
  const server = { ...asUser, ambient: new Set([13, 5]) };
  const caps = (...names: string[]) => ({ caps: names });
  expect(notices(caps("KILL", "NET_RAW"), server)).toEqual([]);
  expect(planOf(compiled(caps("NET_RAW", "KILL"), server)).policy.caps).toEqual([5, 13]);
  expect(notices(caps("KILL", "CHOWN"), server)).toEqual([
    "sandboxes[0].caps: not granted: CHOWN (give files to others): the server runs unprivileged, without these as ambient capabilities, and the sandbox has no user namespace",
  ]);
  expect(planOf(compiled(caps("KILL", "CHOWN"), server)).policy.caps).toEqual([5]);
});

describe("a capability whose calls the filter denies", () => {
  const users = { namespace: { shares: { users: "enable" } } };
  const rule = (syscall: string) => ({ syscall, action: "SCMP_ACT_ALLOW" });
  const add = (syscall: string) => `add to seccomp.rules ${JSON.stringify(rule(syscall))}`;
  const of = (name: string, calls: string) =>
    `sandboxes[0].caps: ${name} is for ${calls}, which the filter of the sandbox denies: ${add(calls)}`;
  test.each([
    ["SYS_MODULE", "@module"],
    ["SYS_CHROOT", "chroot"],
    ["SYS_PACCT", "acct"],
    ["SYS_TIME", "@clock"],
    ["SYSLOG", "syslog"],
    ["PERFMON", "perf_event_open"],
    ["BPF", "bpf"],
  ])("%s of minimal is told, until %s is allowed", (name, calls) => {
    const sandbox = { profile: "minimal", caps: [name], ...users };
    expect(notices(sandbox)).toEqual([of(name, calls)]);
    expect(notices({ ...sandbox, seccomp: { report: true } })).toEqual([of(name, calls)]);
    expect(notices({ ...sandbox, seccomp: { rules: rule(calls) } })).toEqual([]);
  });
  test.each([
    ["SYSLOG", "/dev/kmsg"],
    ["SYS_TIME", "/dev/rtc0"],
  ])("%s is for %s too, where that is shown as a device", (name, target) => {
    const mounted = (mount: object) =>
      notices({
        ...{ profile: "minimal", caps: [name] },
        namespace: { ...users.namespace, mounts: { target, optional: true, ...mount } },
      });
    expect(mounted({ dev: true })).toEqual([]);
    expect(mounted({ dev: false })).toHaveLength(1);
    expect(mounted({ target: "/srv", dev: true })).toHaveLength(1);
  });
  test("where one of its calls is let go, or there is no filter, nothing is told", () => {
    const some = { profile: "minimal", caps: ["SYS_TIME"], ...users };
    expect(notices({ ...some, seccomp: { rules: rule("adjtimex") } })).toEqual([]);
    expect(notices({ acls, caps: ["SYSLOG", "SYS_TIME"] })).toEqual([]);
    expect(notices({ profile: "admin", acls, caps: ["SYSLOG", "SYS_TIME", "NET_ADMIN"] })).toEqual(
      [],
    );
    expect(notices({ profile: "admin", acls, caps: ["SYS_BOOT"] })).toEqual([
      of("SYS_BOOT", "reboot"),
    ]);
  });
});
