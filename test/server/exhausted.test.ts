/** Where the kernel has run out of something, a start is told busy, before anything ran, and succeeds later. */
import { describe, expect, test } from "bun:test";
import type { Reply } from "../../src/api/reply.ts";
import { isRoot, serve, type Served, shell, users } from "../served.ts";
import { footprint } from "../sandbox/attack.ts";

const config = {
  metadata: { uid: "p", api: "p" },
  sandboxes: {
    uid: "a",
    acls: isRoot ? { user: "nobody", timeout: 20 } : { timeout: 20 },
    commands: [shell],
  },
};

/** Changes limits of the running server, as its user. */
async function limit({ pid }: Served, ...what: string[]): Promise<void> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  const uid = /^Uid:\t(\d+)/m.exec(status)?.[1] ?? "";
  const asUser = isRoot ? ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"] : [];
  const done = Bun.spawnSync([...asUser, "prlimit", "--pid", `${pid}`, ...what]);
  expect(done.stderr.toString()).toBe("");
}

describe.each(users)("served by %s", (user) => {
  test("no descriptors: 503 over REST, busy over the WebSocket, and fine again", async () => {
    await using served = await serve(config, { user });
    const url = `${served.url}/api/p/sh?script=echo+fine`;
    expect((await fetch(url)).status).toBe(200);
    // One connection more, and no launch.
    await limit(served, `--nofile=${footprint(served.pid).fds + 3}:`);
    const refused = await fetch(url);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    const { request } = (await refused.json()) as Reply;
    expect(request).toMatchObject({ status: "busy", code: -100 });
    expect(request.info).toContain("descriptors");
    expect((await served.call("p/sh", { script: "echo fine" })).request.status).toBe("busy");
    await limit(served, "--nofile=256:");
    expect((await fetch(url)).status).toBe(200);
  });
});
