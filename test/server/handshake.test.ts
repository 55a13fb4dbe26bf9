import { describe, expect, test } from "bun:test";
import { handshake } from "../../src/server/handshake.ts";
import { isLoopback, type OriginPolicy } from "../../src/server/origin.ts";
import { RawClient, serve, UPGRADE, upgradeText } from "./harness.ts";

const PROTOCOL = "Sec-WebSocket-Protocol";

function shake(
  headers: Record<string, string | undefined> = {},
  {
    url = "/api",
    method = "GET",
    ...policy
  }: Partial<OriginPolicy> & { url?: string; method?: string } = {},
): { status: number; response: string } {
  const all = Object.entries({ ...UPGRADE, ...headers });
  const lower = Object.fromEntries(all.map(([name, value]) => [name.toLowerCase(), value]));
  const { response, accepted } = handshake(
    { method, url, header: (name) => lower[name] },
    { loopback: false, ...policy },
  );
  const status = Number(response.split(" ")[1]);
  expect(accepted).toBe(status === 101);
  return { status, response };
}

test("101 answers the key and names the sub-protocol, without a cookie", () => {
  const { response } = shake();
  // The key and its answer of RFC 6455, 1.3.
  expect(response).toContain("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
  expect(response).toContain("\r\nSec-WebSocket-Protocol: x-afb-ws-json1\r\n");
  expect(response).toEndWith("\r\n\r\n");
  expect(response.toLowerCase()).not.toContain("cookie");
});

test("an answer has what its protocol demands, line by line, and tells what is spoken from then on", () => {
  const answer = (headers: Record<string, string | undefined>, url = "/api") => {
    const all = Object.entries({ ...UPGRADE, ...headers });
    const lower = Object.fromEntries(all.map(([name, value]) => [name.toLowerCase(), value]));
    const header = (name: string) => lower[name];
    const given = handshake({ method: "GET", url, header }, { loopback: false });
    return { ...given, response: given.response.split("\r\n") };
  };
  const switches = "HTTP/1.1 101 Switching Protocols";
  expect(answer({ Upgrade: "X-AFB-RPC" })).toMatchObject({
    speaks: "packets",
    response: [switches, "Upgrade: x-afb-rpc", "Connection: Upgrade", "", ""],
  });
  const framed = [switches, "Upgrade: websocket", "Connection: Upgrade"];
  const accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  for (const [protocol, speaks] of [
    ["x-afb-ws-json1", "json"],
    ["x-afb-ws-rpc", "framed packets"],
  ] as const)
    expect(answer({ [PROTOCOL]: protocol })).toMatchObject({
      speaks,
      response: [...framed, accept, `${PROTOCOL}: ${protocol}`, "", ""],
    });
  expect(answer({ [PROTOCOL]: undefined })).toMatchObject({
    speaks: "json",
    response: [...framed, accept, "", ""],
  });
  const { response: refusal } = answer({}, "/a?b?c");
  const body = refusal.at(-1) ?? "";
  expect(refusal.slice(0, -2)).toEqual([
    ...["HTTP/1.1 404 Not Found", "Connection: close", "Content-Type: application/json"],
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]);
  expect(body).toContain("no WebSocket at /a: use /api");
});

const table: [string, Parameters<typeof shake>, number][] = [
  ["a list of sub-protocols", [{ [PROTOCOL]: "foo, x-afb-ws-json1" }], 101],
  ["no sub-protocol", [{ [PROTOCOL]: undefined }], 101],
  ["the packets of other binders", [{ Upgrade: "x-afb-rpc" }], 101],
  ["these in frames", [{ [PROTOCOL]: "x-afb-ws-rpc" }], 101],
  ["these from a page of another site", [{ Upgrade: "x-afb-rpc", Origin: "http://evil" }], 403],
  ["unknown sub-protocols only", [{ [PROTOCOL]: "foo, bar" }], 412],
  ["query", [{}, { url: "/api?x-afb-token=HELLO" }], 101],
  ["other path", [{}, { url: "/apis" }], 404],
  ["longer path", [{}, { url: "/api/x" }], 404],
  ["POST", [{}, { method: "POST" }], 405],
  ["version 8", [{ "Sec-WebSocket-Version": "8" }], 426],
  ["no version", [{ "Sec-WebSocket-Version": undefined }], 426],
  ["no key", [{ "Sec-WebSocket-Key": undefined }], 400],
  ["short key", [{ "Sec-WebSocket-Key": "abc" }], 400],
  ["same origin", [{ Origin: "http://m3", Host: "m3" }], 101],
  ["same origin, default port written", [{ Origin: "http://m3", Host: "m3:80" }], 101],
  ["same origin behind a TLS proxy", [{ Origin: "https://m3", Host: "m3" }], 101],
  ["other port", [{ Origin: "http://m3:81", Host: "m3" }], 403],
  ["other host", [{ Origin: "http://evil.example", Host: "m3" }], 403],
  ["origin null", [{ Origin: "null", Host: "m3" }], 403],
  ["origin garbage", [{ Origin: "http://", Host: "m3" }], 403],
  ["listed origin", [{ Origin: "http://a.example" }, { origins: ["http://a.example"] }], 101],
  ["any origin", [{ Origin: "http://a.example" }, { origins: ["*"] }], 101],
  ["cross-site", [{ "Sec-Fetch-Site": "cross-site" }], 403],
  ["any Host elsewhere", [{ Host: "m3" }], 101],
  ["Host on loopback: localhost", [{ Host: "localhost:1234" }, { loopback: true }], 101],
  ["Host on loopback: [::1]", [{ Host: "[::1]:1234" }, { loopback: true }], 101],
  ["Host on loopback: rebound", [{ Host: "evil.example:1234" }, { loopback: true }], 403],
  ["Host on loopback: allowed", [{ Host: "M3:1" }, { loopback: true, hosts: ["m3"] }], 101],
  ["Host elsewhere, hosts given", [{ Host: "m4" }, { hosts: ["m3"] }], 403],
];
describe("upgrade", () => {
  for (const [name, args, status] of table) {
    test(`${name}: ${status}`, () => {
      const shaken = shake(...args);
      expect(shaken.status).toBe(status);
      if (status === 426) expect(shaken.response).toContain("\r\nSec-WebSocket-Version: 13\r\n");
      if (status === 403) expect(shaken.response).toMatch(/--(origin|name) /);
    });
  }
});

test("loopback addresses", () => {
  expect(["localhost", "127.0.0.1", "127.1.2.3", "::1"].every(isLoopback)).toBe(true);
  expect(["0.0.0.0", "::", "10.0.0.1", "127.evil.example"].some(isLoopback)).toBe(false);
});

test("a refusal arrives whole and ends the connection", async () => {
  await using server = await serve();
  for (const [headers, status] of [
    [{ [PROTOCOL]: "foo" }, 412],
    [{ Origin: "http://evil.example" }, 403],
    [{ Host: "evil.example" }, 403],
    [{ "Sec-WebSocket-Version": "12" }, 426],
  ] as const) {
    using client = await RawClient.open(server.port);
    client.write(upgradeText(headers) + "garbage behind");
    expect(await client.head()).toStartWith(`HTTP/1.1 ${status} `);
    expect(JSON.parse(await client.rest())).toMatchObject({ jtype: "afb-reply" });
  }
});

test("an offer of HTTP/2 is answered as HTTP/1.1", async () => {
  await using server = await serve();
  using client = await RawClient.open(server.port);
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  expect(await client.head()).toStartWith("HTTP/1.1 200 ");
});
