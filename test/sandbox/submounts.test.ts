/** A directory of the host is shown with what is mounted below it, and all of that is as restricted, also on old kernels. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, serve, system } from "../served.ts";
import { python } from "./attack.ts";

const program = join(import.meta.dir, "../../dist/spawnbox");

/** In this order; a later one may lie on an earlier one, or on a directory above it. */
const MOUNTS = [
  "one",
  "one/deep",
  "with space",
  "stacked",
  "stacked",
  "above/lost",
  "above",
  "strict",
];
/** Read-only and not to be executed from as it is mounted there, whatever the sandbox adds. */
const STRICT = "strict";
const SHOWN = [...new Set(MOUNTS)].filter((name) => name !== "above/lost");

const config = (source: string) => ({
  metadata: { uid: "s", api: "s" },
  sandboxes: ["ro", "rw"].flatMap((mode) =>
    // With user ids of its own, the mounts of the host are locked together: mount_namespaces(7).
    ["enable", "disable"].map((users) => ({
      uid: `${mode}-${users}`,
      acls: { user: "root" },
      namespace: {
        shares: { users, pid: "disable" },
        mounts: [...system, { target: "/shown", source, mode }],
      },
      commands: [python],
    })),
  ),
});

/** Of each mount below that is seen: its name, whether it can be written, what it lacks of nosuid and nodev. */
const LOOK = `
import os
for path, dirs, files in os.walk("/shown"):
    if "mark" not in files: continue
    print("shown", path)
    if os.statvfs(path).f_flag & 6 != 6: print("unrestricted", path)
    if path.endswith("/strict") and os.statvfs(path).f_flag & 15 != 15: print("unrestricted", path, os.statvfs(path).f_flag)
    try: open(path + "/written", "w"); print("wrote", path)
    except OSError: pass
`;

const places = SHOWN.map((name) => `/shown/${name}`).toSorted();

describe.skipIf(!isRoot)("mounts below a source", () => {
  let dir: string;
  let file: string;
  const mounted: string[] = [];
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-submounts-"));
    chmodSync(dir, 0o755);
    const source = join(dir, "source");
    for (const name of MOUNTS) {
      const place = join(source, name);
      mkdirSync(place, { recursive: true });
      const { exitCode, stderr } = Bun.spawnSync([
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "suid,dev",
        "x",
        place,
      ]);
      if (exitCode !== 0) throw new Error(`mount ${place}: ${stderr}`);
      mounted.push(place);
      writeFileSync(join(place, "mark"), "");
    }
    // Flags of this mount, not of its file system.
    const remount = ["mount", "-o", "remount,bind,ro,noexec", join(source, STRICT)];
    if (Bun.spawnSync(remount).exitCode !== 0) throw new Error(remount.join(" "));
    file = join(dir, "config.json");
    writeFileSync(file, JSON.stringify(config(source)));
  });
  afterAll(() => {
    for (const place of mounted.toReversed()) Bun.spawnSync(["umount", place]);
    rmSync(dir, { recursive: true });
  });

  const expected = (sandbox: string) => ({
    shown: places,
    unrestricted: [],
    wrote: sandbox.startsWith("ro") ? [] : places.filter((place) => !place.endsWith(STRICT)),
  });
  const seen = (lines: readonly string[]) => {
    const those = (word: string) =>
      lines
        .filter((line) => line.startsWith(`${word} `))
        .map((line) => line.slice(word.length + 1))
        .toSorted();
    return {
      shown: those("shown"),
      unrestricted: those("unrestricted"),
      wrote: those("wrote"),
    };
  };
  const sandboxes = config("").sandboxes.map(({ uid }) => uid);

  test("[mounts] all that is mounted below a source is shown, with the restrictions of the mount", async () => {
    await using served = await serve(config(join(dir, "source")), { user: "root" });
    for (const sandbox of sandboxes) {
      const { stdout = [] } = await served.run(`s/${sandbox}/py`, { script: LOOK });
      expect(seen(stdout)).toEqual(expected(sandbox));
    }
  });

  test("[mounts] the same without mount_setattr, as before Linux 5.12", async () => {
    // A spawnbox inside a sandbox of spawnbox whose filter plays the old kernel.
    const rules = { syscall: "mount_setattr", action: "SCMP_ACT_ERRNO(ENOSYS)" };
    const query = JSON.stringify({ script: LOOK });
    const commands = sandboxes.map((uid) => ({
      uid,
      encoder: "sync",
      exec: { cmdpath: program, args: ["run", "--raw", `s/${uid}/py`, query, "--config", file] },
    }));
    const old = {
      uid: "old",
      acls: { user: "root" },
      seccomp: { default: "SCMP_ACT_ALLOW", rules },
      commands,
    };
    await using served = await serve(
      { metadata: { uid: "o", api: "o" }, sandboxes: old },
      { user: "root" },
    );
    for (const sandbox of sandboxes) {
      const { stdout = [], stderr } = await served.run(`o/${sandbox}`);
      const reply = stdout.find((line) => line.includes('"afb-reply"'));
      if (reply === undefined) throw new Error(`${sandbox}: ${stdout} ${stderr}`);
      const { response } = JSON.parse(reply) as { response: { stdout: string[] } };
      expect(seen(response.stdout)).toEqual(expected(sandbox));
    }
  });
});
