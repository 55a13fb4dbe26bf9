/** Requests of which no more is made than they say: what they ask for is what a URL of the same would. */
import { describe, expect, test } from "bun:test";
import { type Asked, placeOf, plainRequest, PlainRequest } from "../../../src/server/http/asked.ts";
import { toRequest } from "../../../src/server/http/fetch.ts";
import type { RequestHead } from "../../../src/server/http/head.ts";

const { signal } = new AbortController();
const head = (target: string, method = "GET", headers = {}): RequestHead => ({
  ...{ method, target, version: "1.1", keepAlive: true },
  headers: new Map(Object.entries({ host: "x", ...headers })),
  body: { kind: "length", length: 0 },
});
const isPlain = (target: string, method?: string) =>
  plainRequest(head(target, method), signal) !== undefined;
const place = (asked: Asked | undefined) => {
  const { pathname, search } = asked ? placeOf(asked) : { pathname: "", search: "" };
  return [pathname, search];
};

const PARTS = [
  ..."/?%.:;@&=+$,!~*()'\"<>[]{}|\\^`# _-",
  ...["a", "Z", "0", "..", "/.", "/..", "%2e", "%2E", "%41", "%ff", "%", "\t", "é", "//", "?a=b"],
];
test("whatever is taken as it is, a URL has the same path and query", () => {
  let plain = 0;
  let seed = 1;
  const next = () => (seed = (seed * 48_271) % 0x7fff_ffff);
  for (let i = 0; i < 50_000; i++) {
    let target = "/api/";
    for (let left = next() % 8; left > 0; left--) target += PARTS[next() % PARTS.length] ?? "";
    const asked = plainRequest(head(target), signal);
    if (!asked) continue;
    plain++;
    const { pathname, search } = new URL(`http://localhost${target}`);
    expect([target, ...place(asked)]).toEqual([target, pathname, search]);
  }
  expect(plain).toBeGreaterThan(5_000);
});

test.each([
  ["/api/light/on", "/api/light/on", ""],
  ["/api/light/on?level=5&wait=true", "/api/light/on", "?level=5&wait=true"],
  ["/api/light/on?", "/api/light/on", ""],
  ["/api/light/%C3%A9?a=%20+b", "/api/light/%C3%A9", "?a=%20+b"],
  ["/api/a.b/c..d", "/api/a.b/c..d", ""],
])("%s is taken as it is", (target, pathname, search) => {
  expect([isPlain(target), ...place(toRequest(head(target), signal))]).toEqual([
    ...[true, pathname, search],
  ]);
});

test.each([
  ["/api/a/../b", "/api/b"],
  ["/api/a/./b", "/api/a/b"],
  ["/api/a/%2E%2e/b", "/api/b"],
  ["/api/../openapi.json", "/openapi.json"],
  ["/api/a/b'", "/api/a/b'"],
  ["/api", "/api"],
  ["/apis/a/b", "/apis/a/b"],
  ["/", "/"],
])("%s is for a URL to say, which has %s", (target, pathname) => {
  const request = toRequest(head(target), signal);
  expect([isPlain(target), request instanceof Request, ...place(request)]).toEqual([
    ...[false, true, pathname, ""],
  ]);
});

test("other methods than those of calls are requests of the Fetch API, or none", () => {
  for (const method of ["HEAD", "OPTIONS", "PUT", "post", "get", "TRACE", "CONNECT"])
    expect([method, isPlain("/api/a/b", method)]).toEqual([method, false]);
  expect(isPlain("/api/a/b", "POST")).toBe(true);
  expect(toRequest(head("/api/a/b", "post"), signal)).toBeUndefined();
});

describe("headers", () => {
  test("are those of the head, and one that is set is not set there", () => {
    const of = head("/api/a/b", "GET", { accept: "text/html" });
    const request = plainRequest(of, signal);
    if (!request) throw new Error("it is plain");
    expect(["accept", "host", "origin"].map((name) => request.headers.get(name))).toEqual([
      ...["text/html", "x", null],
    ]);
    expect(["accept", "origin"].map((name) => request.headers.has(name))).toEqual([true, false]);
    request.headers.set("host", "y");
    expect([request.headers.get("host"), of.headers.get("host")]).toEqual(["y", "x"]);
    expect(request).toBeInstanceOf(PlainRequest);
    expect(request.signal).toBe(signal);
  });
});
