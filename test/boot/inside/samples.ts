/** config/factory-reset.json on a loop device, and config/power.json with the machine's own systemd. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { type AfbClient, connect } from "../../../src/client.ts";
import { until } from "../../served.ts";
import { check, say } from "./check.ts";
import { place } from "./server.ts";

const SAMPLES = "/usr/lib/spawnbox-test/samples";

const MOUNTED = "/run/mounted";
const CONFIRMED = { confirm: "erase all data" };

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  assert.equal(exitCode, 0, `${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString().trim();
}

/** Served on a unix socket, where root may do everything. */
async function sample(
  name: string,
  env: Record<string, string>,
  use: (client: AfbClient) => Promise<void>,
): Promise<void> {
  const socket = `/run/sample-${name}.sock`;
  const command = ["/usr/bin/spawnbox", "serve", "--config", `${SAMPLES}/${name}.json`];
  const server = Bun.spawn([...command, "--unix", socket], {
    env: { PATH: "/usr/bin:/usr/sbin", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if ((await place(server.stdout)) === undefined) throw new Error(`${name} is not served`);
  const client = await connect(`ws+unix://${socket}:/api`);
  try {
    await use(client);
  } finally {
    await client.close();
    server.kill("SIGTERM");
    await server.exited;
  }
}

export async function sampleChecks(): Promise<void> {
  const file = "/var/tmp/device";
  writeFileSync(file, "");
  truncateSync(file, 48 << 20);
  run("mkfs.ext4", "-q", "-F", "-L", "old", file);
  const device = run("losetup", "--find", "--show", file);
  await sample("factory-reset", { RESET_DEVICE: device }, async (client) => {
    const verb = "maintenance/factory-reset";
    await check("factory reset: nothing happens without the exact confirmation", async () => {
      for (const args of [null, { confirm: "erase" }, {}]) {
        const { request } = await client.call(verb, args);
        assert.equal(request.status, "invalid-request", JSON.stringify(request));
      }
      assert.equal(run("blkid", "-p", "-o", "value", "-s", "LABEL", device), "old");
    });
    await check("factory reset: a device that is in use loses nothing", async () => {
      mkdirSync(MOUNTED);
      run("mount", device, MOUNTED);
      try {
        const { response } = await client.call(verb, {
          action: "start",
          args: CONFIRMED,
          wait: true,
        });
        assert.match(JSON.stringify(response), /the device is in use/);
      } finally {
        run("umount", MOUNTED);
      }
      assert.equal(run("blkid", "-p", "-o", "value", "-s", "LABEL", device), "old");
      run("e2fsck", "-fn", device);
    });
    await check(
      "factory reset: tells its progress, once at a time, to a fresh file system",
      async () => {
        const steps: { progress: number; step: string }[] = [];
        let second: string | undefined;
        const task = client.start(verb, CONFIRMED);
        for (let next = await task.next(); ; next = await task.next()) {
          if (next.done) {
            assert.equal(
              (next.value as { exit?: number }).exit,
              0,
              JSON.stringify([steps, next.value]),
            );
            break;
          }
          const { stdout } = next.value as { stdout?: { progress: number; step: string } };
          if (stdout !== undefined) steps.push(stdout);
          second ??= (await client.call(verb, CONFIRMED)).request.status;
        }
        assert.equal(second, "bad-state");
        const progress = steps.map((step) => step.progress);
        assert.deepEqual(
          progress,
          progress.toSorted((a, b) => a - b),
        );
        assert.deepEqual([progress[0], progress.at(-1)], [0, 100]);
        assert(steps.length > 15, `${steps.length} steps`);
        run("udevadm", "settle");
        assert.equal(run("blkid", "-p", "-o", "value", "-s", "LABEL", device), "data");
        run("e2fsck", "-fn", device);
      },
    );
  });
  run("losetup", "--detach", device);
  rmSync(file);
  await sample("power", {}, async (client) => {
    await check("power: a service that may be started is started, others are not", async () => {
      mkdirSync("/run/systemd/system", { recursive: true });
      writeFileSync(
        "/run/systemd/system/bluetooth.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
      );
      run("systemctl", "daemon-reload");
      const start = await client.call("power/service/start", { name: "bluetooth" });
      assert.deepEqual(statusOf(start), { exit: 0 }, JSON.stringify(start.response));
      assert.equal(run("systemctl", "is-active", "bluetooth.service"), "active");
      const state = await client.call("power/service/state", { name: "bluetooth" });
      assert.deepEqual((state.response as { stdout?: unknown }).stdout, ["active"]);
      const { request } = await client.call("power/service/start", { name: "dbus" });
      assert.equal(request.status, "invalid-request");
    });
    await check("power: the states of the machine are told", async () => {
      const { response } = await client.call("power/suspend/states");
      const { stdout } = response as { stdout?: string[] };
      assert.deepEqual(stdout?.join(" "), run("cat", "/sys/power/state"));
    });
  });
}

function statusOf({ response }: { response?: unknown }): object {
  const { status } = response as { status: { usage?: object } };
  const { usage: _, ...how } = status;
  return how;
}

/** The machine ends, or sleeps, by a verb of the sample: being still there is the failure. */
export async function endBy(verb: string): Promise<void> {
  if (verb === "suspend" && !readFileSync("/sys/power/mem_sleep", "utf8").includes("deep")) {
    say({ kind: "skipped", name: "power: suspend", why: "the machine has no suspend to memory" });
    return;
  }
  await sample("power", {}, async (client) => {
    void client.call(`power/${verb}`).catch(() => {});
    await Bun.sleep(120_000);
  });
  await until("the machine ends", () => {
    say({ kind: "not ok", name: `power: ${verb} ends the machine`, why: "it is still there" });
    return true;
  });
}
