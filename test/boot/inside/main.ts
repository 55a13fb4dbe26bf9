/** The program that runs as the last service of the virtual machine: all checks, then power off. */
import { writeFileSync } from "node:fs";
import { cgroupChecks, limitChecks, refusalChecks } from "./cgroups.ts";
import { say, uptime } from "./check.ts";
import { bootedEarly, cmdline, earlyChecks, passedOverChecks } from "./early.ts";
import { labelChecks } from "./label.ts";
import { packageChecks } from "./packages.ts";
import { peerChecks } from "./peer.ts";
import { placeChecks } from "./places.ts";
import { replyTimes } from "./replies.ts";
import { endBy, sampleChecks } from "./samples.ts";
import { serviceChecks } from "./service.ts";
import { vpnChecks } from "./vpn.ts";
import { sandboxChecks } from "./sandboxes.ts";
import { sparedChecks } from "./spared.ts";
import { stepChecks } from "./steps.ts";
import { suiteChecks } from "./suites.ts";

const suites = word("suites");

/** What takes minutes in an emulated machine: 10 s for each unit, and a server killed at each step of a launch. */
const LARGE: readonly string[] = ["places", "steps", "yama"];

/** What is tried, in this order, by the names of `--checks`. */
const GROUPS: Readonly<Record<string, () => Promise<void>>> = {
  early: async () => (bootedEarly ? earlyChecks() : undefined),
  sandboxes: sandboxChecks,
  replies: replyTimes,
  label: labelChecks,
  spared: sparedChecks,
  cgroups: () => cgroupChecks(process.execPath),
  places: placeChecks,
  hierarchy: async () => {
    const named = word("hierarchy");
    if (named !== undefined)
      await placeChecks(({ properties }) => properties.length === 0, `, control groups ${named}`);
  },
  packages: async () => (word("checks") === "packages" ? packageChecks() : undefined),
  peer: async () => (word("checks") === "peer" ? peerChecks() : undefined),
  steps: stepChecks,
  vpn: async () => (bootedEarly ? vpnChecks() : undefined),
  samples: sampleChecks,
  // After all that needs the server of early boot, since it ends it.
  service: async () => (bootedEarly ? serviceChecks() : undefined),
  // Behind that: with it the early server could not become the service, see test/boot/replaced.test.ts.
  yama: async () => {
    // Nobody traces anybody any more, not even root, until the next boot.
    writeFileSync("/proc/sys/kernel/yama/ptrace_scope", "3");
    await placeChecks(({ properties }) => properties.length === 0, ", Yama 3");
  },
  suites: async () => (suites === undefined ? undefined : suiteChecks(suites)),
};

async function all(): Promise<void> {
  say({ kind: "time", name: "kernel start to the tests", seconds: uptime() });
  bootTimes();
  const wrong = word("test");
  if (wrong === undefined) {
    for (const name of word("checks")?.split(",") ?? groupsOfThisSize()) {
      const group = GROUPS[name];
      if (group) await group();
      else say({ kind: "not ok", name, why: `no such checks; there are ${Object.keys(GROUPS)}` });
    }
  } else {
    await passedOverChecks(wrong.replaceAll("+", " "));
  }
  say({ kind: "time", name: "kernel start to the end of the tests", seconds: uptime() });
  say({ kind: "done" });
  const end = word("end");
  if (end === undefined) return; // the host ends the machine
  await endBy(end);
  // What was said is on the console before the power goes.
  Bun.spawnSync(["journalctl", "--sync"], { timeout: 20_000 });
  Bun.spawnSync(["systemctl", "poweroff", "--force", "--force"]);
}

const groupsOfThisSize = (): string[] =>
  Object.keys(GROUPS).filter((name) => word("size") !== "medium" || !LARGE.includes(name));

/** The value of a word of the kernel command line. */
function word(name: string): string | undefined {
  const prefix = `spawnbox.${name}=`;
  return cmdline.find((text) => text.startsWith(prefix))?.slice(prefix.length);
}

/** systemd's own moments; its clock starts with the kernel. */
function bootTimes(): void {
  const moments = {
    UserspaceTimestampMonotonic: "kernel start to systemd",
    FinishTimestampMonotonic: "kernel start to default target",
  };
  for (const [property, name] of Object.entries(moments)) {
    const { stdout } = Bun.spawnSync(["systemctl", "show", "--value", `--property=${property}`]);
    const text = stdout.toString().trim();
    if (/^[1-9]\d*$/.test(text)) say({ kind: "time", name, seconds: Number(text) / 1e6 });
  }
}

switch (process.argv[2]) {
  case "limits":
    await limitChecks();
    break;
  case "refusals":
    await refusalChecks();
    break;
  default:
    await all();
}
