/** Who a caller at a unix socket is: a user, one with less than its user, or nobody, as the server's own commands. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isOwnCommand, type Peer, peerOf, userNamed } from "../../src/server/peer.ts";
import { isRoot, until } from "../served.ts";

const [uid, gid] = [process.geteuid?.() ?? -1, process.getegid?.() ?? -1];

/** What the server makes of each that connects with these commands; `{path}` is the socket. */
async function peersOf(connect: (path: string) => Promise<unknown>): Promise<(Peer | undefined)[]> {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-peer-"));
  const path = join(dir, "s");
  const seen: (Peer | undefined)[] = [];
  const server = createServer((socket: Socket) => {
    seen.push(peerOf(socket));
    socket.end();
  });
  try {
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await connect(path);
    await until("somebody came", () => seen.length > 0);
    return seen;
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
}
const itself = (path: string) => Bun.connect({ unix: path, socket: { data() {}, close() {} } });
const CONNECT =
  "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)";

describe("descent", () => {
  test("whatever the server has started is its own, in any generation", async () => {
    const child = Bun.spawn(["/bin/sh", "-c", "sleep 1000 & echo $!; wait"], { stdout: "pipe" });
    const reader = child.stdout.getReader();
    const grandchild = Number(new TextDecoder().decode((await reader.read()).value));
    expect([isOwnCommand(child.pid), isOwnCommand(grandchild)]).toEqual([true, true]);
    process.kill(grandchild, "SIGKILL");
    child.kill("SIGKILL");
    await child.exited;
  });
  test("nobody else is: not itself, not whoever has started it, not those that it cannot see", () => {
    expect([process.pid, process.ppid, 1, 0].map((pid) => isOwnCommand(pid))).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
  test("one that is gone is not trusted", async () => {
    const gone = Bun.spawn(["/bin/true"]);
    await gone.exited;
    expect(isOwnCommand(gone.pid)).toBe(true);
  });
});

describe("a connection", () => {
  test("of a process that is none of its own is its user's, with all its groups", async () => {
    const [peer] = await peersOf(itself);
    expect(peer).toMatchObject({ pid: process.pid, uid, gid, user: { uid, confined: false } });
    const groups = new Set([gid, ...(process.getgroups?.() ?? [])]);
    expect(new Set(peer?.user?.gids)).toEqual(groups);
  });
  test("of a command of its own is nobody's, whoever it runs as", async () => {
    for (const first of isRoot
      ? [[], ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]]
      : [[]]) {
      const [peer] = await peersOf((path) => {
        Bun.spawnSync(["chmod", "0777", path, join(path, "..")]);
        return Bun.spawn([...first, "/usr/bin/python3", "-ISc", CONNECT, path]).exited;
      });
      expect(peer).toMatchObject({ uid: first.length > 0 ? 54321 : uid });
      expect(peer?.user).toBeUndefined();
    }
  });
  test.skipIf(!isRoot)(
    "keeps the supplementary groups, each once, without those that mean nobody",
    async () => {
      const code = `
import { createServer } from "node:net";
import { peerOf } from "${join(import.meta.dir, "../../src/server/peer.ts")}";
const path = process.argv.at(-1);
const server = createServer((socket) => { console.log(JSON.stringify(peerOf(socket)?.user)); process.exit(); });
server.listen(path, () => Bun.connect({ unix: path, socket: { data() {} } }));`;
      const dir = mkdtempSync(join(tmpdir(), "spawnbox-peer-"));
      try {
        const run = (...first: string[]) =>
          JSON.parse(
            Bun.spawnSync([
              ...first,
              process.execPath,
              "-e",
              code,
              join(dir, `s${Math.random()}`),
            ]).stdout.toString(),
          ) as unknown;
        expect(run("setpriv", "--groups=4,27,4,0")).toEqual({
          uid: 0,
          gids: [0, 4, 27],
          confined: false,
        });
        expect(run("setpriv", "--groups=4", "--no-new-privs")).toEqual({
          uid: 0,
          gids: [0, 4],
          confined: true,
        });
        // Here 65534 is a user as any other.
        expect(run("setpriv", "--groups=65534")).toEqual({
          uid: 0,
          gids: [0, 65534],
          confined: false,
        });
        expect(run("setpriv", "--groups=4", "unshare", "--user", "--map-root-user")).toEqual({
          uid: 0,
          gids: [0],
          confined: false,
        });
      } finally {
        rmSync(dir, { recursive: true });
      }
    },
  );
});

test.skipIf(!isRoot)(
  "a connection of somebody whom the server's user namespace does not know is nobody's",
  async () => {
    const code = `
import { chmodSync } from "node:fs";
import { createServer } from "node:net";
import { peerOf } from "${join(import.meta.dir, "../../src/server/peer.ts")}";
const path = process.argv.at(-1);
let left = 2;
const server = createServer((socket) => {
  const { uid, user } = peerOf(socket) ?? {};
  console.log(JSON.stringify([uid, user?.uid ?? null]));
  socket.end();
  if (--left === 0) process.exit();
});
server.listen(path, () => { chmodSync(path, 0o777); console.log("ready"); });`;
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-peer-"));
    Bun.spawnSync(["chmod", "755", dir]);
    try {
      const path = join(dir, "s");
      const inside = ["unshare", "--user", "--map-root-user", process.execPath, "-e", code, path];
      const server = Bun.spawn(inside, { stdout: "pipe" });
      await until(
        "it listens",
        () => (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) % 8 === 7,
      );
      for (const uid of ["0", "12345"]) {
        const as = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
        await Bun.spawn([...as, "/usr/bin/python3", "-ISc", CONNECT, path]).exited;
      }
      const lines = (await server.stdout.text()).trim().split("\n").slice(1);
      expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
        [0, 0],
        [65534, null],
      ]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

const named = (uid: number, gid: number, pid: number) =>
  userNamed({ uid, gid, pid, label: undefined });

describe("a user who is named", () => {
  test("is that user, with that group", () => {
    expect(named(1001, 1002, process.pid)).toEqual({
      uid: 1001,
      gids: [1002],
      confined: false,
    });
  });
  test("by one that cannot be seen, has less than its user", () => {
    expect(named(1001, 1002, 0)).toEqual({ uid: 1001, gids: [1002], confined: true });
  });
  test("by one of its own commands is nobody", async () => {
    const child = Bun.spawn(["/bin/sleep", "1000"]);
    expect(named(0, 0, child.pid)).toBeUndefined();
    child.kill("SIGKILL");
    await child.exited;
  });
  test("where an id is what others have in place of theirs, is nobody", () => {
    const code = `
import { userNamed } from "${join(import.meta.dir, "../../src/server/peer.ts")}";
console.log(JSON.stringify([[65534, 7], [7, 65534], [7, 8]].map(([uid, gid]) => userNamed({ uid, gid, pid: 0 }) ?? null)));`;
    const inside = Bun.spawnSync([
      "unshare",
      "--user",
      "--map-root-user",
      process.execPath,
      "-e",
      code,
    ]);
    expect(JSON.parse(inside.stdout.toString())).toEqual([
      null,
      { uid: 7, gids: [], confined: true },
      { uid: 7, gids: [8], confined: true },
    ]);
    if (isRoot)
      expect(named(65534, 65534, 0)).toEqual({ uid: 65534, gids: [65534], confined: true });
  });
});
