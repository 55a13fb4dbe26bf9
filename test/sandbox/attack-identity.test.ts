/** A plan whose uid is not mapped in its user namespace: no config gives one, so this one is made by hand. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileConfigs } from "../../src/command-line/apis.ts";
import { launch } from "../../src/launch/launch.ts";
import { isRoot } from "../served.ts";
import { acls, api } from "./attack.ts";

test.if(isRoot)(
  "[identity] where the switch of user fails because the uid is not mapped, the command never runs",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-attack-identity-"));
    const ran = join(dir, "ran");
    const file = join(dir, "config.json");
    const config = api([
      {
        uid: "mapped",
        acls,
        namespace: { shares: { users: "disable" } },
        commands: { uid: "touch", exec: { cmdpath: "/usr/bin/touch", args: [ran] } },
      },
    ]);
    writeFileSync(file, JSON.stringify(config));
    try {
      const plan = compileConfigs(file)[0]?.sandboxes[0]?.plans[0];
      if (!plan) throw new Error("no plan");
      const meant = Buffer.from("0 0 1\n1 1 1\n\0");
      const ops = Buffer.from(plan.ops);
      const at = ops.indexOf(meant);
      expect(at).toBeGreaterThan(0);
      ops.write("0 0 1\n7 7 1\n\0", at);
      const sink = { stdout: () => {}, stderr: () => {} };
      const refused = launch({ ...plan, ops }, ["/usr/bin/touch", ran], sink);
      expect(refused).rejects.toMatchObject({ step: "setuid", errno: "EINVAL" });
      await refused.catch(() => {});
      expect(await Bun.file(ran).exists()).toBe(false);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

test.if(isRoot)("[identity] a user of more than 32 bits is not cut to root", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-attack-identity-"));
  const file = join(dir, "config.json");
  const run = async (acls: object) => {
    const commands = { uid: "id", encoder: "sync", exec: { cmdpath: "/usr/bin/id", args: ["-u"] } };
    writeFileSync(file, JSON.stringify(api([{ uid: "s", acls, commands }])));
    const child = Bun.spawn(["dist/spawnbox", "run", "a/s/id", "--config", file], {
      // Not BUN_BE_BUN, by which a machine under test makes the same executable run this.
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { code: await child.exited, out, err };
  };
  try {
    for (const user of [4294967295, 4294967296, "4294967296", "8589934592", "00", "-0"]) {
      for (const acls of [
        { user, group: 1 },
        { user: 1, group: user },
        { user: 1, group: 1, groups: [user] },
      ]) {
        const { code, out, err } = await run(acls);
        expect([acls, code !== 0, out]).toEqual([acls, true, ""]);
        expect(err).toContain("acls.");
      }
    }
    const largest = await run({ user: 4294967294, group: 4294967294 });
    expect([largest.code, largest.err]).toEqual([0, ""]);
    expect(largest.out).toContain('"stdout":["4294967294"]');
  } finally {
    rmSync(dir, { recursive: true });
  }
});
