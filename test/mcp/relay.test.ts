/** The protocol in front of a server that the test decides: what goes there, what comes back, and when it is over. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";

interface Asked {
  readonly method: string;
  readonly id?: number | undefined;
  readonly session: string | null;
  readonly version: string | null;
  readonly token: string | null;
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** What it answers to messages, by their method; else a result. A number is a status. */
function server(answers: Readonly<Record<string, number | ((id: number) => object)>> = {}) {
  const asked: Asked[] = [];
  const own = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const message: { readonly method?: string; readonly id?: number } =
        request.method === "POST"
          ? ((await request.json()) as { method: string; id?: number })
          : {};
      const { method = request.method, id } = message;
      const header = (name: string) => request.headers.get(name);
      asked.push({
        ...{ method, id, session: header("mcp-session-id"), token: header("authorization") },
        version: header("mcp-protocol-version"),
      });
      const answer = answers[method];
      if (typeof answer === "number") return new Response(`no: ${answer}`, { status: answer });
      if (method === "GET") return new Response(null, { status: 405 });
      if (id === undefined) return new Response(null, { status: method === "DELETE" ? 200 : 202 });
      const result = answer?.(id) ?? { told: method };
      const begins = method === "initialize";
      // What comes behind it is not to come before it.
      if (begins) await Bun.sleep(20);
      const headers: Record<string, string> = begins ? { "mcp-session-id": "S" } : {};
      return Response.json({ jsonrpc: "2.0", id, result }, { headers });
    },
  });
  ends.push(() => own.stop(true));
  return { asked, url: `http://localhost:${own.port}/mcp` };
}

const INITIALIZE = { id: 0, method: "initialize", params: INFO() };
function INFO() {
  return {
    ...{ protocolVersion: "2025-06-18", capabilities: {} },
    clientInfo: { name: "x", version: "1" },
  };
}
const BEGUN = { initialize: () => ({ ...INFO(), protocolVersion: "2025-03-26" }) };

/** What comes of messages, the end of the input behind them, and why it was over. */
async function relayed(
  url: string,
  messages: readonly object[],
  token?: string,
  patience?: number,
  /** What is sent a while after the others. */
  later: readonly object[] = [],
) {
  const source = JSON.stringify(join(import.meta.dir, "../../src/mcp/relay.ts"));
  const script = `
    import { relay } from ${source};
    const asked = (to, init) => {
      if (init.signal?.aborted) console.error("asked after the end");
      return fetch(to, init);
    };
    const options = { token: ${JSON.stringify(token)}, patience: ${String(patience)}, fetch: asked };
    const why = await relay({ url: new URL(${JSON.stringify(url)}), ...options });
    console.error(JSON.stringify(why ?? null));
    process.exit();`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    ...{ stdio: ["pipe", "pipe", "pipe"], timeout: 30_000 },
  });
  const send = (all: readonly object[]) =>
    child.stdin.write(all.map((one) => `${JSON.stringify({ jsonrpc: "2.0", ...one })}\n`).join(""));
  send(messages);
  if (later.length > 0) {
    await child.stdin.flush();
    await Bun.sleep(500);
    send(later);
  }
  child.stdin.end();
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const lines = error.trim().split("\n");
  return {
    answers: out
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { id: number; result?: object; error?: object }),
    why: JSON.parse(lines.at(-1) ?? "") as string | null,
    told: lines.slice(0, -1),
  };
}

test("messages and answers go on as they are, in the session that the first has made, which ends with them", async () => {
  const { asked, url } = server(BEGUN);
  const list = { id: 1, method: "tools/list" };
  const note = { method: "notifications/initialized" };
  const { answers, why, told } = await relayed(url, [INITIALIZE, note, list], "T");
  expect([why, told]).toEqual([null, []]);
  expect(answers.toSorted((a, b) => a.id - b.id)).toEqual([
    { jsonrpc: "2.0", id: 0, result: BEGUN.initialize() },
    { jsonrpc: "2.0", id: 1, result: { told: "tools/list" } },
  ] as never);
  const [first, ...others] = asked.filter(({ method }) => method !== "GET");
  const token = "Bearer T";
  expect(first).toEqual({ method: "initialize", id: 0, session: null, version: null, token });
  const inside = { session: "S", version: "2025-03-26", token };
  expect(others.filter(({ method }) => method !== "DELETE")).toEqual([
    { method: "notifications/initialized", id: undefined, ...inside },
    { method: "tools/list", id: 1, ...inside },
  ]);
  expect(others.at(-1)).toEqual({ method: "DELETE", id: undefined, ...inside });
});

test("who asks first for a version without sessions is told that there is none, and begins as ever", async () => {
  const { asked, url } = server({ ...BEGUN, "server/discover": 400, "notifications/x": 400 });
  const { answers, why, told } = await relayed(url, [
    { id: "d", method: "server/discover", params: { _meta: {} } },
    { method: "notifications/x" },
    INITIALIZE,
    { id: 1, method: "ping" },
  ]);
  expect([why, told]).toEqual([null, []]);
  expect(answers[0]).toEqual({
    ...{ jsonrpc: "2.0", id: "d", error: { code: -32601, message: "begin with initialize" } },
  } as never);
  expect(answers.slice(1).map(({ id, error }) => [id, error])).toEqual([
    [0, undefined],
    [1, undefined],
  ]);
  expect(asked.filter(({ id }) => id !== undefined).map(({ method }) => method)).toEqual([
    ...["initialize", "ping"],
  ]);
});

test("without a token none is sent", async () => {
  const { asked, url } = server(BEGUN);
  await relayed(url, [INITIALIZE]);
  expect(asked.map(({ token }) => token)).toEqual(asked.map(() => null));
});

test("what fails on the way is answered so, and all else goes on", async () => {
  const { url } = server({ ...BEGUN, "tools/call": 500, "notifications/x": 500 });
  const { answers, why, told } = await relayed(url, [
    INITIALIZE,
    { method: "notifications/x" },
    { id: 1, method: "tools/call" },
    { id: 2, method: "ping" },
  ]);
  expect(why).toBeNull();
  expect(answers.toSorted((a, b) => a.id - b.id).slice(1)).toEqual([
    {
      ...{ jsonrpc: "2.0", id: 1 },
      error: { code: -32000, message: expect.stringMatching(new RegExp(`^${url}: .*500`)) },
    },
    { jsonrpc: "2.0", id: 2, result: { told: "ping" } },
  ] as never);
  expect(told.length).toBeGreaterThan(0);
  for (const line of told) expect(line).toStartWith("spawnbox mcp: ");
});

/** A server that is started anew at the first call, and knows no session of before then: those are S1, S2 … */
function restarting(
  initialize: (n: number) => Response | undefined = () => undefined,
  resumed = 405,
) {
  const asked: string[] = [];
  let begun = 0;
  const own = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const isResumed = request.headers.has("last-event-id");
      if (request.method === "GET")
        return new Response(null, { status: isResumed ? resumed : 405 });
      if (request.method === "DELETE") return new Response(null);
      const { id, method } = (await request.json()) as { id?: unknown; method: string };
      const session = request.headers.get("mcp-session-id");
      asked.push([method, session, request.headers.get("mcp-protocol-version")].join(" "));
      if (method === "initialize") {
        const headers = { "mcp-session-id": `S${++begun}` };
        const result = BEGUN.initialize();
        return initialize(begun) ?? Response.json({ jsonrpc: "2.0", id, result }, { headers });
      }
      if (method === "never")
        return new Response(new ReadableStream(), {
          headers: { "content-type": "text/event-stream" },
        });
      if (method === "call" && session === "S1") return new Response("gone", { status: 404 });
      if (id === undefined) return new Response(null, { status: 202 });
      return Response.json({ jsonrpc: "2.0", id, result: { told: session } });
    },
  });
  ends.push(() => own.stop(true));
  return { asked, url: `http://localhost:${own.port}/mcp` };
}

test("a server that was started anew is begun with again, and what it did not take is sent again", async () => {
  const { asked, url } = restarting();
  const { answers, why, told } = await relayed(url, [
    INITIALIZE,
    { id: 1, method: "never" },
    { id: 2, method: "never" },
    { method: "notifications/cancelled", params: { requestId: 2 } },
    { id: 3, method: "call" },
    { id: 4, method: "call" },
  ]);
  expect([why, told]).toEqual([null, []]);
  const lost = "the server was started anew meanwhile: whether this was done is not known";
  const byId = answers.filter(({ id }) => id !== undefined).toSorted((a, b) => a.id - b.id);
  expect(byId).toEqual([
    { jsonrpc: "2.0", id: 0, result: BEGUN.initialize() },
    { jsonrpc: "2.0", id: 1, error: { code: -32000, message: lost } },
    { jsonrpc: "2.0", id: 3, result: { told: "S2" } },
    { jsonrpc: "2.0", id: 4, result: { told: "S2" } },
  ] as never);
  expect(answers.filter(({ id }) => id === undefined)).toEqual([
    { jsonrpc: "2.0", method: "notifications/tools/list_changed" },
    { jsonrpc: "2.0", method: "notifications/resources/list_changed" },
  ] as never);
  expect(asked.filter((one) => one.startsWith("initialize"))).toEqual([
    ...["initialize  ", "initialize  "],
  ]);
  expect(asked).toContain("notifications/initialized S2 2025-03-26");
});

test("where there is no other session to be had, that is told, and tried again by the next", async () => {
  const { asked, url } = restarting((n) =>
    n === 1 ? undefined : new Response("busy", { status: 503 }),
  );
  const call = (id: number) => ({ id, method: "call" });
  const { answers, why } = await relayed(url, [INITIALIZE, call(1), call(2)]);
  expect(why).toBeNull();
  expect(answers.slice(1).map(({ error }) => error)).toEqual([
    { code: -32000, message: expect.stringContaining("busy") },
    { code: -32000, message: expect.stringContaining("busy") },
  ]);
  expect(asked.filter((one) => one.startsWith("initialize")).length).toBeGreaterThan(1);
});

const stream = (session: string, text?: string) =>
  new Response(
    new ReadableStream({
      start(controller) {
        if (text === undefined) return;
        controller.enqueue(Buffer.from(text));
        controller.close();
      },
    }),
    { headers: { "content-type": "text/event-stream", "mcp-session-id": session } },
  );

test.each([
  ["is silent", () => stream("S2"), 300, /and does not answer/],
  [
    "is started anew once more",
    () => stream("S2", "id: 1\nretry: 5\ndata:\n\n"),
    30_000,
    /Not Found/,
  ],
])(
  "nobody waits for ever for another session of a server that %s",
  async (_, again, patience, why) => {
    const { asked, url } = restarting((n) => (n === 2 ? again() : undefined), 404);
    const call = { id: 1, method: "call" };
    const { answers, ...end } = await relayed(url, [INITIALIZE, call], undefined, patience);
    expect(end).toEqual({ why: null, told: [] });
    const message = expect.stringMatching(why);
    const error = { code: -32000, message };
    expect(answers.slice(1)).toEqual([{ jsonrpc: "2.0", id: 1, error }] as never);
    expect(asked.filter((one) => one.startsWith("initialize"))).toHaveLength(2);
  },
);

test("streams of a session that is lost are not asked for again and again", async () => {
  let begun = 0;
  const own = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const isLost = request.headers.get("mcp-session-id") === "S1";
      if (request.method === "GET") return new Response(null, { status: isLost ? 404 : 405 });
      if (request.method === "DELETE") return new Response(null);
      const { id, method } = (await request.json()) as { id?: unknown; method: string };
      if (method === "never") return stream("S1", "id: 1\nretry: 5\ndata:\n\n");
      if (id === undefined) return new Response(null, { status: 202 });
      const headers = method === "initialize" ? { "mcp-session-id": `S${++begun}` } : undefined;
      return Response.json(
        { jsonrpc: "2.0", id, result: BEGUN.initialize() },
        { ...(headers && { headers }) },
      );
    },
  });
  ends.push(() => own.stop(true));
  const never = [1, 2, 3, 4].map((id) => ({ id, method: "never" }));
  const url = `http://localhost:${own.port}/mcp`;
  const messages = [INITIALIZE, ...never];
  const { answers, why, told } = await relayed(url, messages, undefined, undefined, [
    { id: 5, method: "ping" },
  ]);
  expect(why).toBeNull();
  const ids = answers.flatMap(({ id, error }) => (id === undefined ? [] : [[id, Boolean(error)]]));
  expect(ids.toSorted()).toEqual([
    ...[
      [0, false],
      [1, true],
      [2, true],
      [3, true],
      [4, true],
      [5, false],
    ],
  ]);
  // What is due already, once.
  expect(told.filter((line) => line === "asked after the end").length).toBeLessThanOrEqual(4);
});

test("one that makes no session is the end, too, and that is told once", async () => {
  const { url } = server({ initialize: 503 });
  const { answers, why, told } = await relayed(url, [INITIALIZE]);
  expect(why).toMatch(new RegExp(`^${url}: .*503`));
  expect(answers).toEqual([
    { jsonrpc: "2.0", id: 0, error: { code: -32000, message: why } },
  ] as never);
  expect(told).toEqual([]);
});
