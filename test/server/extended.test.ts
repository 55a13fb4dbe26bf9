/** A server that takes other places and pages than before, or none of them; and how it goes with all that is open. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Endpoint } from "../../src/server/endpoint.ts";
import { type ServerOptions, startServer } from "../../src/server/server.ts";
import { descriptorsOf } from "../descriptors.ts";
import { until } from "../served.ts";
import { DatagramSocket } from "./datagrams.ts";
import { LOCAL, RawClient, TestRegistry } from "./harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-extended-"));
afterAll(() => rmSync(dir, { recursive: true }));
let names = 0;
const unix = (): Extract<Endpoint, { kind: "unix" }> => ({
  kind: "unix",
  path: join(dir, `${++names}`),
});
/** A directory with a page that says that. */
function pages(text: string) {
  const path = join(dir, `${++names}`);
  mkdirSync(path);
  writeFileSync(join(path, "page.txt"), text);
  return [{ prefix: "/" as const, path }];
}
const get = async (url: string): Promise<string> => (await fetch(`${url}/page.txt`)).text();
/** Descriptors of this process that lead to what begins so. */
const opened = (path: string): number =>
  descriptorsOf("self").filter((one) => one.startsWith(path)).length;

/** Itself: of a copy what it has to tell would stay what it was. */
async function started(options: Partial<ServerOptions> = {}) {
  const registry = new TestRegistry();
  const server = await startServer({ registry, endpoints: [LOCAL], version: "0", ...options });
  const end = async (): Promise<void> => {
    await registry.close();
    await server.close();
  };
  return { server, registry, [Symbol.asyncDispose]: end };
}

describe("it takes", () => {
  test("further places, each once, and other pages, of which the former are let go of", async () => {
    const [first, second] = [pages("first"), pages("second")];
    const one = unix();
    await using made = await started({ pages: first });
    const { server } = made;
    expect([await get(server.url), server.urls]).toEqual(["first", [server.url]] as never);
    await server.extend({ endpoints: [LOCAL, one], pages: second, base: "/box" });
    expect(server.urls).toEqual([`${server.url}/box`, `unix:${one.path}`]);
    expect(await get(`${server.url}/box`)).toBe("second");
    expect([opened(first[0]?.path ?? ""), opened(second[0]?.path ?? "")]).toEqual([0, 1]);
    // All of them are there already.
    await server.extend({ endpoints: [LOCAL, one] });
    expect(server.urls).toEqual([server.url, `unix:${one.path}`]);
    expect(await get(server.url)).toContain("unknown-api");
    expect(opened(second[0]?.path ?? "")).toBe(0);
    using client = await RawClient.open(one.path);
    client.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  });

  test("nothing, where one of the places cannot be had: what was opened for it is closed", async () => {
    const [first, second] = [pages("first"), pages("second")];
    const [free, taken, before, behind] = [unix(), unix(), unix(), unix()];
    writeFileSync(taken.path, "of somebody");
    const [own, other] = [before, behind].map(({ path }) => DatagramSocket.listenStream(path));
    if (!own || !other) throw new Error("none");
    const sockets = [own, other].map(({ fd }) => readlinkSync(`/proc/self/fd/${fd}`));
    await using made = await started({ pages: first });
    const { server } = made;
    const endpoints: Endpoint[] = [
      ...[free, { kind: "fd", fd: own.fd } as const],
      ...[taken, { kind: "fd", fd: other.fd } as const],
    ];
    expect(server.extend({ endpoints, pages: second, base: "/box" })).rejects.toThrow(taken.path);
    expect([server.urls, await get(server.url)]).toEqual([[server.url], "first"]);
    expect([opened(second[0]?.path ?? ""), existsSync(free.path)]).toEqual([0, false]);
    expect(sockets.map(opened)).toEqual([0, 0]);
    // It is not taken for one that is there.
    rmSync(taken.path);
    await server.extend({ endpoints: [free, taken] });
    expect(server.urls).toEqual([server.url, `unix:${free.path}`, `unix:${taken.path}`]);
  });

  test("no place at all: it does not start", () => {
    expect(started({ endpoints: [] })).rejects.toThrow("no place to listen was given");
  });
});

test("who is there is counted, and who does not read", async () => {
  await using made = await started();
  const { server } = made;
  expect(server.clients).toEqual({ open: 0, webSockets: 0, paused: 0 });
  using plain = await RawClient.open(server.port);
  using client = await RawClient.webSocket(server.port);
  await until("both are", () => server.clients.open === 2);
  expect(server.clients).toEqual({ open: 2, webSockets: 1, paused: 0 });
  client.socket.pause();
  for (let i = 0; i < 20; i++) client.call(`${i}`, "t/echo", "x".repeat(900_000), true);
  await until("it waits", () => server.clients.paused === 1);
  client.socket.resume();
  plain.socket.destroy();
  await until("it does not", () => server.clients.paused === 0 && server.clients.open === 1);
});

test("at its end who is idle is left, who is answered is answered, and a WebSocket is told", async () => {
  const { server, registry } = await started();
  using idle = await RawClient.open(server.port);
  idle.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await idle.head();
  using asking = await RawClient.open(server.port);
  asking.write("GET /api/t/slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
  using client = await RawClient.webSocket(server.port);
  await until("it is asked", () => registry.slow === 1);
  const closed = server.close();
  expect(await client.frame()).toMatchObject({ code: 1001, text: "server is closing" });
  client.socket.end();
  await until("it is left", () => idle.ended || idle.closed);
  // Nothing listens any more.
  const refused = await new Promise((resolve) =>
    connect(server.port, "127.0.0.1", () => resolve(false)).on("error", () => resolve(true)),
  );
  expect(refused).toBe(true);
  registry.release();
  expect(await asking.head()).toMatch(/^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n/);
  asking.socket.end();
  await closed;
  expect(server.clients).toEqual({ open: 0, webSockets: 0, paused: 0 });
});
