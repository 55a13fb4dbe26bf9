/** The tables of the migration guide: each row's effect, seen from inside; bwrap's beside the real bwrap. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cgroups } from "../../src/config/sandbox-schema.ts";
import { compileCgroups } from "../../src/plan/cgroup.ts";
import { Report } from "../../src/plan/report.ts";
import { isRoot, type Served, serve, system } from "../served.ts";
import {
  BWRAP,
  DOCKER,
  DOCKER_LIMITS,
  type LimitRow,
  type Row,
  SOURCE,
  SYSTEMD,
  SYSTEMD_LIMITS,
} from "./rows.ts";

const source = mkdtempSync(join(tmpdir(), "spawnbox-rows-"));
chmodSync(source, 0o777);
writeFileSync(join(source, "f"), "content\n");
writeFileSync(join(source, "run"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
afterAll(() => rmSync(source, { recursive: true }));

const host = Object.fromEntries(
  ["ipc", "net", "pid", "user"].map((name) => [
    `HOST_${name}`,
    readlinkSync(`/proc/self/ns/${name}`),
  ]),
);

interface Keys {
  readonly acls?: object;
  readonly namespace?: { readonly mounts?: readonly { target: string; source?: string }[] };
}

/** The sandbox of a row: a minimal system, and what the row adds or says otherwise. */
function sandboxOf({ ours, probe }: Row, index: number, user: string) {
  const { acls, namespace, ...rest } = ours as Keys;
  const own = (namespace?.mounts ?? []).map((mount) =>
    mount.source === SOURCE ? { ...mount, source } : mount,
  );
  const base = system.filter(({ target }) => !own.some((mount) => mount.target === target));
  const { envs = [], ...others } = rest as { envs?: object[] };
  return {
    uid: `row${index}`,
    acls: { user, ...acls },
    namespace: { ...namespace, mounts: [...base, ...own] },
    envs: [...envs, ...Object.entries(host).map(([name, value]) => ({ name, value }))],
    ...others,
    commands: {
      uid: "probe",
      encoder: "sync",
      exec: { cmdpath: "/bin/sh", args: ["-c", escaped(probe)] },
    },
  };
}

/** A script is no template. */
const escaped = (script: string): string =>
  script.replaceAll("%", "%%").replaceAll("?", "??").replaceAll("$", "$$$$");

const shown = (lines: readonly string[] = []): string => lines.join(" ").trim();

function inServer(
  name: string,
  rows: readonly Row[],
  user: string,
  more?: (row: Row) => void,
): void {
  describe.skipIf(!isRoot)(name, () => {
    let served: Served;
    beforeAll(async () => {
      const sandboxes = rows.map((row, i) => sandboxOf(row, i, user));
      served = await serve({ metadata: { uid: "rows", api: "rows" }, sandboxes }, { user: "root" });
    });
    afterAll(() => served?.[Symbol.asyncDispose]());
    for (const [i, row] of rows.entries()) {
      test(row.theirs, async () => {
        const { stdout } = await served.run(`rows/row${i}/probe`);
        if (typeof row.shows === "string") expect(shown(stdout)).toBe(row.shows);
        else expect(shown(stdout)).toMatch(row.shows);
        rmSync(join(source, "new"), { force: true });
        more?.(row);
        rmSync(join(source, "new"), { force: true });
      });
    }
  });
}

inServer("systemd", SYSTEMD, "nobody");
inServer("docker", DOCKER, "nobody");

const bwrap = Bun.which("bwrap");
inServer("bwrap, beside itself", BWRAP, "root", ({ theirs, probe, shows }) => {
  if (bwrap === null) return expect(process.env["CI"]).toBeUndefined();
  const words = theirs.split(" ").map((word) => (word === SOURCE ? source : word));
  const links = ["bin", "lib", "lib64"].flatMap((name) => ["--symlink", `usr/${name}`, `/${name}`]);
  const base = ["--ro-bind", "/usr", "/usr", ...links, "--proc", "/proc", "--dev", "/dev"];
  const { stdout, stderr } = Bun.spawnSync(
    [bwrap, ...base, "--tmpfs", "/tmp", "--new-session", ...words, "/bin/sh", "-c", probe],
    { env: { PATH: "/usr/bin:/bin", HOME: "/", ...host }, stdin: "ignore" },
  );
  const said = shown(stdout.toString().split("\n"));
  expect([said, stderr.toString()]).toEqual([shows as string, expect.any(String)]);
});

describe.each([
  ["systemd", SYSTEMD_LIMITS],
  ["docker", DOCKER_LIMITS],
] as const)("limits of %s", (_, rows: readonly LimitRow[]) => {
  test.each(rows.map((row) => [row.theirs, row] as const))("%s", (_theirs, { ours, writes }) => {
    const report = new Report("f");
    const policy = compileCgroups(ours as Cgroups, "c", report);
    expect(report.problems).toEqual([]);
    expect(policy?.shared.map(({ file, value }) => `${file}=${value}`)).toEqual([writes]);
  });
});
