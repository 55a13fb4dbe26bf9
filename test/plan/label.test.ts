import { describe, expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import type { Machine } from "../../src/plan/machine.ts";
import { asRoot, compiled, planOf, refused } from "./compiling.ts";

const on = (module: ReturnType<Machine["labelModule"]>): Partial<Machine> => ({
  ...asRoot,
  labelModule: () => module,
});
const labelled = (label: string) => ({ acls: { user: "nobody", label } });
const policyOf = (label: string, machine: Partial<Machine>) =>
  planOf(compiled(labelled(label), machine)).policy.label;

describe("acls.label", () => {
  test("is written where the active module reads it", () => {
    const context = "system_u:system_r:vpn_t:s0";
    expect(policyOf(context, on("selinux"))).toEqual({
      module: "selinux",
      file: "/proc/self/attr/exec",
      text: context,
    });
    expect(policyOf("Vpn", on("smack"))?.file).toBe("/proc/self/attr/smack/current");
    expect(policyOf("vpn", on("apparmor"))?.text).toBe("exec vpn");
  });
  test("may say whose it is, and expands variables", () => {
    expect(policyOf("selinux:$SANDBOX_UID:r:t:s0", on("selinux"))?.text).toBe("s:r:t:s0");
  });
  test("is refused where it cannot be applied", () => {
    expect(refused(labelled("vpn"), on(undefined))[0]).toMatch(
      /^sandboxes\[0\]\.acls\.label: cannot be applied: neither SELinux nor Smack nor AppArmor/,
    );
    expect(refused(labelled("smack:vpn"), on("selinux"))[0]).toContain(
      "the active security module is selinux",
    );
    expect(refused(labelled("selinux:"), on("selinux"))[0]).toContain("must be a label");
    expect(refused(labelled("a\nb"), on("apparmor"))[0]).toContain("must be a label");
  });
  test("in a plan file for another machine says whose it is", () => {
    const elsewhere = { ...on(undefined), inherits: false };
    expect(refused(labelled("vpn"), elsewhere)[0]).toContain('"apparmor:vpn"');
    expect(policyOf("apparmor:vpn", elsewhere)?.text).toBe("exec vpn");
  });
  test("is explained", () => {
    const plan = planOf(compiled(labelled("vpn"), on("apparmor")));
    expect(explain(plan)).toContain("AppArmor profile vpn");
  });
  test("without a pid namespace says what the policy must allow, so that the command can be ended", () => {
    const notices = (sandbox: object) =>
      compiled(sandbox, on("apparmor")).notices.filter(({ path }) => path.endsWith(".acls.label"));
    expect(notices(labelled("vpn"))[0]?.message).toContain("signal (receive) peer=unconfined");
    const own = { ...labelled("vpn"), namespace: { shares: { pid: "disable" } } };
    expect(notices(own)).toEqual([]);
  });
});
