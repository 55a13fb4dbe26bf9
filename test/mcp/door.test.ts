/** The door without a server around it: sessions that come, go and do not come back. */
import { afterEach, expect, jest, test } from "bun:test";
import { Door, type Patience } from "../../src/mcp/door.ts";
import { Outlets } from "../../src/mcp/outlet.ts";
import type { Request as Call } from "../../src/api/client.ts";
import type { Verb } from "../../src/api/verb.ts";
import { connecting, shell, sleeper } from "../api/harness.ts";
import { verb } from "./linked.ts";

const make = connecting();
const doors: Door[] = [];
afterEach(async () => {
  jest.useRealTimers();
  await Promise.all(doors.splice(0).map((door) => door.close()));
});

const HOUR = 3_600_000;
function opened(
  plans: Parameters<typeof make>[0],
  patience: Partial<Patience> = {},
  verbs: readonly Verb[] = [],
) {
  const { registry, client } = make(plans, { verbs: { p: verbs } });
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
function send(
  door: Door,
  message: object | string | undefined,
  session?: string,
  peer = "peer",
  owner = peer,
) {
  const text =
    typeof message === "object" ? JSON.stringify({ jsonrpc: "2.0", ...message }) : message;
  const body = Buffer.from(text ?? "", "latin1");
  const headers = { ...HEADERS, ...(session !== undefined && { "mcp-session-id": session }) };
  const method = message === undefined ? "GET" : "POST";
  const request = new Request("http://localhost/mcp", { method, headers });
  return door.respond(request, { who: { caller: {} }, owner, peer, body });
}
const INITIALIZE = {
  ...{ id: 0, method: "initialize" },
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "x", version: "1" },
  },
};
async function begun(door: Door, peer?: string, owner?: string): Promise<string> {
  const response = await send(door, INITIALIZE, undefined, peer, owner);
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

test.each([
  ["cancelled, then answered", ["cancel 1", "answer 2"], [2]],
  ["answered, then cancelled", ["answer 2", "cancel 1"], [2]],
  ["both cancelled", ["cancel 2", "cancel 1"], []],
  ["both answered", ["answer 1", "answer 2"], [1, 2]],
])("of two calls in one message the stream ends behind both: %s", async (_, steps, answered) => {
  const gates = [1, 2].map(() => Promise.withResolvers<string>());
  let started = 0;
  const gated = gates.map(({ promise }, n) =>
    verb(`v${n + 1}`, async () => {
      started++;
      return promise;
    }),
  );
  const late = verb("late", () => Bun.sleep(20).then(() => "done"));
  const { door } = opened([], {}, [...gated, verb("now", () => "done"), late]);
  const session = await begun(door);
  const calls = [1, 2].map((n) => ({ jsonrpc: "2.0", ...calling(`p_v${n}`, n) }));
  const response = await send(door, JSON.stringify(calls), session);
  while (started < 2) await Bun.sleep(1);
  for (const step of steps) {
    const requestId = Number(step.at(-1));
    if (step.startsWith("answer")) gates[requestId - 1]?.resolve("done");
    const told = { method: "notifications/cancelled", params: { requestId } };
    if (step.startsWith("cancel")) await (await send(door, told, session)).text();
    // An answer is on its way for some turns.
    await Bun.sleep(5);
  }
  const text = await response.text();
  expect([...text.matchAll(/"id":(\d)/g)].map(([, id]) => Number(id))).toEqual(answered);
  // Their numbers may be used again: what was answered by them before is no answer.
  const next = [calling("p_now", 1), calling("p_late", 2)].map((one) => ({
    jsonrpc: "2.0",
    ...one,
  }));
  const again = await (await send(door, JSON.stringify(next), session)).text();
  expect(again.match(/"id":\d/g)).toEqual(['"id":1', '"id":2']);
});

/** As it is where nobody says otherwise. */
function usual(verbs: readonly Verb[] = []) {
  const { registry } = make([], { verbs: { p: verbs } });
  const door = new Door({ registry, version: "0" });
  doors.push(door);
  return door;
}

test("a quarter of an hour, and it is looked each minute", async () => {
  const door = usual();
  jest.useFakeTimers();
  const [one, other] = [await begun(door), await begun(door)];
  jest.advanceTimersByTime(15 * 60_000 + 500);
  expect(await isThere(door, one)).toBe(true);
  jest.advanceTimersByTime(59_500);
  expect([await isThere(door, one), await isThere(door, other)]).toEqual([true, false]);
});

test("half a minute for who comes back", async () => {
  let gone: AbortSignal | undefined;
  const held = verb("held", (request) => {
    gone = request.gone;
    return new Promise(() => {});
  });
  const door = usual([held]);
  const session = await begun(door);
  const { body } = await send(door, calling("p_held"), session);
  while (!gone) await Promise.resolve();
  jest.useFakeTimers();
  await body?.cancel();
  jest.advanceTimersByTime(29_999);
  expect(gone.aborted).toBe(false);
  jest.advanceTimersByTime(1);
  expect(gone.aborted).toBe(true);
});

const PING = { id: 1, method: "ping" };
async function answerTo(...given: Parameters<typeof send>): Promise<[number, string]> {
  const response = await send(...given);
  return [response.status, await response.text()];
}
const statusOf = async (...given: Parameters<typeof send>) => (await answerTo(...given))[0];
const isThere = async (door: Door, session: string, peer?: string) =>
  (await statusOf(door, PING, session, peer)) === 200;

test("[protection] who has as many sessions as one may pushes out what it has not used for longest", async () => {
  const { door } = opened([]);
  const other = await begun(door, "other");
  const own: string[] = [];
  for (let n = 0; n < 128; n++) own.push(await begun(door));
  const [first = "", second = "", third = ""] = own;
  expect(await isThere(door, first)).toBe(true);
  expect(await isThere(door, third)).toBe(true);
  const stream = await send(door, undefined, second);
  // The second is not idle; of the others the fourth has not been heard of for longest.
  await begun(door);
  const left = await Promise.all(own.slice(0, 5).map((one) => isThere(door, one)));
  expect(left).toEqual([true, true, true, false, true]);
  expect(await isThere(door, other, "other")).toBe(true);
  await stream.body?.cancel();
});

test("[protection] all together have no more than there may be: the one not heard of for longest goes", async () => {
  const { door } = opened([]);
  const all: string[] = [];
  for (let n = 0; n < 256; n++) all.push(await begun(door, `peer ${n}`));
  expect(await isThere(door, all[0] ?? "", "peer 0")).toBe(true);
  const last = await begun(door, "the last");
  const left = [0, 1, 2, 255].map((n) => isThere(door, all[n] ?? "", `peer ${n}`));
  expect(await Promise.all(left)).toEqual([true, false, true, true]);
  expect(await isThere(door, last, "the last")).toBe(true);
});

const fault = (code: number, message: unknown) => ({
  ...{ jsonrpc: "2.0", error: { code, message }, id: null },
});
test("[protection] of sessions that all listen no more are taken in", async () => {
  const { door } = opened([]);
  const streams: Response[] = [];
  for (let n = 0; n < 128; n++) streams.push(await send(door, undefined, await begun(door)));
  const [status, body] = await answerTo(door, INITIALIZE);
  expect([status, JSON.parse(body)]).toEqual([
    503,
    fault(-32000, "there are too many sessions: end some, or try again later"),
  ]);
  expect(await begun(door, "another")).not.toBe("");
  for (const { body } of streams) await body?.cancel();
});

/** A first message of so many bytes. */
const first = (length: number): string => {
  const text = JSON.stringify({ jsonrpc: "2.0", ...INITIALIZE });
  return text + " ".repeat(length - text.length);
};
const BEGIN = "begin with initialize, then send Mcp-Session-Id";
test.each<[string, string | undefined, string | undefined, number, object]>([
  [
    ...(["no JSON", "{", undefined, 400] as const),
    fault(-32700, expect.stringMatching(/^the body is no JSON: \S/)),
  ],
  [
    ...(["no text", "\xff", undefined, 400] as const),
    fault(-32700, expect.stringMatching(/^the body is no JSON: \S/)),
  ],
  [
    ...(["values without end", `[${"0,".repeat(400_000)}0]`, undefined, 400] as const),
    fault(-32700, expect.stringContaining("values")),
  ],
  [
    "another beginning",
    '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    undefined,
    400,
    { ...fault(-32600, BEGIN), id: 1 },
  ],
  [
    "that of a version without sessions, so that its client begins by another",
    '{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{"_meta":{}}}',
    undefined,
    400,
    { ...fault(-32601, BEGIN), id: "d" },
  ],
  ["no message", "5", undefined, 400, fault(-32600, BEGIN)],
  ["nothing", undefined, undefined, 400, fault(-32600, BEGIN)],
  [
    ...(["a beginning that is too long", first((64 << 10) + 1), undefined, 413] as const),
    fault(-32600, "initialize takes at most 65536 bytes"),
  ],
  [
    ...(["a session that is none", JSON.stringify(PING), "none", 404] as const),
    fault(-32001, "no such session: initialize another one"),
  ],
])(
  "[protection] %s is refused in the words of the protocol",
  async (_what, text, session, status, expected) => {
    const { door } = opened([]);
    const [found, body] = await answerTo(door, text, session);
    expect([found, JSON.parse(body)]).toEqual([status, expected]);
  },
);

test("[protection] of two requests with one id the answer to one is never that to the other", async () => {
  const ended = Promise.withResolvers<string>();
  const verbs = [verb("slow", () => ended.promise), verb("quick", () => "quick")];
  const { door } = opened([], {}, verbs);
  const session = await begun(door);
  const slow = await send(door, calling("p_slow", 7), session);
  const used = (id: string) => [400, fault(-32600, `the id ${id} is in use`)];
  const refused = async (message: object | string) => {
    const [status, body] = await answerTo(door, message, session);
    return [status, JSON.parse(body)];
  };
  expect(await refused(calling("p_quick", 7))).toEqual(used("7"));
  const both = ["p_slow", "p_quick"].map((name) => ({ jsonrpc: "2.0", ...calling(name, 8) }));
  expect(await refused(JSON.stringify(both))).toEqual(used("8"));
  ended.resolve("slow");
  expect(await slow.text()).toContain('"slow"');
  // It was answered: the id may be had again.
  expect(await (await send(door, calling("p_quick", 7), session)).text()).toContain('"quick"');
});

test("a beginning in the name of a session that is none, or another's, is the beginning of a new one", async () => {
  const { door } = opened([]);
  const other = await begun(door, "another");
  for (const id of ["none", other]) {
    const response = await send(door, INITIALIZE, id);
    const own = response.headers.get("mcp-session-id") ?? "";
    expect([response.status, own === id, await isThere(door, own)]).toEqual([200, false, true]);
  }
  expect(await isThere(door, other)).toBe(false);
});

test("a beginning may be that long; one that the protocol does not take leaves no session", async () => {
  const { door } = opened([], { look: 1 });
  expect(await statusOf(door, first(64 << 10))).toBe(200);
  const own = await begun(door);
  const request = (accept: string) =>
    new Request("http://localhost/mcp", { method: "POST", headers: { ...HEADERS, accept } });
  const body = Buffer.from(first(500));
  const visit = { who: { caller: {} }, owner: "peer", peer: "peer", body };
  const response = await door.respond(request("text/html"), visit);
  expect([response.status, response.headers.get("mcp-session-id")]).toEqual([406, null]);
  expect(await isThere(door, own)).toBe(true);
  // Ended by its client, it is not there.
  const method = "DELETE";
  const headers = { ...HEADERS, "mcp-session-id": own };
  const ended = await door.respond(new Request("http://localhost/mcp", { method, headers }), {
    ...visit,
    body: Buffer.alloc(0),
  });
  expect([ended.status, await isThere(door, own)]).toEqual([200, false]);
});

test("numbers of arguments are as they are written, and those of the protocol are numbers", async () => {
  const seen: unknown[] = [];
  const keep = verb("keep", ({ args }: Call) => void seen.push(JSON.stringify(args)));
  const { door } = opened([], {}, [{ ...keep, exact: true }]);
  const session = await begun(door);
  const call = (params: string, id = "2.0") =>
    answerTo(
      door,
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`,
      session,
    );
  const big = "9007199254740993";
  const [, text] = await call(
    `{"name":"p_keep","arguments":{"n":${big},"m":[1.50]},"_meta":{"progressToken":3.0}}`,
  );
  expect(seen).toEqual([`{"n":${big},"m":[1.50]}`]);
  expect(text).toContain('"id":2}');
  expect((await call('{"name":"p_keep","arguments":5.0}'))[1]).toContain("received number");
  expect((await call("5.0"))[0]).toBe(400);
  expect((await call('{"name":"p_keep","arguments":null}'))[1]).toContain('"result"');
  expect(seen.splice(1)).toEqual([undefined]);
  // Several in one.
  const both = [1, 2].map(
    (id) =>
      `{"jsonrpc":"2.0","id":${id}.0,"method":"tools/call","params":{"name":"p_keep","arguments":{"n":${big}}}}`,
  );
  await answerTo(door, `[${both.join(",")}]`, session);
  expect(seen.slice(1)).toEqual([`{"n":${big}}`, `{"n":${big}}`]);
});

test("[protection] what a caller has started is remembered of as many callers as there may be, the latest ones", async () => {
  const { door } = opened([shell("s", "true")]);
  const started = async (owner: string) => {
    const session = await begun(door, "peer", owner);
    await answerTo(door, calling("p_s"), session, "peer", owner);
  };
  const tasksOf = async (owner: string) => {
    const session = await begun(door, "peer", owner);
    const message = { id: 1, method: "resources/read", params: { uri: "spawnbox://tasks" } };
    const [, text] = await answerTo(door, message, session, "peer", owner);
    return text.split('\\"verb\\"').length - 1;
  };
  await started("a");
  await started("b");
  expect([await tasksOf("a"), await tasksOf("b")]).toEqual([1, 1]);
  await begun(door, "peer", "a");
  for (let n = 0; n < 254; n++) await begun(door, "peer", `other ${n}`);
  // 256 with both of them; the one more pushes out the one that came first.
  await begun(door, "peer", "one more");
  expect(await tasksOf("a")).toBe(1);
  expect(await tasksOf("b")).toBe(0);
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
  while (!told.includes("slow")) await Bun.sleep(1);
  outlets.close();
  expect(outlets.open).toBe(0);
  for (const one of responses) expect((await one.arrayBuffer()).byteLength).toBeLessThan(1 << 20);
});
