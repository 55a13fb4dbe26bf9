/** Filters that deny user namespaces whatever else is in the flags, in every ABI; and such that only seem to. */
import { describe, expect, test } from "bun:test";
import { returnsOf } from "../../src/plan/bpf-returns.ts";
import { compile } from "../../src/plan/compile.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { deniesUserNamespaces } from "../../src/plan/nested.ts";
import type { Policy } from "../../src/plan/policy.ts";
import type { Sandbox } from "../../src/config/schema.ts";

const NEWUSER = 0x10000000;
const errno = (syscall: string, args?: object[]) => ({
  syscall,
  action: "SCMP_ACT_ERRNO(EPERM)",
  ...(args && { args }),
});
const flag = (op: string) => [{ index: 0, op, value: NEWUSER, mask: NEWUSER }];
const exact = [{ index: 0, op: "eq", value: NEWUSER }];

function policyOf(sandbox: object): Policy {
  const one = {
    uid: "s",
    acls: { user: "nobody" },
    ...sandbox,
    commands: [{ uid: "x", exec: { cmdpath: "/bin/true" } }],
  } as Sandbox;
  const config = { metadata: { uid: "c", api: "c" }, sandboxes: [one] };
  const [api] = compile([{ file: "c", config }], {
    machine: thisMachine(),
    checkEncoder: () => ({ problems: [], notices: [], opts: {} }),
  });
  const policy = api?.sandboxes[0]?.plans[0]?.policy;
  if (!policy) throw new Error("no plan");
  return policy;
}
const filter = (...rules: object[]) => ({ seccomp: { default: "SCMP_ACT_ALLOW", rules } });

describe("denied", () => {
  test.each([
    ["by the profiles", { profile: "minimal" }],
    ["by the profiles, told", { profile: "minimal", seccomp: { report: true } }],
    ["by the flag", filter(errno("clone", flag("masked_eq")), errno("clone3"), errno("unshare"))],
  ])("%s", (_, sandbox) => expect(deniesUserNamespaces(policyOf(sandbox))).toBe(true));
});

describe("not denied", () => {
  test.each([
    ["without a filter", {}],
    [
      "with nothing else in the flags only",
      filter(errno("clone", exact), errno("clone3"), errno("unshare")),
    ],
    ["but by clone3", filter(errno("clone", flag("masked_eq")), errno("unshare"))],
    ["but by unshare", filter(errno("clone", flag("masked_eq")), errno("clone3"))],
    [
      "but logged",
      filter(errno("clone", flag("masked_eq")), errno("clone3"), {
        syscall: "unshare",
        action: "SCMP_ACT_LOG",
      }),
    ],
  ])("%s", (_, sandbox) => expect(deniesUserNamespaces(policyOf(sandbox))).toBe(false));
});

test("what is not followed is not known", () => {
  // LDX of a length, then RET 0.
  const strange = new Uint8Array([0x81, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
  const call = { number: 1, arch: 0xc000003e, first: { known: 0, value: 0 } };
  expect(returnsOf(strange, call)).toBeUndefined();
});
