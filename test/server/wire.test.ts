/** The wire to the letter, over raw sockets, on each kind of listener: what AFB.md calls literal is literal here. */
import { describe, expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { failure, type Reply } from "../../src/api/reply.ts";
import { AfbError, type FailureStatus, STATUS } from "../../src/errors.ts";
import { BODY_LIMIT } from "../../src/server/http/connection.ts";
import { frame, RawClient, TestRegistry } from "./harness.ts";
import { serveOn, TRANSPORTS } from "./transport.ts";

/** Any verb of the API `error` fails with the status it is named by. */
class Failing extends TestRegistry {
  override async call(request: Request): Promise<Reply> {
    if (request.api !== "error") return super.call(request);
    return failure(new AfbError(request.verb as FailureStatus, ""));
  }
}

/** The catalogue as the protocol has it: status, code, HTTP status. Written out, so that the other one cannot drift. */
const ROWS: [FailureStatus, number, number][] = [
  ["internal-error", -1, 500],
  ["out-of-memory", -2, 500],
  ["unknown-api", -3, 404],
  ["unknown-verb", -4, 404],
  ["not-available", -5, 501],
  ["unauthorized", -6, 401],
  ["invalid-token", -7, 401],
  ["forbidden", -8, 403],
  ["insufficient-scope", -9, 403],
  ["bad-api-state", -10, 403],
  ["no-reply", -11, 504],
  ["invalid-request", -12, 400],
  ["no-item", -13, 404],
  ["bad-state", -14, 409],
  ["disconnected", -15, 503],
  ["timeout", -16, 504],
  ["busy", -100, 503],
];

const head = (method: string, target: string, ...lines: string[]): string =>
  [`${method} ${target} HTTP/1.1`, "Host: localhost", ...lines, "", ""].join("\r\n");
const post = (target: string, body: string, ...lines: string[]): string =>
  head(
    "POST",
    target,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    ...lines,
  ) + body;
const CLOSE = "Connection: close";

/** Status and body of each response in a text of responses with Content-Length. */
function responses(text: string): [number, string][] {
  const found: [number, string][] = [];
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\r\n\r\n", at) + 4;
    const lines = text.slice(at, end);
    const length = Number(/^content-length: (\d+)/im.exec(lines)?.[1] ?? 0);
    found.push([Number(lines.split(" ")[1]), text.slice(end, end + length)]);
    at = end + length;
  }
  return found;
}

for (const transport of TRANSPORTS) {
  describe(transport, () => {
    const exchange = async (bytes: string) => {
      await using server = await serveOn(transport, { registry: new Failing() });
      using client = await RawClient.open(server.to);
      client.write(bytes);
      return await client.rest();
    };

    test("every error, over WebSocket and REST", async () => {
      expect(ROWS.map(([status]) => status)).toEqual(
        Object.keys(STATUS).filter((one) => one !== "success") as FailureStatus[],
      );
      await using server = await serveOn(transport, { registry: new Failing() });
      using socket = await RawClient.webSocket(server.to);
      using rest = await RawClient.open(server.to);
      for (const [status, code, http] of ROWS) {
        const reply = `{"jtype":"afb-reply","request":{"status":"${status}","code":${code}}}`;
        socket.call("9", `error/${status}`, null);
        expect((await socket.frame())?.text).toBe(`[4,"9",${reply}]`);
        rest.write(head("GET", `/api/error/${status}`));
        const headers = await rest.head();
        expect(headers).toStartWith(`HTTP/1.1 ${http} `);
        expect(headers).toMatch(/^content-type: application\/json\r$/im);
        expect(await rest.take(reply.length)).toBe(reply);
      }
    });

    test("requests sent ahead are answered in order, on one connection", async () => {
      const text = await exchange(
        head("GET", "/api/t/echo?n=1") +
          post("/api/t/echo", '{"n":2}') +
          // A body where none belongs must not be taken for the next request.
          head("PUT", "/api/t/echo", "Content-Length: 34") +
          "GET /api/t/ping HTTP/1.1\r\nHost: x\r\n".slice(0, 34) +
          head("GET", "/api/t/nope") +
          head("GET", "/api/t/echo?n=3", CLOSE),
      );
      const found = responses(text);
      expect(found.map(([status]) => status)).toEqual([200, 200, 405, 404, 200]);
      expect(found.map(([, body]) => /"n":("?\d"?)/.exec(body)?.[1])).toEqual([
        '"1"',
        "2",
        undefined,
        undefined,
        '"3"',
      ]);
    });

    test("Expect: 100-continue is answered when the body is wanted, and refused when it is too long", async () => {
      await using server = await serveOn(transport);
      using client = await RawClient.open(server.to);
      client.write(
        head(
          "POST",
          "/api/t/echo",
          "Content-Type: application/json",
          "Content-Length: 2",
          "Expect: 100-continue",
          CLOSE,
        ),
      );
      expect(await client.head()).toStartWith("HTTP/1.1 100 Continue\r\n");
      client.write("42");
      expect(responses(await client.rest())).toEqual([
        [200, expect.stringContaining('"response":42')],
      ]);
      const text = await exchange(
        head("POST", "/api/t/echo", `Content-Length: ${BODY_LIMIT + 1}`, "Expect: 100-continue"),
      );
      expect(text).toStartWith("HTTP/1.1 413 ");
    });

    test("a body of exactly the limit, and one byte more", async () => {
      const body = `"${"x".repeat(BODY_LIMIT - 2)}"`;
      const [[status, text] = []] = responses(await exchange(post("/api/t/echo", body, CLOSE)));
      expect(status).toBe(200);
      expect(text?.length).toBeGreaterThan(BODY_LIMIT);
      expect(await exchange(post("/api/t/echo", `${body} `, CLOSE))).toStartWith("HTTP/1.1 413 ");
    });

    test("a WebSocket message of exactly the limit, and one byte more", async () => {
      await using server = await serveOn(transport);
      const call = (length: number) => `[2,"1","t/echo","${"x".repeat(length - 19)}"]`;
      expect(call(100).length).toBe(100);
      using client = await RawClient.webSocket(server.to);
      client.write(frame(call(1 << 20)));
      expect(await client.json()).toMatchObject([3, "1", {}]);
      client.write(frame(call((1 << 20) + 1)));
      expect(await client.frame()).toMatchObject({ opcode: 8, code: 1009 });
    });

    test("HEAD, trailing slashes, /api without more", async () => {
      const text = await exchange(
        head("GET", "/api") +
          head("GET", "/api/") +
          head("GET", "/api/t") +
          head("GET", "/api/t/") +
          head("GET", "/api/t/echo/") +
          head("GET", "/nope/", CLOSE),
      );
      const found = responses(text);
      expect(found.map(([status]) => status)).toEqual([404, 404, 404, 404, 404, 404]);
      expect(found.map(([, body]) => (JSON.parse(body) as Reply).request.status)).toEqual([
        "unknown-api",
        "unknown-api",
        "unknown-verb",
        "unknown-verb",
        "unknown-verb",
        "unknown-api",
      ]);
      expect(found[0]?.[1]).toContain('"apis":{"t":["ping","echo"]}');
      const headed = await exchange(head("HEAD", "/", CLOSE));
      expect(headed).toMatch(/^HTTP\/1.1 200 [^]*content-length: [1-9]\d*\r\n[^]*\r\n\r\n$/i);
      expect(await exchange(head("HEAD", "/api/t/ping", CLOSE))).toMatch(
        /^HTTP\/1.1 405 [^]*\r\n\r\n$/,
      );
    });

    test("what is no request: 400 or 431, and the connection ends", async () => {
      for (const bytes of [
        "\0\x01\x02\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        head("GET", "/", `X: ${"x".repeat(20_000)}`),
        head("POST", "/api/t/echo", "Content-Length: 4", "Transfer-Encoding: chunked") +
          "0\r\n\r\n",
        head("POST", "/api/t/echo", "Content-Length: x"),
      ]) {
        expect(await exchange(bytes)).toMatch(/^HTTP\/1.1 4(00|31) /);
      }
    });

    test("session and token by every name", async () => {
      const uuid = "11111111-2222-4333-8444-555555555555";
      for (const [target, line] of [
        ["/api/t/who", `x-afb-uuid: ${uuid}`],
        ["/api/t/who", `uuid: ${uuid}`],
        [`/api/t/who?x-afb-uuid=${uuid}`, "a: b"],
        [`/api/t/who?uuid=${uuid}`, "a: b"],
      ] as const) {
        const text = await exchange(head("GET", target, line, CLOSE));
        expect(text).toContain(`"uuid":"${uuid}"`);
        expect(text).toMatch(
          new RegExp(
            `^set-cookie: x-afb-uuid-\\d+=${uuid}; Path=/; Max-Age=32000000; HttpOnly; SameSite=`,
            "im",
          ),
        );
      }
      for (const [target, line] of [
        ["/api/t/who", "Authorization: Bearer TOK"],
        ["/api/t/who", "x-afb-token: TOK"],
        ["/api/t/who?access_token=TOK", "a: b"],
        ["/api/t/who?x-afb-token=TOK", "a: b"],
        ["/api/t/who?token=TOK", "a: b"],
      ] as const) {
        expect(await exchange(head("GET", target, line, CLOSE))).toContain('"token":"TOK"');
      }
    });

    test("frames that break the protocol: the documented code, and the server goes on", async () => {
      await using server = await serveOn(transport);
      const close = (...bytes: number[]) => frame(Uint8Array.from(bytes), { opcode: 8 });
      for (const [bytes, code] of [
        [frame("x", { rsv: 0x40 }), 1002],
        [frame("x", { opcode: 3 }), 1002],
        [frame("x", { opcode: 0 }), 1002],
        [frame("x", { opcode: 9, fin: false }), 1002],
        [frame("x".repeat(126), { opcode: 9 }), 1002],
        [close(3), 1002],
        [close(3, 236), 1002],
        [close(3, 232, 0xff), 1007],
        [Uint8Array.of(0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 1), 1002],
        [frame("x", { opcode: 2 }), 1003],
        [frame(Uint8Array.of(0xc3, 0x28)), 1007],
        [frame("", { length: (1 << 20) + 1 }), 1009],
        [frame('["no call"]'), 1008],
        [frame('[2,"1","noslash",null]'), 1008],
      ] as const) {
        using client = await RawClient.webSocket(server.to);
        client.write(bytes);
        expect(await client.frame()).toMatchObject({ opcode: 8, code });
      }
      using client = await RawClient.webSocket(server.to);
      client.write(Uint8Array.of(0x81, 0x16, ...Buffer.from('[2,"1","t/ping",null]\n')));
      expect((await client.frame())?.text).toBe(
        '[3,"1",{"jtype":"afb-reply","request":{"status":"success","code":0},"response":"pong=1"}]',
      );
    });
  });
}
