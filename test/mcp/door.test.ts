/** The door without a server around it: sessions that come, go and do not come back. */
import { afterEach, expect, test } from "bun:test";
import { Door, type Patience } from "../../src/mcp/door.ts";
import { Outlets } from "../../src/mcp/outlet.ts";
import { connecting, shell, sleeper } from "../api/harness.ts";

const make = connecting();
const doors: Door[] = [];
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()));
});

const HOUR = 3_600_000;
function opened(plans: Parameters<typeof make>[0], patience: Partial<Patience> = {}) {
  const { registry, client } = make(plans);
  const door = new Door(
    { registry, version: "0" },
    { idle: HOUR, look: HOUR, away: HOUR, ...patience },
  );
  doors.push(door);
  return { door, client };
}

const HEADERS = {
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
};
function send(door: Door, message: object | undefined, session?: string, peer = "peer") {
  const body = Buffer.from(message ? JSON.stringify({ jsonrpc: "2.0", ...message }) : "");
  const headers = { ...HEADERS, ...(session !== undefined && { "mcp-session-id": session }) };
  const method = message ? "POST" : "GET";
  const request = new Request("http://localhost/mcp", { method, headers });
  return door.respond(request, { who: { caller: {} }, owner: peer, peer, body });
}
const INITIALIZE = {
  ...{ id: 0, method: "initialize" },
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "x", version: "1" },
  },
};
async function begun(door: Door, peer?: string): Promise<string> {
  const response = await send(door, INITIALIZE, undefined, peer);
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}
const calling = (name: string, id = 1) => ({ id, method: "tools/call", params: { name } });

test("[protection] a client that does not come back ends what is tied to it, and nothing else", async () => {
  const plans = [sleeper("tied", { detach: false }), sleeper("free")];
  const { door, client } = opened(plans, { away: 100 });
  await client.call("tasks", { follow: true }, { api: "monitor" });
  const session = await begun(door);
  const streams = await Promise.all(
    ["p_tied", "p_free"].map((name, id) => send(door, calling(name, id + 1), session)),
  );
  for (const { body } of streams) await body?.cancel();
  // What it says meanwhile is no stream that it hears by.
  await (await send(door, { method: "notifications/x" }, session)).text();
  await client.until('"ended"');
  const left = (await client.call("tasks", { state: "running" }, { api: "monitor" })).response;
  expect(left).toEqual([expect.objectContaining({ verb: "free" })]);
});

test("one that comes back in time loses nothing", async () => {
  const plans = [shell("s", "sleep 0.4; echo done", { detach: false })];
  const { door, client } = opened(plans, { away: 200 });
  await client.call("tasks", { follow: true }, { api: "monitor" });
  const session = await begun(door);
  const { body } = await send(door, calling("p_s"), session);
  await body?.cancel();
  // That it listens is enough.
  const stream = await send(door, undefined, session);
  await client.until('"ended"');
  const { response } = await client.call("tasks", {}, { api: "monitor" });
  expect(response).toEqual([
    expect.objectContaining({ status: expect.objectContaining({ exit: 0 }) }),
  ]);
  await stream.body?.cancel();
});

test("a session that nobody uses is over", async () => {
  const { door } = opened([sleeper("s")], { idle: 50, look: 20 });
  const [idle, listens, calls] = await Promise.all([begun(door), begun(door), begun(door)]);
  const stream = await send(door, undefined, listens);
  const call = await send(door, calling("p_s"), calls);
  for (let status = 0; status !== 404;) {
    await Bun.sleep(120);
    const ping = await send(door, { id: 2, method: "ping" }, idle);
    status = ping.status;
    await ping.text();
  }
  for (const one of [listens, calls]) {
    const ping = await send(door, { id: 3, method: "ping" }, one);
    expect(ping.status).toBe(200);
    await ping.text();
  }
  await stream.body?.cancel();
  await call.body?.cancel();
});

test("[protection] sessions without end push out the idle ones of the same peer, and not those of others", async () => {
  const { door } = opened([]);
  const other = await begun(door, "other");
  const first = await begun(door);
  for (let n = 0; n < 140; n++) await begun(door);
  const status = async (session: string, peer?: string) => {
    const response = await send(door, { id: 1, method: "ping" }, session, peer);
    await response.text();
    return response.status;
  };
  expect(await status(first)).toBe(404);
  expect(await status(other, "other")).toBe(200);
});

test("[protection] of sessions that all listen no more are taken in", async () => {
  const { door } = opened([]);
  const streams: Response[] = [];
  for (let n = 0; n < 128; n++) streams.push(await send(door, undefined, await begun(door)));
  const refused = await send(door, INITIALIZE);
  expect([refused.status, await refused.text()]).toEqual([
    503,
    expect.stringContaining("too many sessions"),
  ]);
  expect(await begun(door, "another")).not.toBe("");
  for (const { body } of streams) await body?.cancel();
});

test("what goes through is what came, counted until it is read; idle is told once all have ended", async () => {
  const told: string[] = [];
  const outlets = new Outlets(
    () => void told.push("slow"),
    () => void told.push("idle"),
  );
  const bytes = Buffer.alloc(300_000, "abcdefg");
  const response = outlets.through(new Response(bytes));
  const other = outlets.through(
    new Response(new ReadableStream({ pull: () => Promise.withResolvers<void>().promise })),
  );
  expect(outlets.open).toBe(2);
  await Bun.sleep(0);
  expect(outlets.isSlow).toBe(true);
  expect(Buffer.compare(Buffer.from(await response.arrayBuffer()), bytes)).toBe(0);
  expect([outlets.isSlow, outlets.open, told]).toEqual([false, 1, []]);
  await other.body?.cancel();
  expect([outlets.open, told]).toEqual([0, ["idle"]]);
});

test("[protection] more than its part is told, and dropped by closing", async () => {
  const told: string[] = [];
  const outlets = new Outlets(
    () => void told.push("slow"),
    () => {},
  );
  const large = () => new Response(Buffer.alloc(24 << 20, "x"));
  const responses = [large(), large(), large()].map((one) => outlets.through(one));
  await Bun.sleep(50);
  expect(told).toContain("slow");
  outlets.close();
  expect(outlets.open).toBe(0);
  for (const one of responses) expect((await one.arrayBuffer()).byteLength).toBeLessThan(1 << 20);
});
