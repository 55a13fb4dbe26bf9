/** The program that runs as the last service of the virtual machine: all checks, then power off. */
import { cgroupChecks, limitChecks, refusalChecks } from "./cgroups.ts";
import { say, uptime } from "./check.ts";
import { bootedEarly, cmdline, earlyChecks, passedOverChecks } from "./early.ts";
import { labelChecks } from "./label.ts";
import { endBy, sampleChecks } from "./samples.ts";
import { serviceChecks } from "./service.ts";
import { vpnChecks } from "./vpn.ts";
import { sandboxChecks } from "./sandboxes.ts";
import { sparedChecks } from "./spared.ts";
import { suiteChecks } from "./suites.ts";

async function all(): Promise<void> {
  say({ kind: "time", name: "kernel start to the tests", seconds: uptime() });
  bootTimes();
  const wrong = cmdline
    .find((word) => word.startsWith("spawnbox.test="))
    ?.slice("spawnbox.test=".length);
  if (wrong === undefined) {
    if (bootedEarly) await earlyChecks();
    await sandboxChecks();
    await labelChecks();
    await sparedChecks();
    await cgroupChecks(process.execPath);
    if (bootedEarly) {
      await vpnChecks();
      await sampleChecks();
      // The last, since it ends the server of early boot.
      await serviceChecks();
    }
    const suites = cmdline.find((word) => word.startsWith("spawnbox.suites="));
    if (suites !== undefined) await suiteChecks(suites.endsWith("=all"));
  } else {
    await passedOverChecks(wrong.replaceAll("+", " "));
  }
  say({ kind: "time", name: "kernel start to the end of the tests", seconds: uptime() });
  say({ kind: "done" });
  const end = cmdline.find((word) => word.startsWith("spawnbox.end="));
  if (end !== undefined) await endBy(end.slice("spawnbox.end=".length));
  // What was said is on the console before the power goes.
  Bun.spawnSync(["journalctl", "--sync"]);
  Bun.spawnSync(["systemctl", "poweroff", "--force", "--force"]);
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
