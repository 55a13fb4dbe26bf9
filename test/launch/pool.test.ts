/** Sandboxes that wait, while what they were made of changes. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pools } from "../../src/launch/pool.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, system, until } from "../served.ts";

test.skipIf(!isRoot)(
  "one that has found what came just before it was made is no other's once that is gone again",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-pools-"));
    const source = join(dir, "late");
    const mounts = [...system, { target: "/late", source, mode: "ro", optional: true }];
    const api = compiled({
      acls: { user: "nobody" },
      namespace: { shares: { all: "disable" }, mounts },
      pool: 1,
      commands: { uid: "c", exec: { cmdpath: "/bin/cat", args: "/late" } },
    });
    const printed: string[] = [];
    let made = 0;
    // It is asked between the look at what there is and the launch.
    const pools = new Pools(() => {
      if (made++ === 0) writeFileSync(source, "late");
      return undefined;
    });
    try {
      pools.serve([api]);
      await until("it is made anew", () => made === 2);
      rmSync(source);
      const plan = planOf(api);
      const sink = {
        stdout: (chunk: Uint8Array) => void printed.push(new TextDecoder().decode(chunk)),
        stderr() {},
      };
      await until("it waits", () => pools.ready === 1);
      const task = await pools.take(plan, { argv: ["/bin/cat", "/late"], env: plan.env }, sink);
      await task?.started;
      await task?.ended;
      expect(printed).toEqual([]);
    } finally {
      await pools.close();
      rmSync(dir, { recursive: true });
    }
  },
);
