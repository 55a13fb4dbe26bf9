/** What `npm test` runs where: all suites, each once, and what serves for real in a lane of its own. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ORDINARY } from "./accounts.ts";
import { canMake, makeLane, renumbered } from "./lane.ts";
import { isRoot } from "./served.ts";
import { jobs } from "./suites.ts";
import seconds from "./seconds.json" with { type: "json" };

const root = join(import.meta.dir, "..");
const suites = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: root })].toSorted();

test("each suite runs in one job, and the longest job of a kind comes first", () => {
  const all = jobs();
  expect(all.flatMap(({ files }) => files).toSorted()).toEqual(suites);
  for (const kind of ["measures", "machine", "serves", "beside"] as const) {
    const times = all.filter((job) => job.kind === kind).map((job) => job.seconds);
    expect(times.length).toBeGreaterThan(kind === "measures" ? 0 : 1);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  }
});

test("what is known to be long is there", () => {
  expect(Object.keys(seconds).filter((file) => !suites.includes(file))).toEqual([]);
});

test("numbers of nobody and daemon are another lane's alone", () => {
  const ids = { nobody: 7001, daemon: 7002 };
  const passwd =
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobodys:x:5:5::/:\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
  expect(renumbered(passwd, ids)).toBe(
    passwd.replace("daemon:x:1:1", "daemon:x:7002:7002").replace("65534:65534", "7001:7001"),
  );
  const group = "root:x:0:\ndaemon:x:1:\nadm:x:4:nobody,daemon\nnogroup:x:65534:\n";
  expect(renumbered(group, ids)).toBe(
    group.replace("daemon:x:1:", "daemon:x:7002:").replace("65534", "7001"),
  );
});

describe.if(isRoot)("a lane", () => {
  const scratch = mkdtempSync(join(tmpdir(), "spawnbox-lanes-"));
  chmodSync(scratch, 0o755);
  const lane = makeLane(9, scratch);
  afterAll(() => {
    lane.remove();
    rmSync(scratch, { recursive: true });
  });
  const said = (script: string) =>
    Bun.spawnSync([...lane.enter, "/bin/sh", "-c", script], {
      env: { ...process.env, ...lane.env },
    });

  test.if(canMake(lane))("has processes, ports, accounts and temporary files of its own", () => {
    const script = `id -u nobody; echo $$; ls /proc | grep -c '^[0-9]'; grep -c : /proc/net/dev; echo $TMPDIR`;
    const [nobody, pid, processes, links, temporary] = said(script).stdout.toString().split("\n");
    expect(Number(nobody)).not.toBe(ORDINARY);
    expect(Number(pid)).toBeGreaterThan(300);
    expect(Number(processes)).toBeLessThan(8);
    expect(Number(links)).toBeGreaterThan(0);
    expect(temporary).toStartWith(scratch);
  });

  test.if(canMake(lane))("ends as its command does, with all that this has left behind", () => {
    const seconds = `1000.${process.pid}`;
    expect(said(`setsid sleep ${seconds} & exit 3`).exitCode).toBe(3);
    expect(said("trap '' TERM; kill -TERM $$; kill -KILL $$").exitCode).toBe(137);
    expect(Bun.spawnSync(["pgrep", "-f", `^sleep ${seconds}`]).stdout.toString()).toBe("");
  });
});
