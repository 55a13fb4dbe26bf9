/**
 * A board is given the executable by scp: `spawnbox install` makes a service of it; and the service takes over from the server
 * of early boot, which nobody notices who calls meanwhile.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "../../../src/client.ts";
import { shell, until } from "../../served.ts";
import { check } from "./check.ts";

const COPIED = "/root/spawnbox";
const URL = "http://127.0.0.1:1234";
const DROP_IN = "/etc/systemd/system/spawnbox.service.d/socket.conf";
const SOCKET_UNIT = "/etc/systemd/system/spawnbox.socket";
/** The unit's own way in, opened by systemd, besides the port that the early server has opened. */
const SOCKET = "/run/spawnbox-api.sock";

const config = (api: string) =>
  JSON.stringify({
    metadata: { uid: api, api },
    sandboxes: {
      ...{ uid: "box", acls: { user: "daemon" }, cgroups: { pids: "20" } },
      commands: [
        { ...shell, uid: "warm", pool: 1 },
        { ...shell, uid: "sh" },
      ],
    },
  });

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  assert.equal(exitCode, 0, `${command.join(" ")}: ${stdout.toString()}${stderr.toString()}`);
  return stdout.toString();
}
const property = (name: string) =>
  run("systemctl", "show", "--value", `--property=${name}`, "spawnbox.service").trim();

/** What the early server answers: by itself, from a sandbox that waited for it, and from one that did not. */
const CALLED = { ping: "pong", who: '"65534"', uptime: '"stdout"' };

/** Calls all the time, until told to stop; how many calls there were, and what went wrong. */
function hammer(): () => Promise<{ calls: number; failures: string[] }> {
  let on = true;
  let calls = 0;
  const failures: string[] = [];
  const done = (async () => {
    while (on) {
      for (const [verb, expected] of Object.entries(CALLED)) {
        calls++;
        try {
          const response = await fetch(`${URL}/api/early/${verb}`);
          const body = await response.text();
          if (!body.includes(expected)) failures.push(`${verb}: ${response.status}: ${body}`);
        } catch (error) {
          failures.push(`${verb}: ${String(error)}`);
        }
      }
    }
  })();
  return async () => {
    on = false;
    await done;
    return { calls, failures };
  };
}

async function output(verb: string): Promise<string[] | undefined> {
  const client = await connect(`ws+unix://${SOCKET}:/api`);
  const { response } = await client.call(verb, { script: "cat /proc/self/cgroup" });
  await client.close();
  return (response as { stdout?: string[] } | undefined)?.stdout;
}

export async function serviceChecks(): Promise<void> {
  const early = JSON.parse(readFileSync("/run/spawnbox/early.json", "utf8")) as { pid: number };
  await check("install: one command puts everything in place", () => {
    copyFileSync("/usr/bin/spawnbox", COPIED);
    rmSync("/usr/bin/spawnbox");
    const said = run(COPIED, "install", "--early", "--no-start");
    assert.match(said, /^installed \/usr\/bin\/spawnbox$/m);
    assert.match(said, /^unchanged \/usr\/lib\/spawnbox\/init$/m);
    assert.match(said, /the kernel starts it/);
  });
  await check("install: the init that the kernel starts is not removed", () => {
    const { exitCode, stderr } = Bun.spawnSync([COPIED, "install", "--uninstall"]);
    assert.equal(exitCode, 1);
    assert.match(stderr.toString(), /would not boot/);
    assert(existsSync("/usr/bin/spawnbox"));
  });
  await check("service: the early server becomes it, and no call fails meanwhile", async () => {
    writeFileSync("/etc/spawnbox/spawn-first.json", config("first"));
    run("mkdir", "-p", DROP_IN.slice(0, DROP_IN.lastIndexOf("/")));
    const start = "/usr/bin/spawnbox serve --early --config /etc/spawnbox";
    writeFileSync(
      DROP_IN,
      `[Unit]\nRequires=spawnbox.socket\n[Service]\nExecStart=\nExecStart=${start} --port 1234\nWatchdogSec=20\n`,
    );
    writeFileSync(SOCKET_UNIT, `[Socket]\nListenStream=${SOCKET}\nSocketMode=0600\n`);
    const stop = hammer();
    // In the background, so that the calls go on.
    const said = await Bun.spawn([COPIED, "install"], { stderr: "inherit" }).stdout.text();
    const { calls, failures } = await stop();
    assert.match(said, /^unchanged \/usr\/bin\/spawnbox$/m);
    assert.match(said, /^started {3}spawnbox.service/m);
    assert.deepEqual(failures, []);
    assert(calls > 9, `${calls} calls`);
    assert.equal(property("ActiveState"), "active");
    assert.equal(Number(property("MainPID")), early.pid);
  });
  await check(
    "service: it serves the unit's configs, with limits in the unit's group",
    async () => {
      for (const verb of ["first/sh", "first/warm"]) {
        const [group] = (await output(verb)) ?? [];
        assert.match(`${group}`, /\/system\.slice\/spawnbox\.service\/spawnbox\//);
      }
    },
  );
  await check("service: the watchdog hears of it", async () => {
    const heard = () => property("WatchdogTimestampMonotonic");
    const before = heard();
    await until("a sign of life", () => heard() !== before);
  });
  await check("service: status and journal are those of the unit", () => {
    const status = run("systemctl", "status", "--no-pager", "spawnbox.service");
    assert.match(status, /Status: "serving http:\/\/127\.0\.0\.1:1234/);
    assert.match(status, new RegExp(`Main PID: ${early.pid} `));
    run("journalctl", "--sync");
    assert.match(run("journalctl", "-u", "spawnbox", "-o", "cat"), /is this service now/);
  });
  await check("service: reload takes a new config, and refuses a bad one", async () => {
    writeFileSync("/etc/spawnbox/spawn-second.json", config("second"));
    run("systemctl", "reload", "spawnbox.service");
    await until("it is served", async () => (await output("second/sh")) !== undefined);
    writeFileSync("/etc/spawnbox/spawn-third.json", "{");
    run("systemctl", "reload", "spawnbox.service");
    await until("it is told", () => /reload failed/.test(property("StatusText")));
    rmSync("/etc/spawnbox/spawn-third.json");
    assert.notEqual(await output("second/sh"), undefined);
  });
  await check("service: a second installation changes nothing", () => {
    const said = run(COPIED, "install");
    assert.doesNotMatch(said, /^(installed|updated|restarted)/m);
    assert.match(said, /^runs already spawnbox.service/m);
    assert.equal(Number(property("MainPID")), early.pid);
  });
  await check("service: a stop ends the server and its tasks at once", async () => {
    const client = await connect(`ws+unix://${SOCKET}:/api`);
    const task = client.call("first/sh", { script: "exec sleep 1234" });
    const sleeping = () => Bun.spawnSync(["pgrep", "-f", "^sleep 1234"]).exitCode === 0;
    await until("it runs", sleeping);
    const begin = performance.now();
    run("systemctl", "stop", "spawnbox.service");
    // systemd would wait 90 s for a server that does not end.
    assert(performance.now() - begin < 45_000);
    await task.catch(() => "gone");
    assert.equal(sleeping(), false);
    assert.equal(existsSync(`/proc/${early.pid}`), false);
  });
  await check("service: started anew, it serves the early configs too", async () => {
    run("systemctl", "start", "spawnbox.service");
    assert.notEqual(Number(property("MainPID")), early.pid);
    const client = await connect(`ws+unix://${SOCKET}:/api`);
    assert.equal((await client.call("early/who")).request.status, "success");
    assert.equal((await client.call("vpn/show")).request.status, "success");
    await client.close();
    run("systemctl", "stop", "spawnbox.service");
  });
}
