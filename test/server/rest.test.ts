import { describe, expect, test } from "bun:test";
import { success } from "../../src/api/reply.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { createRest } from "../../src/server/rest.ts";
import { startServer } from "../../src/server/server.ts";
import { Sessions } from "../../src/server/session.ts";
import { until } from "../served.ts";
import { RawClient, serve, TestRegistry } from "./harness.ts";

const json = { "content-type": "application/json" };
/** fetch(2) gives such a body no Content-Type. */
const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const form = { "content-type": "application/x-www-form-urlencoded" };

describe("arguments", () => {
  const cases: [string, string, RequestInit | undefined, unknown][] = [
    ["none", "/api/t/echo", undefined, undefined],
    ["parameters", "/api/t/echo?a=1&b=%C3%A9+x&c", undefined, { a: "1", b: "é x", c: "" }],
    ["a repeated one", "/api/t/echo?a=1&a=2", undefined, { a: ["1", "2"] }],
    ["not session, token or wait", "/api/t/echo?uuid=u&token=t&wait=1&a=1", undefined, { a: "1" }],
    ["query", "/api/t/echo?query=%5B1%5D&a=1", undefined, [1]],
    ["JSON", "/api/t/echo", { method: "POST", body: "[1,2]", headers: json }, [1, 2]],
    [
      "JSON without a type",
      "/api/t/echo",
      { method: "POST", body: bytes('{"a":[1]}') },
      { a: [1] },
    ],
    [
      "JSON of a type of its own",
      "/api/t/echo",
      {
        method: "POST",
        body: "[1]",
        headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
      },
      [1],
    ],
    ["JSON null", "/api/t/echo", { method: "POST", body: "null", headers: json }, null],
    [
      "a form",
      "/api/t/echo",
      { method: "POST", body: "a=1&b=%26", headers: form },
      { a: "1", b: "&" },
    ],
    ["a form with query", "/api/t/echo", { method: "POST", body: "query=7", headers: form }, 7],
    ...["a=1,2", "1e5&x", "nullable", "TRUE", "-", "01", `a=${",".repeat(70_000)}`].map(
      (body): [string, string, RequestInit, unknown] => [
        `a form: ${body.slice(0, 10)}`,
        "/api/t/echo",
        { method: "POST", body, headers: form },
        Object.fromEntries(new URLSearchParams(body)),
      ],
    ),
    ["an empty body", "/api/t/echo?a=1", { method: "POST" }, { a: "1" }],
    ...["identity", "Identity", ""].map((coding): [string, string, RequestInit, unknown] => [
      `the coding ${JSON.stringify(coding)}, which is none`,
      "/api/t/echo",
      { method: "POST", body: "[1]", headers: { ...json, "content-encoding": coding } },
      [1],
    ]),
    ["encoded path", "/api/%74/%65cho?a=1", undefined, { a: "1" }],
    ["verb with a slash", "/api/T/deep/er", undefined, "deep/er"],
  ];
  for (const [name, path, init, expected] of cases) {
    test(name, async () => {
      await using server = await serve();
      const response = await fetch(server.url + path, init);
      const reply: unknown = await response.json();
      const request = { status: "success", code: 0 };
      const rest = expected === undefined ? {} : { response: expected };
      expect(reply).toEqual({ jtype: "afb-reply", request, ...rest });
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
    });
  }

  test("__proto__ is a key like any other", async () => {
    await using server = await serve();
    const response = await fetch(`${server.url}/api/t/echo?__proto__=x&constructor=y`);
    expect(await response.text()).toContain('{"__proto__":"x","constructor":"y"}');
  });
});

test("errors of verbs with 200, as binders answer, where that is asked for", async () => {
  await using server = await serve();
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await fetch(server.url + path, { headers })).status;
  const afb = { "x-afb-http": "afb" };
  expect(await status("/api/t/fail")).toBe(400);
  expect(await status("/api/t/fail", afb)).toBe(200);
  expect(await status("/api/t/fail?x-afb-http=AFB")).toBe(200);
  expect(await status("/api/t/fail", { "x-afb-http": "rest" })).toBe(400);
  expect(await status("/api/t/none", afb)).toBe(200);
  expect(await status("/api/t/fail/events")).toBe(400);
  expect(await status("/api/t/fail/events", afb)).toBe(200);
  expect(await status("/api/t/fail/events?x-afb-http=afb")).toBe(200);
  // What is no call of a verb is no reply of one.
  expect(await status("/api/t/echo?a=%f", afb)).toBe(400);
  const echo = await fetch(`${server.url}/api/t/echo?a=1&x-afb-http=afb`);
  expect(((await echo.json()) as { response: unknown }).response).toEqual({ a: "1" });
});

describe("refusals", () => {
  const big = "x".repeat((1 << 20) + 1);
  const cases: [string, string, RequestInit | undefined, number, string][] = [
    ["/", "/nope", undefined, 404, '"t":["ping","echo"]'],
    ["/api", "/api", undefined, 404, '"t":["ping","echo"]'],
    ["/api/t", "/api/t", undefined, 404, '"t":["ping","echo"]'],
    ["/api/x", "/api/x", undefined, 404, '"t":["ping","echo"]'],
    ["unknown api", "/api/x/y", undefined, 404, "unknown-api"],
    ["unknown verb", "/api/t/y", undefined, 404, "unknown-verb"],
    ["failing verb", "/api/t/fail", undefined, 400, '"info":"invalid pid","code":-12'],
    ["response without JSON", "/api/t/cycle", undefined, 500, "internal-error"],
    ["bad percent in query", "/api/t/echo?a=%f", undefined, 400, "percent"],
    ["bad percent in path", "/api/t/%ff", undefined, 400, "percent"],
    ["bad query JSON", "/api/t/echo?query={", undefined, 400, "query"],
    ["bad JSON", "/api/t/echo", { method: "POST", body: "{", headers: json }, 400, "JSON"],
    ["no JSON and no type", "/api/t/echo", { method: "POST", body: bytes("a=1") }, 415, ""],
    [
      "text",
      "/api/t/echo",
      { method: "POST", body: "x", headers: { "content-type": "text/plain" } },
      415,
      "",
    ],
    [
      "gzip",
      "/api/t/echo",
      { method: "POST", body: "1", headers: { ...json, "content-encoding": "gzip" } },
      415,
      "",
    ],
    ...["[1]", ' {"a', '"x', "5", "-0.5E+3", " true\n", "null"].map(
      (body): [string, string, RequestInit, number, string] => [
        `JSON that is said to be a form, ${body.trim()}`,
        "/api/t/echo",
        { method: "POST", body, headers: form },
        415,
        "looks like JSON",
      ],
    ),
    ...[json, form].map((headers): [string, string, RequestInit, number, string] => [
      `no UTF-8, ${headers["content-type"]}`,
      "/api/t/echo",
      { method: "POST", body: new Uint8Array([0x22, 0xff, 0x22]), headers },
      400,
      "body is not UTF-8",
    ]),
    ["both", "/api/t/echo?a=1", { method: "POST", body: "1", headers: json }, 400, "not both"],
    ["too big", "/api/t/echo", { method: "POST", body: big, headers: json }, 413, "over"],
    ["PUT", "/api/t/echo", { method: "PUT", body: "1", headers: json }, 405, "GET, POST"],
    ["HEAD", "/api/t/echo", { method: "HEAD" }, 405, ""],
    [
      "foreign origin",
      "/api/t/ping",
      { headers: { origin: "http://evil.example" } },
      403,
      "--origin",
    ],
    [
      "foreign POST",
      "/api/t/ping",
      { method: "POST", headers: { origin: "null" } },
      403,
      "--origin",
    ],
    ["cross-site", "/api/t/ping", { headers: { "sec-fetch-site": "cross-site" } }, 403, "--origin"],
    ["rebound", "/", { headers: { host: "evil.example" } }, 403, "--name evil.example"],
  ];
  for (const [name, path, init, status, part] of cases) {
    test(`${name}: ${status}`, async () => {
      await using server = await serve();
      const response = await fetch(server.url + path, init);
      expect(response.status).toBe(status);
      const text = await response.text();
      expect(text).toContain(part);
      if (init?.method !== "HEAD") expect(JSON.parse(text)).toMatchObject({ jtype: "afb-reply" });
      if (status === 405) expect(response.headers.get("allow")).toBe("GET, POST, OPTIONS");
      expect(server.registry.pings).toBe(0);
    });
  }

  test("a body of GET, which nothing would come of", async () => {
    await using server = await serve();
    for (const [headers, body] of [
      ["Content-Length: 7", '{"a":1}'],
      ["Transfer-Encoding: chunked", '7\r\n{"a":1}\r\n0\r\n\r\n'],
    ])
      for (const path of ["/api/t/ping", "/api/t/ping/events"]) {
        using client = await RawClient.open(server.port);
        client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n\r\n${body}`);
        expect(await client.head()).toStartWith("HTTP/1.1 400 ");
      }
    expect(server.registry.pings).toBe(0);
    using client = await RawClient.open(server.port);
    client.write("GET /api/t/ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  });

  test("TRACE, and a body that never ends being too long", async () => {
    await using server = await serve();
    using trace = await RawClient.open(server.port);
    trace.write("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(await trace.head()).toMatch(/^HTTP\/1.1 40[05] /);
    using chunked = await RawClient.open(server.port);
    chunked.write(
      "POST /api/t/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for (let i = 0; i < 20; i++) chunked.write(`10000\r\n${"x".repeat(65536)}\r\n`);
    expect(await chunked.head()).toStartWith("HTTP/1.1 413 ");
  });
});

test("index, HEAD, OPTIONS", async () => {
  await using server = await serve();
  expect(await (await fetch(server.url)).json()).toMatchObject({
    name: "spawnbox",
    apis: { t: ["ping", "echo"] },
  });
  for (const path of ["/", "/openapi.json", "/healthz"]) {
    const { length } = Buffer.from(await (await fetch(server.url + path)).arrayBuffer());
    const head = await fetch(server.url + path, { method: "HEAD" });
    expect([head.status, await head.text(), length > 0]).toEqual([200, "", true]);
    expect(head.headers.get("content-length")).toBe(String(length));
  }
  const options = await fetch(`${server.url}/api/t/ping`, { method: "OPTIONS" });
  expect([options.status, options.headers.get("allow")]).toEqual([204, "GET, POST, OPTIONS"]);
});

test("a configured origin may call and read", async () => {
  const origin = "http://panel.example";
  await using server = await serve({ origins: [origin] });
  const response = await fetch(`${server.url}/api/t/ping`, {
    headers: { origin, "sec-fetch-site": "cross-site" },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("access-control-allow-origin")).toBe(origin);
  expect(response.headers.get("access-control-expose-headers")).toContain("location");
});

test("a configured origin may read why it is refused, and go on where its events broke off", async () => {
  const origin = "http://panel.example";
  await using server = await serve({ origins: [origin] });
  for (const [init, status] of [
    [{ method: "PUT" }, 405],
    [{ method: "POST", body: "{", headers: { "content-type": "application/json" } }, 400],
    [{ method: "POST", body: "x", headers: { "content-type": "text/plain" } }, 415],
    // Before anybody looks at what is asked for.
    [{ method: "POST", body: "x".repeat((1 << 20) + 1) }, 413],
  ] as const) {
    const headers = { ...("headers" in init && init.headers), origin };
    const refused = await fetch(`${server.url}/api/t/echo`, { ...init, headers });
    expect(refused.status).toBe(status);
    expect(refused.headers.get("access-control-allow-origin")).toBe(origin);
  }
  const asked = await fetch(`${server.url}/api/t/ping/events`, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "GET",
      "access-control-request-headers": "last-event-id",
    },
  });
  expect(asked.headers.get("access-control-allow-headers")).toContain("last-event-id");
});

test("a configured origin of a public address may call a private one, where its browser asks", async () => {
  const origin = "https://panel.example";
  await using server = await serve({ origins: [origin] });
  const ask = async (path: string, more: Record<string, string>) => {
    const headers = { origin, "access-control-request-method": "POST", ...more };
    const { headers: told } = await fetch(`${server.url}${path}`, { method: "OPTIONS", headers });
    return told.get("access-control-allow-private-network");
  };
  const asked = { "access-control-request-private-network": "true" };
  expect(await ask("/api/t/ping", asked)).toBe("true");
  expect(await ask("/openapi.json", asked)).toBe("true");
  expect(await ask("/api/t/ping", {})).toBeNull();
  expect(await ask("/api/t/ping", { ...asked, origin: "https://evil.example" })).toBeNull();
});

test("no other page may read, whatever it asks beforehand", async () => {
  await using server = await serve();
  for (const method of ["OPTIONS", "GET", "POST"]) {
    const response = await fetch(`${server.url}/api/t/ping`, {
      method,
      headers: {
        origin: "http://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
      },
    });
    expect(response.status).toBe(403);
    const shared = [...response.headers.keys()].filter((name) => name.startsWith("access-control"));
    expect(shared).toEqual([]);
  }
  expect(server.registry.pings).toBe(0);
});

test("wait", async () => {
  await using server = await serve();
  for (const [path, prefer, wait] of [
    ["?wait=true", "", true],
    ["?wait=false", "wait=10", false],
    ["", "respond-async, wait=10", 10],
    ["", "respond-async", false],
  ] as const) {
    const response = await fetch(`${server.url}/api/t/who${path}`, { headers: { prefer } });
    expect(await response.json()).toMatchObject({ response: { wait, client: false } });
  }
});

describe("sessions", () => {
  test("by cookie, header, parameter; tokens", async () => {
    await using server = await serve();
    const who = async (path = "", headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}/api/t/who${path}`, { headers });
      const reply: unknown = await response.json();
      return { reply, cookie: response.headers.get("set-cookie") };
    };
    const first = await who("", { authorization: "Bearer SECRET" });
    const [, uuid = ""] = /=([0-9a-f-]{36});/.exec(first.cookie ?? "") ?? [];
    expect(first.cookie).toBe(
      `x-afb-uuid-${server.port}=${uuid}; Path=/; Max-Age=32000000; HttpOnly; SameSite=Lax`,
    );
    expect(first.reply).toMatchObject({ response: { caller: { token: "SECRET" } } });
    // The session is entered by its uuid, the token is not got by that.
    const session = { uuid };
    const again = await who("", { cookie: `a=b; x-afb-uuid-${server.port}=${uuid}` });
    expect(again.reply).toMatchObject({ response: { session } });
    expect(again.cookie).toBeNull();
    expect((await who("", { "x-afb-uuid": uuid })).reply).toMatchObject({ response: { session } });
    expect((await who(`?uuid=${uuid}&token=NEW`)).reply).toMatchObject({
      response: { session, caller: { token: "NEW" } },
    });
    expect(again.reply).toMatchObject({ response: { caller: {} } });
    expect(JSON.stringify(again.reply)).not.toContain("SECRET");
    // What would not be safe in a cookie is not taken.
    expect((await who("?uuid=a%0d%0ab")).cookie).not.toContain("a\r\n");
  });

  test("expire when idle, and are bounded", () => {
    let now = 0;
    const sessions = new Sessions(3, 10, () => now);
    const used = sessions.open({ uuid: "used", fromCookie: false });
    used.connections = 1;
    for (const uuid of ["a", "b", "c", "d"]) sessions.open({ uuid, fromCookie: false });
    expect(sessions.size).toBe(3);
    expect(sessions.open({ uuid: "used", fromCookie: false })).toBe(used);
    now = 4000;
    expect(sessions.remaining(used)).toBe(6);
    now = 20_000;
    const fresh = sessions.open({ fromCookie: false });
    expect(sessions.size).toBe(2);
    expect(sessions.remaining(fresh)).toBe(10);
  });
});

test("an address that cannot be listened on: what to do", async () => {
  await using server = await serve();
  const registry = new TestRegistry();
  const start = (host: string, port: number) =>
    startServer({ registry, endpoints: [{ kind: "tcp", host, port }], version: "" });
  expect(start("127.0.0.1", server.port)).rejects.toThrow(/in use.*EADDRINUSE/);
  expect(start("192.0.2.1", 0)).rejects.toThrow(/no such address.*EADDRNOTAVAIL/);
});

test("a path that names too little says what to add", async () => {
  await using server = await serve();
  const said = async (path: string) => {
    const response = await fetch(`${server.url}${path}`);
    const { request } = (await response.json()) as { request: { status: string; info: string } };
    return [response.status, request.status, request.info];
  };
  expect(await said("/api/")).toEqual([404, "unknown-api", "say which: /api/API/VERB"]);
  for (const path of ["/api/t", "/api/t/"])
    expect(await said(path)).toEqual([404, "unknown-verb", "say which verb: /api/t/VERB"]);
  for (const path of ["/api/x", "/api/x/"])
    expect(await said(path)).toEqual([404, "unknown-api", 'no API "x"']);
});

test("of a call that is over its reply is not kept, though what it was given may be", async () => {
  const registry = new TestRegistry();
  const kept: unknown[] = [];
  let freed = 0;
  const watched = new FinalizationRegistry(() => freed++);
  registry.call = async ({ bytes }) => {
    kept.push(bytes);
    const reply = success("x".repeat(1000));
    watched.register(reply, undefined);
    return reply;
  };
  const options = { registry, sessions: new Sessions(64), version: "0", port: () => 1 };
  const rest = createRest({ ...options, policy: () => ({ loopback: false }) });
  for (let i = 0; i < 50; i++)
    await fetched(await rest(new Request("http://localhost/api/t/echo"))).text();
  // Some may still be seen on the stack.
  await until("most are gone", () => {
    Bun.gc(true);
    return freed > 40;
  });
  expect(kept).toHaveLength(50);
});
