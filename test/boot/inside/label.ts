/** acls.label, with the security module that Debian's kernel starts: AppArmor. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { shell, system } from "../../served.ts";
import { check } from "./check.ts";
import { serve } from "./server.ts";

/** Reads everything, writes nothing but the null device. */
const PROFILE = `profile spawnbox-reader flags=(attach_disconnected) {
  / r,
  /** rmix,
  /dev/null rw,
}
`;

const config = (label: string) => ({
  metadata: { uid: "label", api: "label" },
  sandboxes: [
    { uid: "bare", acls: { user: "root", label }, commands: shell },
    {
      uid: "full",
      acls: { user: "daemon", label },
      profile: "minimal",
      namespace: { shares: { all: "disable" }, mounts: system },
      commands: shell,
    },
  ],
});

export async function labelChecks(): Promise<void> {
  const file = "/run/spawnbox-reader.profile";
  writeFileSync(file, PROFILE);
  await check("AppArmor loads a profile", () => {
    const { exitCode, stderr } = Bun.spawnSync([
      "apparmor_parser",
      "--replace",
      "--skip-cache",
      file,
    ]);
    assert.equal(exitCode, 0, stderr.toString());
  });
  await check("a command runs under its AppArmor profile", async () => {
    await using server = await serve(config("apparmor:spawnbox-reader"), "unit");
    const script =
      "read label < /proc/self/attr/current; echo $label; : > /tmp/written && echo written";
    for (const sandbox of ["bare", "full"]) {
      const { stdout } = await server.run(`label/${sandbox}/sh`, { script });
      assert.deepEqual(stdout, ["spawnbox-reader (enforce)"], sandbox);
    }
  });
  await check("a profile that is not loaded keeps the command from starting", async () => {
    await using server = await serve(config("no-such-profile"), "unit");
    for (const sandbox of ["bare", "full"]) {
      await assert.rejects(
        server.run(`label/${sandbox}/sh`, { script: "echo started" }),
        /label .*ENOENT: no profile of that name is loaded: apparmor_parser/,
        sandbox,
      );
    }
  });
}
