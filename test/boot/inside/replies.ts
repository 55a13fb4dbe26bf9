/** From exec to the first answer on this machine, as the bench measures it: ours beside an empty server of the same runtime. */
import assert from "node:assert/strict";
import { boots, bootsBeside } from "../../bench/booting.ts";
import { Scratch } from "../../bench/scratch.ts";
import { shell } from "../../served.ts";
import { check, say } from "./check.ts";

const ROUNDS = 5;

export async function replyTimes(): Promise<void> {
  await check("exec to the first answer, beside an empty server", async () => {
    const scratch = new Scratch();
    const config = scratch.json("config.json", {
      metadata: { uid: "bench", api: "bench" },
      sandboxes: [{ uid: "plain", acls: { user: "daemon" }, commands: shell }],
    });
    const beside = bootsBeside("/usr/bin/spawnbox", config, "/usr/lib/spawnbox-test/empty");
    const measured = await boots(beside, ROUNDS, scratch);
    for (const { name, time } of measured)
      say({ kind: "time", name: `exec to first reply: ${name}`, seconds: time / 1000 });
    assert.equal(measured.length, 2);
  });
}
