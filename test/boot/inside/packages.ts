/** Packages of Debian as dpkg(1) puts them in place on a running system: installed, served, upgraded while it serves, removed. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { until } from "../../served.ts";
import { check } from "./check.ts";

const DISK = "/dev/nvme1n1";
const FOLDER = "/usr/lib/spawnbox-test/packages";
const UNIT = "spawnbox.service";
const PROGRAM = "/usr/bin/spawnbox";
const CONFIG = "/etc/spawnbox/spawn-board.json";
const PING = "http://127.0.0.1:1234/openapi.json";

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  assert.equal(exitCode, 0, `${command.join(" ")}: ${stdout.toString()}${stderr.toString()}`);
  return stdout.toString().trim();
}
const property = (name: string) => run("systemctl", "show", "--value", `--property=${name}`, UNIT);
const isEnabled = () => Bun.spawnSync(["systemctl", "is-enabled", UNIT]).stdout.toString().trim();
const answers = async (): Promise<boolean> => {
  try {
    return (await fetch(PING)).ok;
  } catch {
    return false;
  }
};
const install = (release: string, ...names: string[]) => {
  const files = readdirSync(join(FOLDER, release)).filter((file) =>
    names.some((name) => file.startsWith(`${name}_`)),
  );
  assert.equal(files.length, names.length);
  return run("dpkg", "--install", ...files.map((file) => join(FOLDER, release, file)));
};

export async function packageChecks(): Promise<void> {
  await check("packages: the disk with them", () => {
    mkdirSync(FOLDER);
    run("mount", DISK, FOLDER);
    // What this machine was made with, that is the packages' own.
    for (const file of [PROGRAM, "/usr/lib/spawnbox/init", "/etc/spawnbox/early.json"])
      rmSync(file);
  });
  await check(
    "packages: installed, it is a service that serves, now and at the next boot",
    async () => {
      install("now", "spawnbox");
      assert.equal(property("ActiveState"), "active");
      assert.equal(isEnabled(), "enabled");
      await until("it answers", answers);
      assert.deepEqual(run("dpkg", "--verify", "spawnbox"), "");
    },
  );
  await check("packages: early boot comes with its own, of the same version", () => {
    install("now", "spawnbox-early");
    assert(existsSync("/usr/lib/spawnbox/init"));
    const { exitCode, stderr } = Bun.spawnSync([
      ...["dpkg", "--install"],
      ...readdirSync(join(FOLDER, "next"))
        .filter((file) => file.startsWith("spawnbox-early_"))
        .map((file) => join(FOLDER, "next", file)),
    ]);
    assert.equal(exitCode, 1);
    assert.match(stderr.toString(), /depends on spawnbox \(= /);
    run("dpkg", "--remove", "spawnbox-early");
  });
  await check(
    "packages: upgraded while it serves, it is the new one, with the config as it was",
    async () => {
      const config = JSON.parse(readFileSync(CONFIG, "utf8")) as { metadata: object };
      Object.assign(config.metadata, { info: "changed here" });
      writeFileSync(CONFIG, JSON.stringify(config));
      const before = property("MainPID");
      const old = statSync(PROGRAM).ino;
      let early = 0;
      let late = 0;
      let on = true;
      const hammer = (async () => {
        while (on) {
          const isOld = statSync(PROGRAM, { throwIfNoEntry: false })?.ino === old;
          if (!(await answers())) isOld ? early++ : late++;
          await Bun.sleep(20);
        }
      })();
      // In the background, so that the calls go on.
      const [file = ""] = readdirSync(join(FOLDER, "next")).filter((name) =>
        name.startsWith("spawnbox_"),
      );
      const dpkg = Bun.spawn(["dpkg", "--install", join(FOLDER, "next", file)], {
        stdout: "ignore",
      });
      assert.equal(await dpkg.exited, 0);
      await until("it answers", answers);
      on = false;
      await hammer;
      assert.notEqual(property("MainPID"), before);
      assert.equal(property("ActiveState"), "active");
      assert.match(readFileSync(CONFIG, "utf8"), /changed here/);
      assert.match(run("dpkg-query", "--show", "--showformat=${Version}", "spawnbox"), /\+next$/);
      // It is started anew once, when all of the new one is in place: how long that takes is the machine's affair.
      assert.equal(early, 0, "calls had no answer before the new one was there");
      console.log(`packages: ${late} calls had no answer while the service was started anew`);
    },
  );
  await check("packages: whoever has disabled the service finds it so after an upgrade", () => {
    run("systemctl", "disable", UNIT);
    install("next", "spawnbox");
    assert.equal(isEnabled(), "disabled");
  });
  await check(
    "packages: removed, the service is gone and the config is there; purged, nothing is",
    () => {
      run("dpkg", "--remove", "spawnbox");
      assert.equal(property("ActiveState"), "inactive");
      assert(!existsSync(PROGRAM));
      assert(existsSync(CONFIG));
      run("dpkg", "--purge", "spawnbox", "spawnbox-early");
      assert(!existsSync(CONFIG));
      assert(!existsSync("/etc/spawnbox/early.json"));
      assert(!existsSync("/lib/systemd/system/spawnbox.service"));
    },
  );
}
