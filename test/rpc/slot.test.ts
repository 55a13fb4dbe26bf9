/** A hub, towards one that dials in and forgives nothing. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseServer } from "../../src/config/binder-uri.ts";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { PacketReader } from "../../src/rpc/packets.ts";
import { startRpc } from "../../src/rpc/server.ts";
import { Slot } from "../../src/rpc/slot.ts";
import { encodeOffer } from "../../src/rpc/wire.ts";
import { until } from "../served.ts";
import { TestRegistry } from "../server/harness.ts";
import { reply } from "./strict-exporter.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-slot-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

async function hub(privileges: "all" | ReadonlySet<string> = "all") {
  const path = join(dir, `${++sockets}`);
  const slot = new Slot("hub", ["demo"]);
  const rpc = await startRpc([parseServer(`unix:${path}?import=demo`, "rpc")], {
    registry: new TestRegistry(),
    granted: () => ({ privileges }),
    ...{ connections: 16, mode: 0o600, inherited: () => -1, slotOf: () => slot },
  });
  const call = (session = { uuid: "s" }) =>
    slot.call("demo", { api: "demo", verb: "x", args: null, session });
  return { path, slot, call, [Symbol.asyncDispose]: () => rpc.close() };
}

/** Answers every call. */
function dialIn(path: string) {
  const socket = connect(path);
  const chunks: Buffer[] = [];
  const reader = new PacketReader("set");
  socket.write(encodeOffer([3, 0, 0]));
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    if (chunks.length < 3) chunks.push(chunk);
    reader.push(chunk);
    for (let next = reader.next(); next; next = reader.next())
      if (next.type === "call") socket.write(encodePacket(reply(next, "here"), 1));
  });
  return { socket, chunks };
}

test("its first call does not come together with the version, which binders would lose", async () => {
  await using here = await hub();
  const { socket, chunks } = dialIn(here.path);
  await until("it has dialled in", () => here.slot.state === "connected");
  expect(await here.call()).toBe("here");
  expect(chunks[0]?.toString("hex")).toBe("76030400");
  expect(chunks[1]?.readUInt16LE()).toBe(0xfff8);
  socket.destroy();
  await until("it has gone", () => here.slot.state !== "connected");
  expect(here.call()).rejects.toThrow("nobody has dialled in");
});

test("[access] who has no privilege for it is hung up on, and a second is, too", async () => {
  await using strange = await hub(new Set(["urn:other"]));
  const refused = dialIn(strange.path).socket;
  await new Promise((resolve) => refused.once("close", resolve));
  expect(strange.slot.state).not.toBe("connected");
  await using here = await hub(new Set(["urn:spawnbox:provide"]));
  const first = dialIn(here.path).socket;
  await until("it has dialled in", () => here.slot.state === "connected");
  const second = dialIn(here.path).socket;
  await new Promise((resolve) => second.once("close", resolve));
  expect(await here.call()).toBe("here");
  expect(first.destroyed).toBe(false);
  first.destroy();
});

test("who has no number left for another session is to dial again", async () => {
  await using here = await hub();
  const { socket } = dialIn(here.path);
  await until("it has dialled in", () => here.slot.state === "connected");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (let i = 0; i < 60_000; i += 1000)
    await Promise.all(Array.from({ length: 1000 }, (_, j) => here.call({ uuid: `${i + j}` })));
  // That one is still answered.
  expect(await here.call({ uuid: "last" })).toBe("here");
  await closed;
  const again = dialIn(here.path).socket;
  await until("it has dialled in", () => here.slot.state === "connected");
  expect(await here.call()).toBe("here");
  again.destroy();
}, 60_000);
