import { describe, expect, test } from "bun:test";
import type { Machine } from "../../src/plan/machine.ts";
import { asUser, compiled, planOf, refused } from "./compiling.ts";

describe("sizes", () => {
  test("what 64 bits cannot hold is refused, not cut to a small number", () => {
    for (const nofile of ["18446744073709551615", "18446744073709551616", "17179869184G"])
      expect(refused({ acls: { user: "daemon" }, limits: { nofile } })[0]).toContain("64 bits");
    // 0 would be no limit at all.
    for (const size of ["17179869184G", "0", "0k"])
      expect(
        refused({
          acls: { user: "daemon" },
          namespace: {
            mounts: [
              { target: "/", source: "/usr", mode: "ro" },
              { target: "/x", mode: "tmpfs", size },
            ],
          },
        }).join(),
      ).toContain(`mounts[1]: ${size === "17179869184G" ? "" : "size "}"${size}"`);
  });

  test("a host name is measured in bytes", () => {
    const named = (hostname: string) => ({
      acls: { user: "daemon" },
      namespace: { opts: { hostname }, shares: { uts: "disable" } },
    });
    expect(refused(named("é".repeat(33)))[0]).toContain("hostname: has 66 bytes");
    expect(planOf(compiled(named("é".repeat(32)))).policy.hostname).toHaveLength(32);
  });

  test("files without an end are not read", () => {
    const [problem] = refused({ acls: { user: "daemon" }, seccomp: { rulespath: "/dev/zero" } });
    expect(problem).toContain("rulespath: /dev/zero is not a regular file");
  });

  test("a number of processes is told where the kernel holds nobody to it", () => {
    const told = (sandbox: object, machine?: Partial<Machine>) =>
      compiled(sandbox, machine)
        .notices.filter(({ path }) => path.endsWith("nproc"))
        .map(({ path, message }) => `${path}: ${message}`);
    const limits = { nproc: 5 };
    const words = (who: string) =>
      `the kernel does not hold ${who} to a number of processes: cgroups.pids does that`;
    const root = words("root (unless that is another user of the machine, as in some containers)");
    const acls = { user: "root" };
    expect(told({ acls, limits })).toEqual([`sandboxes[0].limits.nproc: ${root}`]);
    const commands = { uid: "c", limits, exec: { cmdpath: "/bin/sh" } };
    expect(told({ acls, commands })).toEqual([`sandboxes[0].commands[0].limits.nproc: ${root}`]);
    const daemon = { acls: { user: "daemon" }, limits };
    expect(told({ ...daemon, caps: ["SYS_ADMIN", "NET_RAW"] })).toEqual([
      `sandboxes[0].limits.nproc: ${words("who has SYS_ADMIN")}`,
    ]);
    for (const held of [
      daemon,
      { ...daemon, caps: ["NET_RAW"] },
      { acls },
      { acls, limits: { nproc: "Unlimited" } },
      { acls, limits: { nofile: 5 } },
      // What a profile says of itself is for whatever user there is.
      { acls, profile: "minimal" },
    ])
      expect(told(held)).toEqual([]);
    expect(told({ limits }, asUser)).toEqual([]);
    // An ordinary user's server may have such a capability as an ambient one.
    const capable = { ...asUser, ambient: new Set([21]) };
    const caps = ["SYS_ADMIN"];
    expect(told({ limits, caps }, capable)).toEqual([
      `sandboxes[0].limits.nproc: ${words("who has SYS_ADMIN")}`,
    ]);
    expect(told({ limits, caps }, asUser)).toEqual([]);
    expect(told({ limits, caps, namespace: { shares: { user: "disable" } } }, capable)).toEqual([]);
  });

  test("the largest there is, and units", () => {
    const limits = { as: "18446744073709551614", fsize: "2K", core: "unlimited", rtprio: 3 };
    const { policy } = planOf(compiled({ acls: { user: "daemon" }, limits }));
    expect(Object.fromEntries(policy.rlimits)).toEqual({
      9: (1n << 64n) - 2n,
      1: 2048n,
      4: -1n,
      14: 3n,
    });
  });
});
