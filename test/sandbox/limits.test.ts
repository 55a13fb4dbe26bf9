/** Priority and resource limits as the command sees them: as root and as an ordinary user. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { serve, shell, users } from "../served.ts";
import { serving } from "../serving.ts";
import { rowsOf } from "../thinned.ts";

const CAP_SYS_RESOURCE = 1n << 24n;
/** Root may lack it, in a container. */
const capabilities = /CapEff:\s+(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
const raises = (BigInt(`0x${capabilities}`) & CAP_SYS_RESOURCE) !== 0n;

const acls = { user: "daemon" };
const limits = { nofile: 77, core: 0, fsize: "1K", memlock: "64K", rtprio: 0 };
const config = {
  metadata: { uid: "l", api: "l" },
  sandboxes: [
    { uid: "low", acls: { ...acls, nice: 17 }, commands: { ...shell, limits } },
    { uid: "brief", acls, commands: { ...shell, limits: { cpu: 1 } } },
    { uid: "raised", optional: true, acls, commands: { ...shell, limits: { rtprio: 3 } } },
  ],
};

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));

  test("nice and resource limits", async () => {
    const { stdout, stderr } = await served.run("l/low/sh", {
      script:
        "nice; ulimit -n; ulimit -Hn; ulimit -c; head -c 5000 /dev/zero > /tmp/spawnbox-fsize; rm -f /tmp/spawnbox-fsize",
    });
    expect(stdout).toEqual(["17", "77", "77", "0"]);
    expect(stderr?.length).toBeGreaterThan(0);
  });

  // A second of a processor.
  rowsOf(user, users)(
    "who has used up the processor is told so, and may end by itself",
    async () => {
      // Who does not listen ends by the same signal: no second more of a processor is needed for that.
      const script = "(trap 'exit 3' XCPU; while :; do :; done); echo $?; kill -XCPU $$";
      const { stdout, status } = await served.run("l/brief/sh", { script });
      expect(stdout).toEqual(["3"]);
      expect(status.signal).toBe("CPU time limit exceeded");
    },
  );

  const seen = "grep -E 'locked memory|realtime priority' /proc/self/limits | tr -s ' '";
  test("memory that may be locked, and the real-time priority", async () => {
    const { stdout } = await served.run("l/low/sh", { script: seen });
    expect(stdout?.map((line) => line.trim())).toEqual([
      "Max locked memory 65536 65536 bytes",
      "Max realtime priority 0 0",
    ]);
  });

  test("a limit is raised where the server may, and else the launch is refused", async () => {
    const { request, response } = await served.call("l/raised/sh", { script: seen });
    if (user === "root" && raises) {
      expect(JSON.stringify(response)).toContain("Max realtime priority 3 3");
      return;
    }
    expect(response).toBeUndefined();
    expect(request.info).toContain("rlimit: EPERM");
  });
});
