/** How many new connections are taken in at a time. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { Wire } from "../../src/server/wire.ts";
import { Doorway } from "../../src/server/doorway.ts";
import { RawServer } from "../../src/server/raw-server.ts";
import { turns } from "../launch/turns.ts";
import { until } from "../served.ts";

const ALL = 300;

test("as many as belong to a turn are taken in at once, and the next behind them", async () => {
  await turns(3);
  const taken: Wire[] = [];
  const doorway = new Doorway(new Set(), (socket) => void taken.push(socket));
  const all = Array.from({ length: 17 }, () => new PassThrough() as unknown as Wire);
  for (const one of all) doorway.enter(one);
  expect(taken).toEqual(all.slice(0, 16));
  await until("its turn has come", () => taken.length === 17);
  expect(taken).toEqual(all);
});

test("of a flood of connections some are taken in with each turn of the event loop, of two doors one each, and none is lost", async () => {
  const open = new Set<Wire>();
  const taken: string[] = [];
  /** In each turn. */
  const counts: number[] = [];
  let before = 0;
  let over = false;
  const count = (): void => {
    counts.push(taken.length - before);
    before = taken.length;
    if (!over) setImmediate(count);
  };
  const doors = ["a", "b"].map((name) => {
    const doorway = new Doorway(open, (socket) => {
      taken.push(name);
      open.add(socket);
      socket.end(name);
    });
    return createServer((socket) => {
      doorway.enter(socket);
    });
  });
  const ports = await Promise.all(
    doors.map(
      (door) =>
        new Promise<number>((resolve) => {
          door.listen(0, "127.0.0.1", () => resolve((door.address() as AddressInfo).port));
        }),
    ),
  );
  setImmediate(count);
  const answers: string[] = [];
  for (const port of ports)
    for (let i = 0; i < ALL; i++)
      connect(port, "127.0.0.1").on("data", (data) => answers.push(data.toString()));
  try {
    await until("all are served", () => answers.length === 2 * ALL);
  } finally {
    over = true;
    for (const door of doors) door.close();
    for (const socket of open) socket.destroy();
  }
  expect(answers.filter((name) => name === "a")).toHaveLength(ALL);
  // Those of a turn and of the one before it.
  expect(Math.max(...counts)).toBeLessThanOrEqual(32);
  expect(Math.max(...counts)).toBeGreaterThan(1);
});

test("sixteen are taken in a turn, of all doors together", async () => {
  // None of this turn has been taken before.
  await turns(3);
  const taken: string[] = [];
  const door = (name: string) => new Doorway(new Set(), () => void taken.push(name));
  const [a, b] = [door("a"), door("b")];
  const wire = () => new PassThrough() as unknown as Wire;
  for (let i = 0; i < 50; i++) a.enter(wire());
  for (let i = 0; i < 20; i++) b.enter(wire());
  const counts = [taken.length];
  while (taken.length < 70) {
    await turns(1);
    counts.push(taken.length);
  }
  expect(counts).toEqual([16, 32, 48, 64, 70]);
  // One of each, as long as somebody waits at both.
  expect(taken.slice(16, 24).join("")).toBe("abababab");
  // From the next turn on as many may come again.
  await turns(1);
  for (let i = 0; i < 17; i++) b.enter(wire());
  expect(taken).toHaveLength(86);
  await turns(1);
  expect(taken).toHaveLength(87);
});

test("who has said something and gone while it waited is heard", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-doorway-"));
  const path = join(dir, "socket");
  const open = new Set<Wire>();
  const heard: string[] = [];
  const waiting: Wire[] = [];
  const doorway = new Doorway(open, (socket) => {
    open.add(socket);
    socket.on("data", (data) => heard.push(data.toString()));
    socket.on("end", () => socket.destroy());
  });
  const door = new RawServer((socket) => {
    waiting.push(socket);
    doorway.enter(socket);
  });
  await new Promise<void>((resolve) => door.listen({ path }, resolve));
  const names = Array.from({ length: 100 }, (_, i) => `${i}`);
  try {
    // From a process that has gone before the first of them is looked at.
    const script = `for (const name of ${JSON.stringify(names)}) {
      const socket = require("node:net").connect(${JSON.stringify(path)}, () => socket.write(name, () => socket.destroy()));
    }`;
    expect(Bun.spawnSync([process.execPath, "-e", script]).exitCode).toBe(0);
    await until("all have come in", () => waiting.length === names.length);
    await until("they are gone", () => waiting.every(({ destroyed }) => destroyed));
  } finally {
    door.close(() => {});
    for (const socket of open) socket.destroy();
    rmSync(dir, { recursive: true });
  }
  expect(heard.toSorted()).toEqual(names.toSorted());
});

test("who waits at a door counts as open, and who is too many is sent away", async () => {
  const open = new Set<Wire>();
  let taken = 0;
  const doorway = new Doorway(open, () => taken++);
  const pairs: Socket[] = [];
  const door = createServer((socket) => pairs.push(socket));
  const port = await new Promise<number>((resolve) => {
    door.listen(0, "127.0.0.1", () => resolve((door.address() as AddressInfo).port));
  });
  const clients = Array.from({ length: 600 }, () => connect(port, "127.0.0.1"));
  for (const client of clients) client.on("error", () => client.destroy());
  try {
    await until("all are there", () => pairs.length === 600);
    for (const socket of pairs) doorway.enter(socket);
    expect(taken).toBe(16);
    expect(open.size).toBe(512);
    expect(pairs.filter(({ destroyed }) => destroyed)).toHaveLength(600 - 16 - 512);
    await until("the others have come in", () => taken === 16 + 512);
  } finally {
    door.close();
    for (const socket of [...pairs, ...clients]) socket.destroy();
  }
  await until("they are gone", () => open.size === 0);
});
