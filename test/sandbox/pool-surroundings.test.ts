/** Warm sandboxes and what they have taken in when they were made: a request never gets what has been replaced since. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Served, shell, system, until, users } from "../served.ts";
import { acls, canLookInside, childrenOf, full, serveSandboxes, sh, waitingOf } from "./attack.ts";

const POOL = 2;

describe.each(users)("served by %s", (user) => {
  let served: Served;
  let dir: string;
  const file = () => join(dir, "file");
  const content = (text: string) => {
    writeFileSync(`${file()}.new`, text);
    renameSync(`${file()}.new`, file());
  };
  const children = () => childrenOf(served.pid);
  const ready = () => until("the pool is full", () => waitingOf(served.pid).length === POOL);
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-pool-"));
    chmodSync(dir, 0o755);
    content("old");
    const mounts = [...system, { target: "/file", source: file(), mode: "ro" }];
    served = await serveSandboxes(
      [{ uid: "files", acls, namespace: { ...full, mounts }, pool: POOL, commands: [shell] }],
      { user },
    );
  });
  afterAll(async () => {
    await served?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  });

  test("[warm sandboxes] a source that was replaced is seen by the next request", async () => {
    await ready();
    expect((await sh(served, "files", "cat /file")).lines).toEqual(["old"]);
    await ready();
    content("new");
    expect((await sh(served, "files", "cat /file")).lines).toEqual(["new"]);
    await ready();
    expect((await sh(served, "files", "cat /file")).lines).toEqual(["new"]);
  });

  test("[warm sandboxes] one that cannot be set up is not tried over and over, and the request tells why", async () => {
    await ready();
    rmSync(file());
    const failed = async () => (await served.call("a/files/sh", { script: "true" })).request.info;
    const why = expect.stringContaining(`bind ${file()}: ENOENT`);
    expect(await failed()).toEqual(why);
    await until("its own are gone", () => children().length === 0);
    await Bun.sleep(100);
    const before = children().length;
    const seen = new Set<string>();
    for (let i = 0; i < 50; i++) {
      for (const pid of children()) seen.add(pid);
      await Bun.sleep(5);
    }
    expect(seen.size).toBe(before);
    expect(await failed()).toEqual(why);
    content("new");
    expect((await sh(served, "files", "cat /file")).lines).toEqual(["new"]);
    await ready();
  });

  test("[warm sandboxes] a source that cannot be looked at: the request tells why, as without a pool", async () => {
    await ready();
    rmSync(file());
    symlinkSync(file(), file());
    const reply = await served.call("a/files/sh", { script: "true" });
    expect(reply.request.info).toContain(`bind ${file()}: ELOOP`);
    // Another is tried, later.
    await Bun.sleep(100);
    rmSync(file());
    content("new");
    expect((await sh(served, "files", "cat /file")).lines).toEqual(["new"]);
    await ready();
  });

  test.skipIf(!canLookInside)(
    "[warm sandboxes] what is mounted meanwhile, or with other flags, counts for the next request",
    async () => {
      const source = join(dir, "source");
      mkdirSync(join(source, "sub"), { recursive: true });
      chmodSync(source, 0o777);
      writeFileSync(join(source, "sub/file"), "below\n");
      const namespace = { ...full, mounts: [...system, { target: "/source", source, mode: "rw" }] };
      await using other = await serveSandboxes(
        [{ uid: "mounts", acls, namespace, pool: POOL, commands: [shell] }],
        { user, first: ["unshare", "--mount"] },
      );
      const filled = () => until("it is full", () => waitingOf(other.pid).length === POOL);
      const inServer = (...argv: string[]) => {
        const args = ["nsenter", "--target", `${other.pid}`, "--mount", ...argv];
        expect(Bun.spawnSync(args).stderr.toString()).toBe("");
      };
      const says = async (script: string) => (await sh(other, "mounts", script)).lines;
      const look = "cat /source/sub/file 2>/dev/null || echo none";
      const write = "touch /source/new 2>/dev/null && echo written || echo none";
      await filled();
      expect(await says(look)).toEqual(["below"]);
      await filled();
      inServer("mount", "-t", "tmpfs", "over", join(source, "sub"));
      expect(await says(look)).toEqual(["none"]);
      await filled();
      inServer("umount", join(source, "sub"));
      expect(await says(look)).toEqual(["below"]);
      inServer("mount", "--bind", source, source);
      expect(await says(write)).toEqual(["written"]);
      await filled();
      const stale = waitingOf(other.pid);
      inServer("mount", "-o", "remount,bind,ro", source);
      expect(await says(write)).toEqual(["none"]);
      // Those made since are used.
      await until("others wait", () => {
        const waiting = waitingOf(other.pid);
        return waiting.length === POOL && !waiting.some((pid) => stale.includes(pid));
      });
      const before = waitingOf(other.pid);
      expect(await says(look)).toEqual(["below"]);
      await filled();
      expect(before.filter((pid) => !waitingOf(other.pid).includes(pid))).toHaveLength(1);
    },
  );

  test.skipIf(user !== "root")(
    "[warm sandboxes] a network namespace that was replaced by another of its name is left",
    async () => {
      const name = `sbx-pool-${process.pid}`;
      const netns = (verb: string) =>
        expect(Bun.spawnSync(["ip", "netns", verb, name]).stderr.toString()).toBe("");
      netns("add");
      try {
        const namespace = { shares: { net: `name:${name}` } };
        await using other = await serveSandboxes(
          [{ uid: "net", acls, namespace, pool: POOL, commands: [shell] }],
          { user },
        );
        const filled = () => until("it is full", () => waitingOf(other.pid).length === POOL);
        const joined = async () => (await sh(other, "net", "readlink /proc/self/ns/net")).lines;
        const named = () => [`net:[${statSync(`/run/netns/${name}`).ino}]`];
        await filled();
        const first = named();
        expect(await joined()).toEqual(first);
        await filled();
        netns("del");
        netns("add");
        expect(named()).not.toEqual(first);
        expect(await joined()).toEqual(named());
        await filled();
        expect(await joined()).toEqual(named());
      } finally {
        netns("del");
      }
    },
  );
});
