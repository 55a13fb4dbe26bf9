/** What doctor says to do about what a machine cannot. */
import { expect, test } from "bun:test";
import { thisMachine } from "../../src/plan/machine.ts";
import { remedyOf } from "../../src/doctor/probes.ts";

const root = { ...thisMachine(), privileged: true };

test.each([
  ["launch", "the launcher cannot run here at all: see memfd and the calls above"],
  ["user-switch", "acls.user, group and groups need a server of root"],
  ["label", "acls.label needs SELinux, Smack or AppArmor in lsm= of the kernel command line"],
  ["seccomp-report", "Linux 5.6, and ptrace(2) of children allowed"],
  ["seccomp", "install libseccomp2, and use a kernel with CONFIG_SECCOMP_FILTER"],
  ["families", '"network": {"families": "all"} does without'],
  ["namespace-net", "a kernel with CONFIG_NAMESPACES, and a container that may use it"],
] as const)("%s", (name, said) => {
  expect(remedyOf(name, root)).toContain(said);
});

test("of a user namespace, for root too, what keeps it from users", () => {
  expect(remedyOf("namespace-user", root)).not.toBe("");
  expect(remedyOf("namespace-net", { ...root, privileged: false })).toBe(
    remedyOf("namespace-user", root),
  );
});
