/** What the kernel tells of sockets: names, what they are, and who is at their other end. */
import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isHungUp } from "../../ffi/libc.ts";
import { messagePair } from "../../ffi/messages.ts";
import { hasEnded } from "../../ffi/processes.ts";
import {
  closeOnExec,
  descriptorOf,
  isListening,
  limitReceiving,
  limitUnanswered,
  lookAtPeer,
  openPeer,
  peerCredentials,
  peerGroups,
  unixPath,
} from "../../ffi/sockets.ts";
import { has } from "./descriptors.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-sockets-"));
afterAll(() => rmSync(dir, { recursive: true }));

async function listening(place: { path: string } | { port: 0; host: string }): Promise<Server> {
  // What is accepted stays, also once the other end is closed.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(place, resolve));
  return server;
}
const fdOf = (socket: object): number => descriptorOf(socket) ?? -1;

/** Both ends of a connection by a path. */
async function connected(path: string) {
  const server = await listening({ path });
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const theirs = connect(path);
  const ours = await accepted;
  const close = () =>
    [theirs, ours, server].forEach((one) => ("destroy" in one ? one.destroy() : one.close()));
  return { server, ours, theirs, [Symbol.dispose]: close };
}

test.each([
  ["a path", () => join(dir, "path")],
  ["an abstract name", () => `\0spawnbox-sockets-${process.pid}`],
  ["the longest path", () => `${dir}/${"x".repeat(106 - dir.length)}`],
])("%s is told as it is written", async (_, nameOf) => {
  const name = nameOf();
  const server = await listening({ path: name });
  expect(unixPath(fdOf(server))).toBe(name.replace("\0", "@"));
  server.close();
});

test("who has no name has none; sockets of other families have no path", async () => {
  const pair = messagePair();
  expect(unixPath(pair[0])).toBe("");
  for (const fd of pair) closeSync(fd);
  const server = await listening({ port: 0, host: "127.0.0.1" });
  expect(unixPath(fdOf(server))).toBeUndefined();
  server.close();
});

test("what listens is a stream that does", async () => {
  using one = await connected(join(dir, "listens"));
  expect([isListening(fdOf(one.server)), isListening(fdOf(one.ours))]).toEqual([true, false]);
  const pair = messagePair();
  expect(isListening(pair[0])).toBe(false);
  for (const fd of pair) closeSync(fd);
  const file = openSync("/dev/null", "r");
  expect(() => isListening(file)).toThrow("ENOTSOCK");
  closeSync(file);
});

test("who has connected is the process that did, as long as it is there", async () => {
  using one = await connected(join(dir, "peer"));
  const peer = openPeer(fdOf(one.ours));
  expect(peer?.pid).toBe(process.pid);
  expect(hasEnded(peer?.pidfd ?? -1)).toBe(false);
  closeSync(peer?.pidfd ?? -1);
  const { pid, uid, gid } = peerCredentials(fdOf(one.ours));
  expect([pid, uid, gid]).toEqual([
    process.pid,
    process.geteuid?.() ?? 0,
    process.getegid?.() ?? 0,
  ]);
  expect(peerGroups(fdOf(one.ours)).toSorted()).toEqual((process.getgroups?.() ?? []).toSorted());
  expect(lookAtPeer(fdOf(one.ours), pid, (asked) => [asked])).toEqual([process.pid]);
});

test("who has ended since is nobody, or known to have ended", async () => {
  const path = join(dir, "gone");
  const server = await listening({ path });
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const script = `import socket; one = socket.socket(socket.AF_UNIX); one.connect("${path}"); open(0).read()`;
  const child = Bun.spawn(["/usr/bin/python3", "-c", script], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ours = await accepted;
  const peer = openPeer(fdOf(ours));
  expect([peer?.pid, hasEnded(peer?.pidfd ?? -1)]).toEqual([child.pid, false]);
  closeSync(peer?.pidfd ?? -1);
  child.stdin.end();
  await child.exited;
  // Since Linux 6.16 the kernel still has a pidfd of it.
  const late = openPeer(fdOf(ours));
  expect(late === undefined || hasEnded(late.pidfd)).toBe(true);
  if (late) closeSync(late.pidfd);
  // Before Linux 6.5 there is only the pid to go by.
  expect(lookAtPeer(fdOf(ours), child.pid, () => "seen")).toBeUndefined();
  ours.destroy();
  server.close();
});

test("a socket is hung up once its other end is gone, and not for what it has to read", async () => {
  using one = await connected(join(dir, "hung"));
  expect(isHungUp(fdOf(one.ours))).toBe(false);
  await new Promise((resolve) => one.theirs.write("abc", resolve));
  expect(isHungUp(fdOf(one.ours))).toBe(false);
  one.theirs.destroy();
  while (!isHungUp(fdOf(one.ours))) await Bun.sleep(1);
});

test("a closed socket has no descriptor, nor has what is none", async () => {
  const one = await connected(join(dir, "closed"));
  expect(descriptorOf(one.ours)).toBeGreaterThan(2);
  one[Symbol.dispose]();
  while (descriptorOf(one.ours) !== undefined) await Bun.sleep(1);
  for (const none of [{}, { _handle: null }, { _handle: {} }, { _handle: { fd: -1 } }])
    expect(descriptorOf(none)).toBeUndefined();
  for (const [descriptor, told] of [
    [7, 7],
    [0, 0],
    [-1, undefined],
    ["7", undefined],
  ])
    expect(descriptorOf({ descriptor, _handle: { fd: 9 } })).toBe(told as number);
});

test("what is inherited goes to no other program, and receives as much as it is told", () => {
  const pair = messagePair();
  const copy = openSync(`/dev/null`, "r");
  closeOnExec(copy);
  expect(has(copy, "CLOEXEC")).toBe(true);
  expect(() => limitReceiving(copy, 1)).toThrow("ENOTSOCK");
  limitReceiving(pair[0], 4096);
  expect(() => limitUnanswered(copy, 1)).toThrow("ENOTSOCK");
  expect(() => limitUnanswered(pair[0], 1)).toThrow("EOPNOTSUPP");
  for (const fd of [copy, ...pair]) closeSync(fd);
  expect(() => closeOnExec(copy)).toThrow("EBADF");
});
