/** The other protections, on a kernel and with libraries of which nothing but the package names is known. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { shell, system } from "../../served.ts";
import { check } from "./check.ts";
import { serve, type Server } from "./server.ts";

const full = { shares: { all: "disable" }, opts: { hostname: "boxed" }, mounts: system };
const acls = { user: "daemon", group: "daemon" };

const config = {
  metadata: { uid: "t", api: "t" },
  sandboxes: [
    { uid: "full", acls, namespace: full, commands: shell },
    {
      uid: "tight",
      acls,
      caps: [{ cap: "NET_ADMIN" }],
      namespace: full,
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: [
          { syscall: "mkdir", action: "SCMP_ACT_ERRNO(EXDEV)" },
          { syscall: "mkdirat", action: "SCMP_ACT_ERRNO(EXDEV)" },
          { syscall: "sethostname", action: "SCMP_ACT_KILL_PROCESS" },
        ],
      },
      commands: shell,
    },
  ],
};

/** Since Linux 5.13. */
const HAS_LANDLOCK = !/^5\.([0-9]|1[0-2])\./.test(release());

export async function sandboxChecks(): Promise<void> {
  await check("served by a systemd unit: full and tight sandboxes", async () => {
    await using server = await serve(config, "unit");
    await sandboxed(server);
  });
  if (HAS_LANDLOCK) {
    await check("the kernel has Landlock", () => {
      assert.match(readFileSync("/sys/kernel/security/lsm", "utf8"), /landlock/);
    });
  } else {
    await check("without Landlock in the kernel, a config with it is refused", async () => {
      const [box] = config.sandboxes;
      const landlock = { ro: ["/usr"] };
      await assert.rejects(
        serve({ ...config, sandboxes: [{ ...box, landlock }] }, "unit"),
        /sandboxes\[0\]\.landlock.*no Landlock: it needs 5\.13/,
      );
    });
  }
  await check("WireGuard can be loaded", async () => {
    const { exitCode, stderr } = Bun.spawnSync(["ip", "link", "add", "wgtry", "type", "wireguard"]);
    assert.equal(exitCode, 0, stderr.toString());
    Bun.spawnSync(["ip", "link", "delete", "wgtry"]);
  });
}

async function sandboxed(server: Server): Promise<void> {
  const lines = async (sandbox: string, script: string) =>
    (await server.run(`t/${sandbox}/sh`, { script })).stdout ?? [];
  await check("full: its own host name, processes and network", async () => {
    const script = "cat /proc/sys/kernel/hostname; ls -d /proc/[0-9]* | wc -l; ls /sys /etc; id -u";
    const seen = await lines("full", `${script}; grep -c : /proc/net/dev`);
    assert.equal(seen[0], "boxed");
    assert(Number(seen[1]) <= 5, `${seen[1]} processes`);
    assert.deepEqual(seen.slice(2), ["1", "1"]);
  });
  await check("tight: exactly the capability of the config, in every set", async () => {
    const seen = await lines("tight", "grep ^Cap /proc/self/status");
    assert.deepEqual(
      seen.map((line) => line.split(/\s+/)[1]),
      Array(5).fill("0000000000001000"),
    );
  });
  await check("tight: seccomp rules refuse and kill", async () => {
    const { stderr } = await server.run("t/tight/sh", { script: "mkdir /tmp/x" });
    assert.match(`${stderr}`, /cross-device/i);
    // Asked for by number: no program of a minimal system has it by name.
    const number = process.arch === "arm64" ? 161 : 170;
    const script = `exec perl -e '$x = "x"; syscall(${number}, $x, 1)'`;
    const { status } = await server.run("t/tight/sh", { script });
    assert.equal(status.cause, "seccomp", JSON.stringify(status));
  });
}
