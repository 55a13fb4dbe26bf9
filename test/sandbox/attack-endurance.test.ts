/** Launches in a row, as many as SPAWNBOX_LAUNCHES says: nothing of the server may grow. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE, until, users } from "../served.ts";
import { rowsOf } from "../thinned.ts";
import {
  acls,
  canLookInside,
  footprint,
  marked,
  plainAndFull,
  rss,
  serveSandboxes,
  sh,
  withMounts,
} from "./attack.ts";

const LAUNCHES = Number(
  process.env["SPAWNBOX_LAUNCHES"] ?? (process.env["CI"] === undefined ? 240 : 10_000),
);
const AT_ONCE = 8;
/** MiB between the first quarter and the end: the engine's heap breathes, a leak of 10 KiB per launch would show in 10 000. */
const ROOM = 48;
/** What a server has of each, which others on this machine do not change but for mounts, that go where their directories do. */
const KINDS = ["fds", "memfds", "children", "zombies", "mounts", "groups"] as const;

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  const rows: typeof row = (...one) => canLookInside && row(...one);
  test.if(canLookInside)(
    "[endurance] launches in a row leave no descriptor, memory file, zombie, process or mount behind",
    async () => {
      await using served = await serveSandboxes(plainAndFull, { user });
      const marker = `endure-${process.pid}`;
      const ways = [
        `echo ok; : ${marker}`,
        `setsid sleep 1000 >/dev/null & echo ok; : ${marker}`,
        `echo ok; kill -9 $$; : ${marker}`,
        `yes ok 2>/dev/null | head -100; : ${marker}`,
      ];
      let launched = 0;
      const some = async (goal: number) => {
        const worker = async () => {
          while (launched < goal) {
            const n = launched++;
            const { lines } = await sh(
              served,
              n % 2 ? "full" : "plain",
              ways[n % 7] ?? ways[0] ?? "",
            );
            expect(lines[0]).toBe("ok");
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
      };
      await some(LAUNCHES / 4);
      const before = footprint(served.pid);
      const early = rss(served.pid);
      await some(LAUNCHES);
      // The pipes of the last ones are closed when their readers come to it.
      await until("the last launchers have left", () => {
        const { children, fds } = footprint(served.pid);
        return children === 0 && fds <= before.fds;
      });
      const after = footprint(served.pid);
      const grown = rss(served.pid) - early;
      console.log(
        `${user}: ${launched} launches, RSS ${Math.round(early)} MiB ${grown < 0 ? "" : "+"}${Math.round(grown)}, ${JSON.stringify(after)}`,
      );
      expect(after).toMatchObject({ memfds: before.memfds, zombies: 0 });
      // Those of others on this machine go where their directories do.
      expect(after.mounts).toBeLessThanOrEqual(before.mounts);
      expect(grown).toBeLessThan(ROOM);
      expect(marked(marker)).toEqual([]);
    },
    30_000 + LAUNCHES * 60,
  );

  rows(
    "[endurance] reloads in a row leave no descriptor, memory file and group behind, and end no task",
    async () => {
      await using served = await serveSandboxes(plainAndFull, {
        user,
        argv: ["--access", "open"],
      });
      /** Groups of the server, where it may have some: one for all that is started under one config. */
      const groups = () =>
        Bun.spawnSync(["find", "/sys/fs/cgroup", "-type", "d", "-name", `${served.pid}-*`])
          .stdout.toString()
          .split("\n").length - 1;
      const reload = async (times: number) => {
        for (let i = 0; i < times; i++) {
          expect((await served.call("monitor/reload")).request.status).toBe("success");
          for (const sandbox of ["plain", "full"]) {
            expect((await sh(served, sandbox, "echo ok")).lines).toEqual(["ok"]);
          }
        }
        await until("the launchers have left", () => footprint(served.pid).children === 1);
      };
      const long = served.call("a/plain/sh", { script: "exec sleep 1007" });
      await until("it runs", () => marked("sleep\x001007").length === 1);
      await reload(3);
      const left = () => ({ ...footprint(served.pid), groups: groups() });
      const before = left();
      await reload(20);
      // Pipes of the last ones are closed when their readers come to it, groups that are kept go after a while: what each
      // reload left would be there twenty times.
      await until("what is open is no more than before", async () => {
        const now = left();
        if (KINDS.every((kind) => now[kind] <= before[kind])) return true;
        // A look at all groups is long, and so is the while.
        await Bun.sleep(200);
        return false;
      }).catch(() => expect(left()).toEqual(before));
      await served.call("a/plain/sh", { action: "stop" });
      expect((await long).response).toMatchObject({ status: { signal: "Interrupt" } });
      // That of the first config was left for this task alone.
      await until("its group is gone", () => groups() === Math.min(before.groups, 1));
    },
    60_000 * PATIENCE,
  );

  rows(
    "[endurance] launches that are refused leave nothing behind either",
    async () => {
      // There at the start, which refuses them otherwise.
      const gone = mkdtempSync(join(tmpdir(), "spawnbox-gone-"));
      chmodSync(gone, 0o755);
      const [plain, boxed] = plainAndFull;
      await using served = await serveSandboxes(
        [
          { ...plain, acls: { ...acls, chdir: gone } },
          { ...boxed, namespace: withMounts({ target: "/gone", source: gone }) },
        ],
        { user },
      );
      rmdirSync(gone);
      const refuse = async (times: number) => {
        for (let i = 0; i < times; i += 2) {
          for (const sandbox of ["plain", "full"]) {
            const { request } = await served.call(`a/${sandbox}/sh`, { script: "true" });
            expect(request.info).toContain("ENOENT");
          }
        }
        await until("the launchers have left", () => footprint(served.pid).children === 0);
      };
      await refuse(20);
      const before = footprint(served.pid);
      await refuse(200);
      // The pipes of the last one are closed when its reader comes to it.
      await until("descriptors are closed", () => footprint(served.pid).fds <= before.fds);
      const { mounts, fds: _, ...after } = footprint(served.pid);
      expect(mounts).toBeLessThanOrEqual(before.mounts);
      expect({ ...before, ...after }).toEqual(before);
    },
    60_000 * PATIENCE,
  );
});
