/** Where the kernel lets nobody have what another process has open, the server of early boot is replaced by that of the unit. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Room } from "../places/room.ts";
import { EPERM } from "../places/rules.ts";
import { accepts, isRoot, until } from "../served.ts";

const program = join(import.meta.dir, "../../dist/spawnbox");

test.if(isRoot)(
  "kernel.yama.ptrace_scope=3: the service serves, and says why not by the same process",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-replaced-"));
    using room = new Room("replaced");
    const file = (api: string): string => {
      const path = join(dir, `${api}.json`);
      const commands = [{ uid: "true", exec: { cmdpath: "/bin/true" } }];
      const sandboxes = { uid: "box", acls: { user: "root" }, commands };
      writeFileSync(path, JSON.stringify({ metadata: { uid: api, api }, sandboxes }));
      return path;
    };
    const [first, second] = [join(dir, "first"), join(dir, "second")];
    const holder = Bun.spawn(
      [
        ...["unshare", "--mount", "--propagation=private"],
        ...["/bin/sh", "-ec", 'mount -t tmpfs run /run; echo up; exec sleep "$1"', "sh", "600"],
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    for await (const chunk of holder.stdout) if (chunk.length > 0) break;
    const inside = (...argv: string[]) =>
      Bun.spawn(["nsenter", `--target=${holder.pid}`, "--mount", ...argv], {
        env: { PATH: process.env["PATH"] },
        stdio: ["ignore", "ignore", "pipe"],
      });
    const filter = room.filter([{ call: "pidfd_getfd", errno: EPERM }]);
    const early = inside(...filter, program, "early", "--config", file("a"), "--unix", first);
    let unit: ReturnType<typeof inside> | undefined;
    try {
      await until("the early server serves", () => accepts(first));
      unit = inside(program, "serve", "--early", "--config", file("b"), "--unix", second);
      await until("the service serves", () => accepts(second));
      expect(await early.exited).toBe(0);
      unit.kill("SIGKILL");
      expect(await unit.stderr.text()).toContain(
        "spawnbox early is replaced: it cannot have the output and sockets of the unit's process (pidfd_getfd(descriptor 1): EPERM: a filter or a security module denies it)",
      );
    } finally {
      for (const one of [early, unit]) one?.kill("SIGKILL");
      await Promise.all([early.exited, unit?.exited]);
      holder.kill();
      await holder.exited;
      rmSync(dir, { recursive: true });
    }
  },
);
