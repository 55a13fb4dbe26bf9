/** Which namespaces a sandbox has for itself, by every key of `shares`, for root and for an ordinary user. */
import { describe, expect, test } from "bun:test";
import type { Machine } from "../../src/plan/machine.ts";
import { board, ordinary } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "pilot" };
const policyOf = (namespace: object, machine: Partial<Machine> = board) =>
  planOf(compiled({ acls, namespace }, machine)).policy;
const ownOf = (shares: object, machine?: Partial<Machine>): string[] =>
  [...policyOf({ shares }, machine).namespaces].toSorted();
const told = (namespace: object, machine: Partial<Machine> = board) =>
  compiled({ namespace, ...(machine.privileged && { acls }) }, machine)
    .notices.filter(({ path }) => path.includes(".namespace"))
    .map(({ path, message }) => `${path}: ${message}`);
const at = "sandboxes[0].namespace";
const ALL = ["cgroup", "ipc", "net", "pid", "user", "uts"];
const KEYS = [
  ["users", "user"],
  ["cgroup", "cgroup"],
  ["net", "net"],
  ["ipc", "ipc"],
  ["pid", "pid"],
  ["uts", "uts"],
] as const;

describe("served by root", () => {
  test.each([
    [{}, []],
    [{ all: "default" }, []],
    [{ all: "enable" }, []],
    [{ all: "disable" }, ALL],
  ])("%j", (shares, own) => {
    expect(ownOf(shares)).toEqual(own);
  });

  test.each(KEYS)("shares.%s is the namespace %s", (key, name) => {
    expect(ownOf({ [key]: "disable" })).toEqual([name]);
    expect(ownOf({ all: "enable", [key]: "disable" })).toEqual([name]);
    expect(ownOf({ all: "disable", [key]: "enable" })).toEqual(ALL.filter((one) => one !== name));
    expect(ownOf({ all: "disable", [key]: "default" })).toEqual(ALL);
  });

  test("mounts take a mount namespace, and nothing else does", () => {
    expect([...policyOf({ mounts: { target: "/bin/sh" } }).namespaces]).toEqual(["mount"]);
    expect([...policyOf({ mounts: [] }).namespaces]).toEqual([]);
  });
});

describe("served by an ordinary user", () => {
  test("any namespace takes one of users too", () => {
    expect(ownOf({}, ordinary)).toEqual([]);
    for (const [key, name] of KEYS)
      expect(ownOf({ [key]: "disable" }, ordinary)).toEqual(
        [...new Set([name, "user"])].toSorted(),
      );
    expect(
      [...policyOf({ mounts: { target: "/bin/sh" } }, ordinary).namespaces].toSorted(),
    ).toEqual(["mount", "user"]);
  });

  test("who keeps the host's users can have no other", () => {
    const shares = { users: "enable", ipc: "disable", uts: "disable" };
    expect(refused({ namespace: { shares } }, ordinary)).toEqual([
      `${at}.shares.users: "enable" cannot work here: an ordinary user needs a private user namespace for ipc, uts; use "default" or "disable", or run as root`,
    ]);
    expect(ownOf({ users: "enable" }, ordinary)).toEqual([]);
    expect(ownOf({ users: "default", ipc: "disable" }, ordinary)).toEqual(["ipc", "user"]);
  });

  test("without a pid namespace, commands may kill the server: told", () => {
    expect(told({}, ordinary)).toEqual([
      `${at}: commands run as the server's own user and without a pid namespace: they may kill the server itself; set shares.pid to "disable", or use landlock (from Linux 6.12 on)`,
    ]);
    expect(told({ shares: { pid: "disable" } }, ordinary)).toEqual([]);
    expect(told({})).toEqual([]);
  });
});

describe("a network namespace by name", () => {
  const named = { shares: { all: "disable", net: "name:vpn.0" } };
  const there = { ...board, exists: (path: string) => path === "/run/netns/vpn.0" };
  test("is joined, and none is made", () => {
    const policy = policyOf(named, there);
    expect(policy.joinNet).toBe("/run/netns/vpn.0");
    expect(policy.namespaces.has("net")).toBe(false);
    expect(told(named, there)).toEqual([]);
    expect(policyOf({ shares: { net: "disable" } }).joinNet).toBeUndefined();
  });
  test("that is not there yet is told", () => {
    expect(told(named)).toEqual([
      `${at}.shares.net: there is no network namespace vpn.0 (/run/netns/vpn.0): no command starts until there is: ip netns add vpn.0`,
    ]);
  });
  test("needs root", () => {
    expect(refused({ namespace: named }, { ...ordinary, exists: () => false })).toEqual([
      `${at}.shares.net: joining a network namespace needs root, and the server runs as uid 1001`,
    ]);
  });
});

describe("a host name", () => {
  const named = (hostname: string, uts = "disable") => ({ opts: { hostname }, shares: { uts } });
  test("is set in a uts namespace", () => {
    expect(policyOf(named("box")).hostname).toBe("box");
    expect(told(named("box"))).toEqual([]);
    expect(told(named("box", "enable"))).toEqual([
      `${at}.opts.hostname: not applied: the host name belongs to the host unless "uts" is "disable"`,
    ]);
    expect(policyOf(named("x".repeat(64))).hostname).toHaveLength(64);
  });
  describe.each(["", "a b", "x\n127.0.0.1 other", "tab\t", "x#y", "bell\x07"])("%j", (name) => {
    const message = `${at}.opts.hostname: ${JSON.stringify(name)} is no host name: letters, digits, - and . only`;
    const mounts = [{ target: "/bin/sh" }, { target: "/etc/hosts", mode: "hosts" }];
    // Its line of hosts(5) would be another one, or two.
    test("is not written into hosts", () => {
      const found = refused({ acls, namespace: { ...named(name), mounts } }, board);
      expect(found).toContain(message);
    });
    test("is set as it is, with a notice, unless it would change a terminal or a log", () => {
      if (/[\n\t\x07]/.test(name)) {
        expect(refused({ acls, namespace: named(name) }, board)).toEqual([message]);
        return;
      }
      expect(policyOf(named(name)).hostname).toBe(name);
      expect(told(named(name))).toEqual([`${message}; programs may not take it for one`]);
    });
    test("does nothing, as any, where the host's name is kept", () => {
      expect(told(named(name, "enable"))).toEqual([
        `${at}.opts.hostname: not applied: the host name belongs to the host unless "uts" is "disable"`,
      ]);
    });
  });
  test("of more than 64 bytes is refused", () => {
    expect(refused({ acls, namespace: named(`${"é".repeat(32)}x`) }, board)).toEqual([
      `${at}.opts.hostname: has 65 bytes; the kernel takes at most 64`,
    ]);
  });
});

test.each(["bwrap", "selinux"])("opts.%s is passed over, and that is told", (key) => {
  expect(told({ opts: { [key]: "x" } })).toEqual([
    `${at}.opts.${key}: ignored: namespaces are made without an external tool`,
  ]);
});
