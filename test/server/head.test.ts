/** The head of a request: what it says, and each way in which it says nothing, or two things. */
import { describe, expect, test } from "bun:test";
import { HttpFault } from "../../src/server/http/fault.ts";
import { parseHead } from "../../src/server/http/head.ts";

const text = (...lines: string[]) => lines.join("\r\n");
const get = (...fields: string[]) => parseHead(text("GET / HTTP/1.1", "Host: x", ...fields));
const fault = (head: string) => {
  try {
    return parseHead(head);
  } catch (error) {
    if (!(error instanceof HttpFault)) throw error;
    return error.http;
  }
};

test("what is said", () => {
  const found = parseHead(
    text("P~T /a?b HTTP/1.1", "HOST:\t x \t", "A: 1", "a: 2", "Cookie: c=1", "cookie: d=2", "E:"),
  );
  expect({ ...found, headers: Object.fromEntries(found.headers) }).toEqual({
    ...{ method: "P~T", target: "/a?b", version: "1.1", keepAlive: true },
    headers: { host: "x", a: "1, 2", cookie: "c=1; d=2", e: "" },
    body: { kind: "length", length: 0 },
  });
  expect(parseHead("GET / HTTP/1.0")).toMatchObject({ version: "1.0", keepAlive: false });
  expect(get("A: b c")).toMatchObject({ method: "GET" });
});

test("the body, and whether another request follows", () => {
  expect(get("Content-Length: 12").body).toEqual({ kind: "length", length: 12 });
  expect(get("Transfer-Encoding: CHUNKED").body).toEqual({ kind: "chunked" });
  expect(get("Expect: 100-Continue").headers.get("expect")).toBe("100-Continue");
  expect([get("Connection: close").keepAlive, get("Connection: x, Close").keepAlive]).toEqual([
    false,
    false,
  ]);
  expect(parseHead(text("GET / HTTP/1.0", "Connection: keep-alive")).keepAlive).toBe(true);
});

describe("a first line", () => {
  test.each([
    ["GET / HTTP/1.1 ", 400],
    ["GET  / HTTP/1.1", 400],
    ["G@T / HTTP/1.1", 400],
    ["GET /\x01 HTTP/1.1", 400],
    [" / HTTP/1.1", 400],
    ["GET  HTTP/1.1", 400],
    ["GET /#a HTTP/1.1", 400],
    ["GET /\\a HTTP/1.1", 400],
    ["GET / HTTP/2.0", 505],
    ["GET / HTTP/1.2", 505],
    ["GET / HTTP/11", 400],
    ["GET /", 400],
  ])("%j is refused", (line, status) => {
    expect(fault(text(line, "Host: x"))).toBe(status);
  });
  test("may have a backslash in its query", () => {
    expect(parseHead(text("GET /?\\ HTTP/1.1", "Host: x")).target).toBe("/?\\");
  });
});

describe("fields", () => {
  test("are at most so many", () => {
    const many = (count: number) =>
      text("GET / HTTP/1.1", "Host: x", ...Array.from({ length: count - 1 }, (_, i) => `A${i}: b`));
    expect([fault(many(129)), typeof fault(many(128))]).toEqual([431, "object"]);
  });
  test.each(
    [
      "host content-length transfer-encoding content-type authorization origin referer",
      "sec-fetch-site sec-websocket-key sec-websocket-version upgrade expect x-afb-uuid x-afb-token",
    ].flatMap((names) => names.split(" ")),
  )("%s stands there once", (name) => {
    const value =
      name === "content-length" ? "1" : name === "transfer-encoding" ? "chunked" : "100-continue";
    const host = name === "host" ? [] : ["Host: x"];
    const of = (...more: string[]) => fault(text("GET / HTTP/1.1", ...host, ...more));
    expect(of(`${name}: ${value}`)).toBeObject();
    expect(of(`${name}: ${value}`, `${name}: ${value}`)).toBe(400);
  });
  test.each([": x", "A", "A b: c", " A: b", "A: \x7f", "A: \0"])("%j is none", (line) => {
    expect(fault(text("GET / HTTP/1.1", "Host: x", line))).toBe(400);
  });
  test.each<[string, number]>([
    ["Expect: 200-ok", 417],
    ["Transfer-Encoding: gzip", 501],
    ["Content-Length: -1", 400],
    ["Content-Length: 1.5", 400],
    ["Content-Length: 99999999999999999999", 400],
  ])("%s is refused", (line, status) => {
    expect(fault(text("GET / HTTP/1.1", "Host: x", line))).toBe(status);
  });
  test("of a host there must be one, of HTTP/1.1", () => {
    expect(fault("GET / HTTP/1.1")).toBe(400);
  });
  test("length and chunks are two ways, and chunks are of HTTP/1.1", () => {
    const both = ["Content-Length: 1", "Transfer-Encoding: chunked"];
    expect(fault(text("GET / HTTP/1.1", "Host: x", ...both))).toBe(400);
    expect(fault(text("GET / HTTP/1.0", "Transfer-Encoding: chunked"))).toBe(400);
  });
});
