/** What is found out about a machine. */
import { expect, test } from "bun:test";
import { activeLabelModule } from "../../src/plan/machine.ts";

const FILESYSTEMS = "/proc/filesystems";
const APPARMOR = "/sys/module/apparmor/parameters/enabled";
const plain = "nodev\tsysfs\nnodev\ttmpfs\n\text4\n";

test.each([
  ["none", { [FILESYSTEMS]: plain }, undefined],
  ["nothing to be read", {}, undefined],
  ["SELinux", { [FILESYSTEMS]: `${plain}nodev\tselinuxfs\n` }, "selinux"],
  [
    "SELinux, and AppArmor there too",
    { [FILESYSTEMS]: "nodev\tselinuxfs\n", [APPARMOR]: "Y\n" },
    "selinux",
  ],
  ["Smack", { [FILESYSTEMS]: `nodev\tsmackfs\n${plain}` }, "smack"],
  ["AppArmor", { [FILESYSTEMS]: plain, [APPARMOR]: "Y\n" }, "apparmor"],
  ["AppArmor, turned off", { [FILESYSTEMS]: plain, [APPARMOR]: "N\n" }, undefined],
  [
    "another of nearly the name",
    { [FILESYSTEMS]: "nodev\tselinuxfs2\nnodev\txsmackfs\n" },
    undefined,
  ],
])("the security module that has labels: %s", (_, files: Record<string, string>, expected) => {
  expect(activeLabelModule((path) => files[path] ?? "")).toBe(
    expected as typeof expected & "smack",
  );
});
