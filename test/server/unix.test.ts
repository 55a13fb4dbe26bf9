import { dlopen } from "bun:ffi";
import { expect, test } from "bun:test";
import { existsSync, lstatSync, readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { Sessions } from "../../src/server/session.ts";
import { DatagramSocket } from "./datagrams.ts";
import { listenUnix } from "../../src/server/unix.ts";
import { LOCAL, RawClient, serve, upgradeText } from "./harness.ts";
import { until } from "../served.ts";
import { mayTrace, told } from "../strace.ts";
import { scratch } from "./transport.ts";

const get = (target: string): string =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;

test("REST and WebSocket over a unix socket beside TCP, and who is calling", async () => {
  const { path, remove } = scratch();
  {
    await using server = await serve({ endpoints: [LOCAL, { kind: "unix", path }] });
    expect(server.urls).toEqual([`http://127.0.0.1:${server.port}`, `unix:${path}`]);
    const gids = [...new Set([process.getgid?.(), ...(process.getgroups?.() ?? [])])];
    const caller = { user: { uid: process.getuid?.(), gids, confined: false } };

    using rest = await RawClient.open(path);
    rest.write(get("/api/t/who"));
    expect(await rest.head()).toStartWith("HTTP/1.1 200 ");
    expect(JSON.parse(await rest.rest())).toMatchObject({ response: { caller } });

    using socket = await RawClient.webSocket(path);
    socket.call("1", "t/who", null);
    expect(await socket.json()).toMatchObject([3, "1", { response: { caller } }]);

    // Nothing is known of a TCP peer.
    expect(await (await fetch(`${server.url}/api/t/who`)).text()).not.toContain("user");
  }
  expect(existsSync(path)).toBe(false);
  remove();
});

test.each(["made", "handed over"])(
  "the cookie of a session is named by no port: %s",
  async (how) => {
    const { path, remove } = scratch();
    {
      const listening = how === "made" ? undefined : DatagramSocket.listenStream(path);
      await using _ = await serve({
        endpoints: [listening ? { kind: "fd", fd: listening.fd } : { kind: "unix", path }],
      });
      using rest = await RawClient.open(path);
      rest.write(get("/api/t/who"));
      expect((await rest.head()).toLowerCase()).toContain("\r\nset-cookie: x-afb-uuid-0=");
    }
    remove();
  },
);

test("the session of another user is not entered by knowing its uuid", () => {
  const sessions = new Sessions();
  const peer = (uid: number) => ({ uid, gid: 1 });
  const mine = sessions.open({ uuid: "u", fromCookie: false }, peer(1));
  expect(sessions.open({ uuid: "u", fromCookie: false }, peer(2))).not.toBe(mine);
  expect(sessions.open({ uuid: "u", fromCookie: false })).not.toBe(mine);
  expect(sessions.open({ uuid: "u", fromCookie: false }, peer(1))).toBe(mine);
});

test("permissions: 0660, or what is asked for", async () => {
  for (const [mode, expected] of [
    [undefined, 0o660],
    [0o600, 0o600],
    [0o666, 0o666],
  ] as const) {
    const { path, remove } = scratch();
    const before = process.umask();
    {
      await using _ = await serve({
        endpoints: [{ kind: "unix", path, ...(mode ? { mode } : {}) }],
      });
      expect(lstatSync(path).mode & 0o777).toBe(expected);
      expect(process.umask()).toBe(before);
    }
    remove();
  }
});

const { symbols: libc } = dlopen("libc.so.6", {
  setxattr: { args: ["cstring", "cstring", "ptr", "u64", "i32"], returns: "i32" },
});
/** What is made in there is its owner's alone: acl(5), as the kernel keeps it. @returns whether that is possible here */
function closeToOthers(directory: string): boolean {
  const entries = [0x01 | (7 << 16), 0x04, 0x20].flatMap((entry) => [entry, 0xffff_ffff]);
  const acl = new Uint8Array(Uint32Array.of(2, ...entries).buffer);
  return libc.setxattr(directory, "system.posix_acl_default", acl, BigInt(acl.length), 0) === 0;
}
const acls = scratch();
const hasAcls = closeToOthers(dirname(acls.path));
acls.remove();

test.skipIf(!hasAcls)(
  "permissions are those that are asked for, whatever the directory gives",
  async () => {
    const { path, remove } = scratch();
    closeToOthers(dirname(path));
    for (const mode of [0o660, 0o666, 0o600]) {
      await using _ = await serve({ endpoints: [{ kind: "unix", path, mode }] });
      expect(lstatSync(path).mode & 0o7777).toBe(mode);
    }
    remove();
  },
);

test("nobody may connect between bind and chmod who may not afterwards", async () => {
  const before = process.umask(0);
  try {
    for (const mode of [0o600, 0o660, 0o666]) {
      const { path, remove } = scratch();
      const server = createServer();
      const listen = server.listen.bind(server) as (...how: unknown[]) => typeof server;
      let bound: number | undefined;
      server.listen = (...how: unknown[]) => {
        const listening = listen(...how);
        bound = lstatSync(path).mode & 0o777;
        return listening;
      };
      await listenUnix(server, path, mode);
      expect([bound, lstatSync(path).mode & 0o777, process.umask()]).toEqual([mode, mode, 0]);
      await new Promise((resolve) => server.close(resolve));
      remove();
    }
  } finally {
    process.umask(before);
  }
});

test("what is there already: stale is replaced; live, and other files, are refused", async () => {
  const { path, dir, remove } = scratch();
  // A process that binds and dies without a word leaves its file.
  const leave = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  await Bun.spawn([process.execPath, "-e", leave]).exited;
  expect(lstatSync(path).isSocket()).toBe(true);
  {
    await using _ = await serve({ endpoints: [{ kind: "unix", path }] });
    using client = await RawClient.open(path);
    client.write(get("/api/t/ping"));
    expect(await client.head()).toStartWith("HTTP/1.1 200 ");
    await expect(serve({ endpoints: [{ kind: "unix", path }] })).rejects.toThrow("another server");
  }
  const file = `${dir}/file`;
  writeFileSync(file, "x");
  await expect(serve({ endpoints: [{ kind: "unix", path: file }] })).rejects.toThrow("no socket");
  expect(existsSync(file)).toBe(true);
  await expect(serve({ endpoints: [{ kind: "unix", path: `${dir}/no/s` }] })).rejects.toThrow(
    "directory",
  );
  await expect(
    serve({ endpoints: [{ kind: "unix", path: `${dir}/${"x".repeat(110)}` }] }),
  ).rejects.toThrow("107");
  remove();
});

test("who ends leaves the file of a server that listens there by now, and takes its own along", async () => {
  const { path, remove } = scratch();
  const endpoints = [{ kind: "unix", path } as const];
  const before = await serve({ endpoints });
  unlinkSync(path);
  {
    await using _ = await serve({ endpoints });
    const { ino } = lstatSync(path);
    await before[Symbol.asyncDispose]();
    expect(lstatSync(path).ino).toBe(ino);
    using client = await RawClient.open(path);
    client.write(get("/healthz"));
    expect(await client.head()).toStartWith("HTTP/1.1 200 ");
    expect(readdirSync(dirname(path))).toEqual([basename(path)]);
  }
  expect(existsSync(path)).toBe(false);
  remove();
});

test("one place that cannot be had: nothing is served anywhere", async () => {
  const { path, remove } = scratch();
  const busy = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => busy.once("listening", resolve));
  const address = busy.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const endpoints = [{ kind: "unix", path } as const, { ...LOCAL, port }];
  await expect(serve({ endpoints })).rejects.toThrow("in use");
  expect(existsSync(path)).toBe(false);
  busy.close();
  remove();
});

test("a page cannot reach a unix socket, but a proxy in front may bring its Origin", async () => {
  const { path, remove } = scratch();
  {
    await using _ = await serve({ endpoints: [{ kind: "unix", path }] });
    using client = await RawClient.open(path);
    client.write(upgradeText({ Origin: "http://evil.example" }));
    expect(await client.head()).toStartWith("HTTP/1.1 403 ");
  }
  remove();
});

test("an idle connection does not hold up the end", async () => {
  const { path, remove } = scratch();
  const server = await serve({ endpoints: [{ kind: "unix", path }] });
  using client = await RawClient.open(path);
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  const begin = performance.now();
  await server.close();
  // A guard: an idle connection of HTTP is kept for 90 s.
  expect(performance.now() - begin).toBeLessThan(60_000);
  remove();
}, 80_000);

test("of 512 connections, unless it is said otherwise, one peer has three quarters", async () => {
  const { path, remove } = scratch();
  {
    await using _ = await serve({ endpoints: [{ kind: "unix", path }] });
    const sockets = Array.from({ length: 390 }, () => connect({ path }));
    const refused = new Set<Socket>();
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.on("data", () => void refused.add(socket));
      socket.on("close", () => void refused.add(socket));
    }
    await until("those beyond are refused", () => refused.size >= 6);
    await Bun.sleep(50);
    expect(refused.size).toBe(6);
    for (const socket of sockets) socket.destroy();
  }
  remove();
});

test.skipIf(!mayTrace()).each([
  ["EPERM", "takes no sockets, as vfat does not: use a path in /run (EPERM)"],
  ["EOPNOTSUPP", "takes no sockets"],
  ["EROFS", "its file system is read-only: use a path in /run (EROFS)"],
  ["ENOSPC", "is full, or has no more inodes: make room"],
  ["EDQUOT", "quota of this user is used up"],
  ["EACCES", "its directory must exist and be writable for this user (EACCES)"],
])("where a file system gives no place for it, that is told: %s", (error, words) => {
  const script = `
    import { createServer } from "node:net";
    import { listenUnix } from ${JSON.stringify(join(import.meta.dir, "../../src/server/unix.ts"))};
    await listenUnix(createServer(), "./none").catch(({ message }) => console.log(message));`;
  expect(told(script, `bind:error=${error}`).printed).toContain(words);
});
