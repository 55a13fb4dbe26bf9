/**
 * What the scripts of an initramfs make it start. They are driven as the two initramfs drive them; a real one of initramfs-tools
 * boots in the virtual machine.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runMachine } from "./rooted.ts";

const scripts = join(import.meta.dir, "../../config/install/initramfs");
const OURS = "/usr/lib/spawnbox/init";
/** What is started, what that is told, and what the kernel log has. */
const TELL = `env | grep '^init='; env | grep '^SPAWNBOX_INIT='; cat /dev/kmsg`;
/** A root in which programs run. */
const ANOTHER =
  "mkdir /root/host; mount --rbind /host /root/host; ln -s host/bin host/lib host/lib64 /root";

const DRIVERS = {
  // It is asked what it depends on; later it is a process, after which, and after each other, what it wrote is read.
  "initramfs-tools": `/script prereqs
export init=\${ASKED:-/sbin/init} rootmnt=/root
for each in first second; do
  mkdir -p conf
  [ $each = second ] || /script
  [ ! -e /conf/param.conf ] || . /conf/param.conf
done
${TELL}`,
  // Each module is a part of PID 1.
  "initramfs-framework": `ROOTFS_DIR=/root bootparam_init=$ASKED
. /script
if eval spawnbox_enabled; then eval spawnbox_run; fi
export init=\${bootparam_init:-/sbin/init}
${TELL}`,
};

describe.each(["initramfs-tools", "initramfs-framework"] as const)("%s", (name) => {
  const content = readFileSync(join(scripts, name), "utf8");

  /** @param prepare shell that makes the mounted root, /root. */
  function handOver(prepare: string, { cmdline = "quiet", asked = "" } = {}): string[] {
    const script = `set -e
mkdir -p /root/usr/lib/spawnbox
cd /root/usr/lib/spawnbox
${prepare}
cd /
set +e
ASKED='${asked}'
${DRIVERS[name]}`;
    return runMachine({ cmdline, files: { "/script": content }, script })
      .trim()
      .split("\n");
  }
  const installed = "cp /launcher init";

  test("the root's spawnbox is started, and told of the usual init", () => {
    expect(handOver(installed)).toEqual([`init=${OURS}`, "SPAWNBOX_INIT=/sbin/init"]);
  });

  test("it is told of the init that was asked for, whatever its name", () => {
    const asked = '/my/"init"$(reboot)`x`';
    expect(handOver(installed, { asked })).toEqual([`init=${OURS}`, `SPAWNBOX_INIT=${asked}`]);
  });

  test("who asks for spawnbox gets it as from the kernel", () => {
    expect(handOver(installed, { asked: OURS })).toEqual([`init=${OURS}`]);
  });

  test("spawnbox.early=off leaves the boot as it was", () => {
    const off = { cmdline: "quiet spawnbox.early=off", asked: "/my/init" };
    expect(handOver(installed, off)).toEqual(["init=/my/init"]);
  });

  test.each([
    ["not there", ":"],
    ["a directory", "mkdir init"],
    ["not executable", `${installed}; chmod 644 init`],
    ["not whole", "head -c 60 /launcher >init; chmod 755 init"],
    ["another program", `${ANOTHER}; echo '#!/bin/true' >init; chmod 755 init`],
  ])("a spawnbox that is %s is left out, and the kernel log says so", (_, prepare) => {
    expect(handOver(prepare, { asked: "/my/init" })).toEqual([
      "init=/my/init",
      `<5>spawnbox: ${OURS} of the root cannot be executed, it is left out`,
    ]);
  });
});
