import { describe, expect, test } from "bun:test";
import { compiled, planOf, refused } from "./compiling.ts";

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
