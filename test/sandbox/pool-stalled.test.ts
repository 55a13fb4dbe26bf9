/** Warm sandboxes with a source on a file system that has ceased to answer, as one of a network does. */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE, shell, system, until, users } from "../served.ts";
import { acls, childrenOf, full, serveSandboxes, sh, waitingOf } from "./attack.ts";
import { canStall, stalling } from "./stalling.ts";

describe.skipIf(!canStall).each(users)("served by %s", (user) => {
  test("[warm sandboxes] a source that does not answer holds up its own launches only", async () => {
    await using files = await stalling();
    const { source } = files;
    const namespace = { ...full, mounts: [...system, { target: "/source", source }] };
    await using served = await serveSandboxes(
      [
        { uid: "stalled", acls, namespace, pool: 1, commands: [shell] },
        { uid: "other", acls, namespace: full, pool: 1, commands: [shell] },
      ],
      { user },
    );
    // A supervisor that still looks at the source when it ceases to answer could not be killed.
    const sleeps = (pid: string) => readFileSync(`/proc/${pid}/wchan`, "utf8").includes("poll");
    const ready = () =>
      until("both wait", () => {
        const both = waitingOf(served.pid);
        return both.length === 2 && both.every(sleeps);
      });
    await ready();
    expect((await sh(served, "stalled", "echo fine")).lines).toEqual(["fine"]);
    await ready();
    await files.stall();
    for (const pid of childrenOf(served.pid)) process.kill(Number(pid), "SIGKILL");
    // After the loss of one that waits, no other is made before the next request: that is to be this one.
    await until("they are gone", () => childrenOf(served.pid).length === 0);
    await Bun.sleep(200);
    const late = sh(served, "stalled", "echo late");
    await Bun.sleep(300);
    files.answer();
    expect((await late).lines).toEqual(["late"]);
    expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
    await ready();
    await files.stall();
    let told = 0;
    const calls = Array.from({ length: 20 }, async () => {
      const { request } = await served.call("a/stalled/sh", { script: "echo fine" });
      told++;
      return request.info;
    });
    await Bun.sleep(300);
    expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
    expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
    expect(told).toBe(0);
    // Its end makes the kernel answer in its stead.
    await files.end();
    for (const info of await Promise.all(calls)) expect(info).toContain(source);
    expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
  });
});

test.skipIf(!canStall)(
  "[warm sandboxes] a source behind a link of /proc holds up its own launches only",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-pool-"));
    chmodSync(dir, 0o755);
    const source = join(dir, "link");
    const link = (to: string) => {
      symlinkSync(to, `${source}.new`);
      renameSync(`${source}.new`, source);
    };
    mkdirSync(join(dir, "plain"));
    link(join(dir, "plain"));
    const namespace = { ...full, mounts: [...system, { target: "/source", source }] };
    try {
      await using served = await serveSandboxes(
        [
          { uid: "stalled", acls, namespace, pool: 1, commands: [shell] },
          { uid: "other", acls, commands: [shell] },
        ],
        {},
      );
      // Its end, before that of the server, makes the kernel answer in its stead.
      await using files = await stalling(["unshare", "--mount", "--propagation", "private"]);
      const ready = () => until("it waits", () => waitingOf(served.pid).length === 1);
      await ready();
      link(`/proc/${files.pid}/root${files.source}`);
      expect((await sh(served, "stalled", "echo fine")).lines).toEqual(["fine"]);
      await ready();
      await files.stall();
      const late = sh(served, "stalled", "echo late");
      // A server that waits would never go on, nor end.
      let hung = false;
      const guard = setTimeout(() => {
        hung = true;
        files.answer();
      }, 20_000 * PATIENCE);
      expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
      clearTimeout(guard);
      expect(hung).toBe(false);
      files.answer();
      expect((await late).lines).toEqual(["late"]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);
