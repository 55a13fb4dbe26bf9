/** Pools where descriptors or processes are few: they live on what requests leave over. */
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "bun:test";
import { isRoot, type Served, shell, until, users } from "../served.ts";
import { acls, api, canLookInside, childrenOf, footprint, serveSandboxes, sh } from "./attack.ts";

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

/** Idle connections, so many that only `left` descriptors of the server are not in use. */
async function occupy(served: Served, left: number): Promise<Socket[]> {
  const { port } = new URL(served.url);
  const count = FILES - left - footprint(served.pid).fds;
  const sockets = Array.from({ length: count }, () =>
    connect(Number(port), "127.0.0.1").on("error", () => {}),
  );
  await until("they are accepted", () => footprint(served.pid).fds >= FILES - left);
  return sockets;
}

describe.each(users)("served by %s", (user) => {
  const first = ["prlimit", `--nofile=${FILES}:${FILES}`];

  test.skipIf(!canLookInside)(
    "[warm sandboxes] pools leave descriptors to requests, and have fair shares of the rest",
    async () => {
      await using served = await serveSandboxes(sandboxes, { user, first });
      await until("they wait", () => childrenOf(served.pid).length >= 4);
      // No further one comes.
      await Bun.sleep(1500);
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
      await until("they wait", () => childrenOf(served.pid).length >= 4);
      await Bun.sleep(300);
      const waiting = childrenOf(served.pid).length;
      const idle = await occupy(served, 6);
      expect((await sh(served, "none", "echo fine")).lines).toEqual(["fine"]);
      expect(childrenOf(served.pid).length).toBeLessThan(waiting);
      await fine(served);
      for (const socket of idle) socket.destroy();
      await until("they have gone", () => footprint(served.pid).fds < FILES / 2);
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
    await until("they wait", () => childrenOf(served.pid).length === 34);
    // What the user has now is all there may be.
    const statuses = await Promise.all(
      [...new Bun.Glob("[0-9]*/status").scanSync({ cwd: "/proc" })].map((path) =>
        Bun.file(`/proc/${path}`)
          .text()
          .catch(() => ""),
      ),
    );
    const number = (name: string, text: string) =>
      Number(new RegExp(`^${name}:\\t(\\d+)`, "m").exec(text)?.[1] ?? -1);
    const uid = number("Uid", await Bun.file(`/proc/${served.pid}/status`).text());
    const own = statuses.filter((text) => number("Uid", text) === uid);
    const used = own.reduce((sum, text) => sum + number("Threads", text), 0);
    const limit = ["prlimit", "--pid", `${served.pid}`, `--nproc=${used}:${used}`];
    const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const done = Bun.spawnSync([...(isRoot ? asUser : []), ...limit]);
    expect(done.stderr.toString()).toBe("");
    expect((await sh(served, "none", "echo fine")).lines).toEqual(["fine"]);
    expect(childrenOf(served.pid).length).toBeLessThan(34);
    await fine(served);
  });
});
