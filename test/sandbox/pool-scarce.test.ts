/** Pools where descriptors or processes are few: they live on what requests leave over. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { isRoot, type Served, shell, until, users } from "../served.ts";
import {
  acls,
  limitServer,
  api,
  canLookInside,
  childrenOf,
  descendantsOf,
  footprint,
  serveSandboxes,
  sh,
} from "./attack.ts";

const FILES = 256;
const sandboxes = [
  { uid: "greedy", acls, pool: 32, commands: [shell] },
  { uid: "small", acls, pool: 2, commands: [shell] },
  { uid: "none", acls, commands: [shell] },
];
const fine = async (served: Served) => {
  for (const { uid } of sandboxes)
    expect((await sh(served, uid, "echo fine")).lines).toEqual(["fine"]);
};

const numberIn = (name: string, status: string) =>
  Number(new RegExp(`^${name}:\\t(\\d+)`, "m").exec(status)?.[1] ?? -1);

/** Changes a limit of the running server, as its user. */
async function tighten({ pid }: Served, limit: string): Promise<void> {
  const uid = numberIn("Uid", await Bun.file(`/proc/${pid}/status`).text());
  const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  limitServer(pid, limit, isRoot ? asUser : []);
}

/** The pools have what they may, and of the server and what waits nothing opens, closes, starts or ends any more. */
async function settled({ pid }: Served): Promise<void> {
  const look = () => {
    const threads = [pid, ...descendantsOf(pid)].map((one) => `${one}:${threadsOf(one)}`);
    return [...threads, canLookInside && footprint(pid).fds].join(" ");
  };
  await until("they wait", () => childrenOf(pid).length >= 4);
  let before = "";
  let since = 0;
  await until("no further one comes", () => {
    const now = look();
    if (now !== before) since = Date.now();
    before = now;
    // Longer than it takes until one that could not be made is tried again.
    return Date.now() - since > 1200;
  });
}
const threadsOf = (pid: number | string) => {
  const path = `/proc/${pid}/status`;
  // It has ended.
  return existsSync(path) ? numberIn("Threads", readFileSync(path, "utf8")) : 0;
};

/** Some of these processes end now. */
const end = (waiting: readonly string[]) =>
  until("some have given way", () => waiting.some((pid) => !existsSync(`/proc/${pid}`)));

describe.each(users)("served by %s", (user) => {
  const first = ["prlimit", `--nofile=${FILES}:${FILES}`];

  test.skipIf(!canLookInside)(
    "[warm sandboxes] pools leave descriptors to requests, and have fair shares of the rest",
    async () => {
      await using served = await serveSandboxes(sandboxes, { user, first });
      await settled(served);
      expect(footprint(served.pid).fds).toBeLessThan(FILES * 0.6);
      const names = childrenOf(served.pid).map((pid) => Bun.file(`/proc/${pid}/cmdline`).text());
      const waiting = (await Promise.all(names)).filter((name) => name.includes("small/"));
      expect(waiting.length).toBeGreaterThan(0);
      await fine(served);
    },
  );

  test.skipIf(!canLookInside)(
    "[warm sandboxes] what waits gives way to a launch that finds no descriptors",
    async () => {
      await using served = await serveSandboxes(sandboxes, { user, first });
      await settled(served);
      const waiting = childrenOf(served.pid);
      await tighten(served, `--nofile=${footprint(served.pid).fds + 6}:`);
      // At once: who finds that all has given way already waits for it, and who comes too late for its room asks again.
      const calls = Array.from({ length: 6 }, () => sh(served, "none", "echo fine"));
      for (const { lines } of await Promise.all(calls)) expect(lines).toEqual(["fine"]);
      await end(waiting);
      await fine(served);
      await tighten(served, `--nofile=${FILES}:`);
      await fine(served);
    },
  );

  test("[warm sandboxes] a pool that will not fill is told at the start, by check and with numbers", async () => {
    const file = `${process.env["TMPDIR"] ?? "/tmp"}/spawnbox-scarce-${process.pid}.json`;
    await Bun.write(file, JSON.stringify(api(sandboxes)));
    await using served = await serveSandboxes(sandboxes, { user });
    const check = (...limited: string[]) =>
      Bun.spawnSync([...limited, served.program, "check", file]).stdout.toString();
    try {
      expect(check(...first)).toMatch(
        /"pool" asks for 34 sandboxes that wait, and \d+ will: each takes \d+ descriptors, and of the 256 by RLIMIT_NOFILE/,
      );
      expect(check("prlimit", "--nofile=4096:4096")).not.toContain('"pool" asks');
    } finally {
      await Bun.file(file).delete();
    }
  });
});

describe("an ordinary user", () => {
  const user = users.at(-1) ?? "ordinary user";
  test("[warm sandboxes] what waits gives way to a launch that finds no processes", async () => {
    await using served = await serveSandboxes(sandboxes, { user });
    await settled(served);
    const waiting = childrenOf(served.pid);
    expect(waiting).toHaveLength(34);
    // What the user has now is all there may be.
    const statuses = await Promise.all(
      [...new Bun.Glob("[0-9]*/status").scanSync({ cwd: "/proc" })].map((path) =>
        Bun.file(`/proc/${path}`)
          .text()
          .catch(() => ""),
      ),
    );
    const uid = numberIn("Uid", await Bun.file(`/proc/${served.pid}/status`).text());
    const own = statuses.filter((text) => numberIn("Uid", text) === uid);
    const used = own.reduce((sum, text) => sum + numberIn("Threads", text), 0);
    await tighten(served, `--nproc=${used}:${used}`);
    expect((await sh(served, "none", "echo fine")).lines).toEqual(["fine"]);
    await end(waiting);
    await fine(served);
  });
});
