/** A service that systemd protects: what its commands have of that. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { shell } from "../../served.ts";
import { check } from "./check.ts";
import { unit } from "./server.ts";

const config = {
  metadata: { uid: "spared", api: "spared" },
  sandboxes: ["daemon", "root"].map((user) => ({ uid: user, acls: { user }, commands: shell })),
};
const PROTECTED = [
  "OOMScoreAdjust=-1000",
  "CPUSchedulingPolicy=rr",
  "CPUSchedulingPriority=5",
  "Nice=-5",
  "IOSchedulingClass=realtime",
  "LimitRTPRIO=50",
  "LimitNICE=-10",
  "LimitNOFILE=3000:5000",
];
/** The 40th and 41st field are the real-time priority and the policy: proc_pid_stat(5). */
const script =
  "cat /proc/self/oom_score_adj; nice; ulimit -Sn; ulimit -Hn; cut -d' ' -f40,41 /proc/self/stat; grep -E 'realtime pri|nice pri' /proc/self/limits";

export async function sparedChecks(): Promise<void> {
  const file = "/run/spared.json";
  writeFileSync(file, JSON.stringify(config));
  for (const user of ["daemon", "root"]) {
    await check(`a command of ${user} has nothing of what protects the server`, () => {
      const run = ["/usr/bin/spawnbox", "run", "--raw", `spared/${user}/sh`];
      const query = JSON.stringify({ script });
      const command = [...unit(...PROTECTED), ...run, query, "--config", file];
      const { stdout, stderr } = Bun.spawnSync(command, { stdin: "ignore" });
      const reply = stdout.toString().trim().split("\n").at(-1) ?? "";
      const said = (JSON.parse(reply) as { response: { stdout: string[] } }).response.stdout.join();
      assert.match(said, /^0,0,1024,5000,0 0,/, stderr.toString());
      assert.match(said, /nice priority +0 +0.*realtime priority +0 +0/);
    });
  }
}
