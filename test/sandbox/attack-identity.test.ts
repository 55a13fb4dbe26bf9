/** A plan whose uid is not mapped in its user namespace: no config gives one, so this one is made by hand. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileConfigs } from "../../src/cli/compile.ts";
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
