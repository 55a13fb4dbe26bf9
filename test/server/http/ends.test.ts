/** How connections of HTTP/1.1 end: by a failure, by a refusal, or as they are to leave. */
import { expect, spyOn, test } from "bun:test";
import { refusal } from "../../../src/server/http/connection.ts";
import { turns } from "../../launch/turns.ts";
import { until } from "../../served.ts";
import { RawClient } from "../harness.ts";
import { lines, site } from "./site.ts";

test("a handler that fails is told as a failure of the server, and why in its log", async () => {
  const spy = spyOn(console, "error").mockImplementation(() => {});
  const here = await site(() => {
    throw new TypeError("a bug");
  });
  try {
    using client = await RawClient.open(here.port);
    client.write(lines("GET", "/", "Connection: close"));
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 500 .*internal error/s);
    expect(String(spy.mock.calls)).toMatch(/^request failed: .*a bug/);
  } finally {
    spy.mockRestore();
    here.stop();
  }
});

test("a bug ends a connection without a word, but for that in the log; who breaks off is nothing to tell of", async () => {
  const spy = spyOn(console, "error").mockImplementation(() => {});
  const route = (target: string): string => {
    if (target === "/bug") throw new TypeError("a bug");
    return target;
  };
  const here = await site((_, body) => new Response(body), { route });
  try {
    using broken = await RawClient.open(here.port);
    broken.write(lines("POST", "/", "Content-Length: 10") + "x");
    broken.socket.end();
    expect(await broken.rest()).toBe("");
    expect(spy).not.toHaveBeenCalled();
    using client = await RawClient.open(here.port);
    client.write(lines("GET", "/bug"));
    expect(await client.rest()).toBe("");
    expect(String(spy.mock.calls)).toMatch(/^request failed: .*a bug/);
    await until("both are closed", () => here.sockets.size === 0);
  } finally {
    spy.mockRestore();
    here.stop();
  }
});

test("a refusal says of which kind it is, and who is told that all is busy when to come again", () => {
  const told = [400, 403, 500, 503].map((http) => {
    const [head, body] = refusal(http, "why");
    const { request } = JSON.parse(Buffer.from(body).toString()) as {
      request: { status: string; info: string };
    };
    expect(head).toStartWith(`HTTP/1.1 ${http} `);
    expect(head).toContain(`content-length: ${body.length}\r\n`);
    return [request.status, request.info, head.includes("retry-after: 1\r\n")];
  });
  expect(told).toEqual([
    ["invalid-request", "why", false],
    ["forbidden", "why", false],
    ["internal-error", "why", false],
    ["busy", "why", true],
  ]);
});

test("who is to leave is answered what it has asked, and nothing else", async () => {
  const gate = Promise.withResolvers<void>();
  const here = await site(async (request, body) => {
    if (new URL(request.url).pathname === "/late") await gate.promise;
    return new Response(`to ${body}`);
  });
  const leave = (i: number) => here.connections[i]?.leave();
  using asks = await RawClient.open(here.port);
  asks.write(lines("POST", "/late", "Content-Length: 2") + "ab" + lines("GET", "/next"));
  await until("it is asked", () => here.asked === 1);
  leave(0);
  gate.resolve();
  expect(await asks.rest()).toMatch(/^HTTP\/1\.1 200 .*connection: close\r\n.*to ab$/is);
  expect(here.asked).toBe(1);
  // One that has asked nothing, not all of it, or has its answer, ends at once.
  for (const [bytes, expected] of [
    ["", /^$/],
    ["GET / HTTP/1.1\r\n", /^$/],
    [lines("GET", "/"), /to $/],
  ] as const) {
    const i = here.connections.length;
    using client = await RawClient.open(here.port);
    const { asked } = here;
    client.write(bytes);
    await until("it is there", () => here.connections.length > i);
    if (bytes.endsWith("\r\n\r\n")) await until("it is answered", () => here.asked > asked);
    await turns(50);
    leave(i);
    expect(await client.rest()).toMatch(expected);
  }
  here.stop();
});
