/** acls.label, with the security module that Debian's kernel starts: AppArmor. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { shell, system } from "../../served.ts";
import { check } from "./check.ts";
import { serve } from "./server.ts";

/** Reads everything, writes nothing but the null device; the second may be signalled from outside. */
const PROFILES = ["", "signal (receive) peer=unconfined,"].map(
  (rule, i) => `profile spawnbox-reader${i === 0 ? "" : "-signalled"} flags=(attach_disconnected) {
  / r,
  /** rmix,
  /dev/null rw,
  ${rule}
}
`,
);

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

/** Loads the profiles. @returns the label of one whose commands may be signalled from outside, or may not */
export function loadProfile(signalled: boolean): string {
  const file = "/run/spawnbox-reader.profile";
  writeFileSync(file, PROFILES.join(""));
  const load = ["apparmor_parser", "--replace", "--skip-cache", file];
  const { exitCode, stderr } = Bun.spawnSync(load);
  assert.equal(exitCode, 0, stderr.toString());
  return signalled ? "apparmor:spawnbox-reader-signalled" : "apparmor:spawnbox-reader";
}

export async function labelChecks(): Promise<void> {
  await check("AppArmor loads a profile", () => void loadProfile(false));
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
