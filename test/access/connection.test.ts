/** One connection to the permission service: what it says that cannot be understood, and how it ends. */
import { afterAll, afterEach, describe, expect, jest, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connection } from "../../src/access/cynagora/connection.ts";
import { turns, turnsUntil } from "../launch/turns.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-connection-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;
afterEach(() => void jest.useRealTimers());

/** One to a service that says that as soon as somebody has connected. */
async function connected(says: string, limit = 20_000) {
  const path = join(dir, `${++sockets}`);
  const told: unknown[] = [];
  const heard: string[] = [];
  const peers: Socket[] = [];
  const server = createServer((socket) => {
    peers.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => heard.push(chunk.toString()));
    if (says !== "") socket.write(says);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const connection = new Connection(
    { kind: "unix", path },
    {
      ready: () => void told.push("ready"),
      answer: (...all) => void told.push(["answer", ...all]),
      clear: () => void told.push("clear"),
      gone: (...all) => void told.push(["gone", ...all]),
    },
  );
  connection.dial(limit);
  return {
    ...{ connection, told, heard, peers },
    [Symbol.dispose]() {
      connection.close();
      server.close();
      for (const peer of peers) peer.destroy();
    },
  };
}

describe("what it says", () => {
  test.each<[string, string, boolean]>([
    ["done 2 1\n", 'it speaks version "2"', false],
    ["done\n", 'it speaks version ""', false],
    ["error invalid\n", 'error "invalid"', false],
    ["error\n", 'error ""', false],
    ["hello\n", 'a record that begins with "hello"', false],
    [`${"x".repeat(41)}\n`, `a record that begins with "${"x".repeat(40)}"`, false],
    ["done 1 1\nyes\n", 'a record that begins with "yes"', true],
    ["done 1 1\nno 1 2s 3\n", 'a record that begins with "no"', true],
    [`${"x".repeat(5000)}`, "a record is too long", false],
    [`${"x ".repeat(20)}x\n`, "a record has too many fields", false],
  ])("%j ends it", async (says, why, wasReady) => {
    using made = await connected(says);
    const { told, connection } = made;
    await turnsUntil("it is over", () => told.some((one) => Array.isArray(one)));
    expect(told).toEqual([
      ...(wasReady ? ["ready"] : []),
      ["gone", `it says what cannot be understood: ${why}`, wasReady],
    ]);
    expect(connection.ready).toBe(false);
  });

  test("is told in its order; a second hello is nothing", async () => {
    using made = await connected("done 1 1\ndone 2\nyes 1\nno 2 5s\nclear 2\nyes 3 -\n");
    const { told, connection, heard } = made;
    await turnsUntil("all is", () => told.length === 5);
    expect(told).toEqual([
      ...["ready", ["answer", "1", true, undefined], ["answer", "2", false, "5s"], "clear"],
      ["answer", "3", true, "-"],
    ]);
    expect([connection.ready, heard.join("")]).toEqual([true, "cynagora 1\n"]);
  });
});

test("behind its end nothing is told, and nothing sent", async () => {
  using made = await connected("done 1 1\nyes 1\nhello\nyes 2\n");
  const { told, connection, heard } = made;
  await turnsUntil("it is over", () => told.length === 3);
  connection.send(Buffer.from("late\n"));
  connection.close();
  await turns(20);
  expect([told.length, heard.join("")]).toEqual([3, "cynagora 1\n"]);
});

test("closed, it says no word of that", async () => {
  using made = await connected("done 1 1\n");
  const { told, connection, peers } = made;
  await turnsUntil("it is ready", () => connection.ready);
  connection.close();
  await turnsUntil("it is closed", () =>
    peers.every((peer) => peer.destroyed || peer.readableEnded),
  );
  await turns(20);
  expect(told).toEqual(["ready"]);
});

test.each([
  ["", false, ["gone", "it does not say hello in time", false]],
  ["done 1 1\n", true, "ready"],
])("it has so long to say hello: %j", async (says, isReady, last) => {
  jest.useFakeTimers();
  using made = await connected(says, 500);
  const { told, peers, heard, connection } = made;
  await turnsUntil("it is there", () => peers.length === 1 && heard.length === 1);
  if (isReady) await turnsUntil("it is ready", () => connection.ready);
  expect(jest.getTimerCount()).toBe(isReady ? 0 : 1);
  jest.advanceTimersByTime(499);
  expect(told).toEqual(isReady ? ["ready"] : []);
  jest.advanceTimersByTime(1);
  expect([told.at(-1), connection.ready]).toEqual([last, isReady] as never);
});

test("one that hangs up, and one that is not there", async () => {
  using made = await connected("done 1 1\n");
  await turnsUntil("it is ready", () => made.connection.ready);
  for (const peer of made.peers) peer.destroy();
  await turnsUntil("it is over", () => made.told.length === 2);
  expect(made.told[1]).toEqual(["gone", "it has closed the connection", true]);
  const gone: unknown[] = [];
  const never = () => void gone.push("never");
  const none = new Connection(
    { kind: "unix", path: join(dir, "none") },
    { ready: never, answer: never, clear: never, gone: (...all) => void gone.push(all) },
  );
  none.dial(20_000);
  await turnsUntil("it is over", () => gone.length > 0);
  expect(gone).toEqual([[expect.stringContaining("ENOENT"), false]]);
});

test("one that does not read is given up at 256 KiB", async () => {
  using made = await connected("done 1 1\n");
  const { told, connection, peers } = made;
  await turnsUntil("it is ready", () => connection.ready);
  for (const peer of peers) peer.pause();
  const record = Buffer.alloc(1024, "x");
  let sent = 0;
  for (; told.length === 1 && sent < 10_000; sent++) connection.send(record);
  expect(told[1]).toEqual(["gone", "it does not read", true]);
  // What waits here at most, besides what the kernel has taken.
  expect(sent).toBeGreaterThan(256);
  expect(sent).toBeLessThan(1500);
});
