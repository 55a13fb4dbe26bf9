/** `--base /box`: all of a server below a path, behind a proxy that hands paths on as they are. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseServe } from "../../src/serve/options.ts";
import { connect } from "../../src/client.ts";
import { below, whyNoBase } from "../../src/server/base.ts";
import { serve, type TestServer } from "./harness.ts";

let dir = "";
let server: TestServer;
let proxy: Server;
/** Of the proxy. */
let url = "";
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-base-"));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, "sub"));
  writeFileSync(join(dir, "sub", "index.html"), "below");
  server = await serve({ base: "/box", pages: [{ prefix: "/", path: dir }] });
  // It hands bytes on, as a proxy of TCP.
  proxy = createServer((socket) => {
    const upstream = connectSocket(server.port, "127.0.0.1");
    socket.on("error", () => upstream.destroy());
    upstream.on("error", () => socket.destroy());
    socket.pipe(upstream).pipe(socket);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  url = `http://127.0.0.1:${address.port}`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  proxy.close();
  rmSync(dir, { recursive: true });
});

const get = (path: string) => fetch(url + path, { redirect: "manual" });

describe("below the base", () => {
  test("verbs, their sessions, their events", async () => {
    const reply = await get("/box/api/t/ping");
    expect(reply.status).toBe(200);
    expect(reply.headers.get("set-cookie")).toContain("; Path=/box;");
    const events = await get("/box/api/t/ping/events");
    expect(await events.text()).toContain("event: reply");
    expect(await (await get("/box/api/t")).text()).toContain("say which verb: /box/api/t/VERB");
  });
  test("OpenAPI and the index name it", async () => {
    const document = (await (await get("/box/openapi.json")).json()) as Record<string, unknown>;
    expect(document["servers"]).toEqual([{ url: "/box" }]);
    expect(Object.keys(document["paths"] as object)).toContain("/api/t/ping");
    const index = (await (await get("/box/")).json()) as Record<string, unknown>;
    expect(index).toMatchObject({ websocket: "/box/api", openapi: "/box/openapi.json" });
  });
  test("pages, and where they lead", async () => {
    expect((await get("/box/sub")).headers.get("location")).toBe("/box/sub/");
    expect(await (await get("/box/sub/")).text()).toBe("below");
    expect((await get("/box")).headers.get("location")).toBe("/box/");
    expect((await get("/box?a=b")).headers.get("location")).toBe("/box/?a=b");
    expect((await get("/box?a=b?c")).headers.get("location")).toBe("/box/?a=b?c");
  });
  test("the WebSocket, by the typed client", async () => {
    const client = await connect(`${url.replace("http", "ws")}/box/api`);
    expect((await client.call("t/echo", [1])).response).toEqual([1]);
    await client.close();
  });
  test("the url says it", () => {
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect(server.urls).toEqual([`${server.url}/box`]);
  });
});

test.each([
  "/",
  "/api/t/ping",
  "/boxes/api/t/ping",
  "/BOX/api/t/ping",
  "/%62ox/api/t/ping",
  "/openapi.json",
  "/sub/",
])("%s is elsewhere, and nothing runs", async (path) => {
  const pings = server.registry.pings;
  const reply = await get(path);
  expect(reply.status).toBe(404);
  expect(await reply.text()).toContain("everything is below /box");
  expect(server.registry.pings).toBe(pings);
});

test("no WebSocket elsewhere", async () => {
  for (const path of ["/api", "/boxapi", "/box", "/box/box/api"])
    expect(connect(url.replace("http", "ws") + path)).rejects.toThrow();
});

test("it changes when the server becomes a service", async () => {
  await using other = await serve({ base: "/early" });
  const at = (path: string) => fetch(`http://127.0.0.1:${other.port}${path}`);
  expect((await at("/early/api/t/ping")).status).toBe(200);
  await other.extend({ endpoints: [], base: "/box" });
  expect((await at("/early/api/t/ping")).status).toBe(404);
  expect((await at("/box/api/t/ping")).status).toBe(200);
  await other.extend({ endpoints: [] });
  expect((await at("/api/t/ping")).status).toBe(200);
});

describe("what can be a base", () => {
  test.each(["/box", "/cars/7", "/a.b_c~d-e", "/v1/api"])("%s", (text) => {
    expect(whyNoBase(text)).toBeUndefined();
    expect(parseServe(["--config", "x", "--base", text])?.base).toBe(text);
  });
  test.each([
    "",
    "/",
    "box",
    "/box/",
    "//box",
    "/a//b",
    "/../x",
    "/.x",
    "/a b",
    "/a/b c",
    "/a%20b",
    "/a;b",
    "/ä",
    "/api",
    "/api/x",
    "/a?b",
    "/a\r\nb",
  ])("%j is refused", (text) => {
    expect(() => parseServe(["--config", "x", "--base", text])).toThrow("--base");
  });
  test("what is below", () => {
    expect(below("", "/x")).toBe("/x");
    expect(below("/box", "/box/x?y")).toBe("/x?y");
    expect([below("/box", "/box"), below("/box", "/boxx"), below("/box", "/box?x")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
