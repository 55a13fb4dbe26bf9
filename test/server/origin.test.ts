import { describe, expect, test } from "bun:test";
import {
  checkCaller,
  checkOrigin,
  isLoopback,
  type OriginPolicy,
} from "../../src/server/origin.ts";
import { serve } from "./harness.ts";

/** What browsers send with a GET to a plain-http address of the network, where there is no Sec-Fetch-Site. */
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const HOST = { host: "192.0.2.7:1234" };

function refused(headers: Record<string, string>, policy: Partial<OriginPolicy> = {}): boolean {
  const all: Record<string, string | undefined> = { ...HOST, ...headers };
  try {
    checkCaller((name) => all[name], { loopback: false, ...policy });
    return false;
  } catch {
    return true;
  }
}

describe("a call without Origin", () => {
  const ours = "http://192.0.2.7:1234/panel/";
  const cases: [string, Record<string, string>, Partial<OriginPolicy>, boolean][] = [
    ["curl", { "user-agent": "curl/8.5.0", accept: "*/*" }, {}, false],
    ["a program that says nothing", {}, {}, false],
    ["an <img> of a foreign page", { "user-agent": FIREFOX, accept: "image/avif,*/*" }, {}, true],
    ["fetch no-cors without Referer", { "user-agent": FIREFOX, accept: "*/*" }, {}, true],
    ["with Referer", { "user-agent": FIREFOX, referer: "http://evil.example/" }, {}, true],
    ["a foreign Referer of any program", { referer: "http://evil.example/x" }, {}, true],
    ["another port is another origin", { referer: "http://192.0.2.7:81/" }, {}, true],
    ["a Referer that is none", { referer: "about:blank" }, {}, true],
    ["a link, User-Agent hidden", { "upgrade-insecure-requests": "1" }, {}, true],
    ["an image, User-Agent hidden", { accept: "image/webp,*/*" }, {}, true],
    ["our own page", { "user-agent": FIREFOX, referer: ours }, {}, false],
    [
      "a page that may",
      { "user-agent": FIREFOX, referer: "http://panel.example/x" },
      { origins: ["http://panel.example"] },
      false,
    ],
    ["any may", { "user-agent": FIREFOX }, { origins: ["*"] }, false],
    ["judged by Origin", { "user-agent": FIREFOX, origin: "http://192.0.2.7:1234" }, {}, false],
    ["judged by Sec-Fetch-Site", { "user-agent": FIREFOX, "sec-fetch-site": "none" }, {}, false],
  ];
  for (const [name, headers, policy, expected] of cases) {
    test(`${name}: ${expected ? "refused" : "goes through"}`, () => {
      expect(refused(headers, policy)).toBe(expected);
    });
  }

  test("runs nothing, in a server; pages that run nothing are for everybody", async () => {
    await using server = await serve();
    const headers = { "user-agent": FIREFOX };
    for (const target of ["/api/t/ping", "/api/t/ping/events"]) {
      expect((await fetch(server.url + target, { headers })).status).toBe(403);
    }
    expect(server.registry.pings).toBe(0);
    for (const target of ["/", "/openapi.json"]) {
      expect((await fetch(server.url + target, { headers })).status).toBe(200);
    }
  });
});

test.each([
  ...["localhost", "LocalHost", "127.0.0.1", "127.0.0.53", "127.255.255.254", "::1"].map(
    (host) => [host, true] as const,
  ),
  ...[
    "0.0.0.0",
    "::",
    "",
    "128.0.0.1",
    "12.7.0.0",
    "192.0.2.7",
    "127.example.com",
    "localhost.example.com",
    "::2",
    "::ffff:0.0.0.0",
  ].map((host) => [host, false] as const),
])("listening on %j, only this machine reaches it: %j", (host, only) => {
  expect(isLoopback(host)).toBe(only);
});

describe("from where", () => {
  const said = (headers: Record<string, string>, policy: Partial<OriginPolicy> = {}) => {
    try {
      checkOrigin((name) => headers[name], { loopback: false, ...policy });
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  const ELSEWHERE =
    "a page of another origin may not call this server; to allow it, start with --origin and its origin, such as --origin https://panel.example.com";
  const of = (origin: string, shown = origin) =>
    `pages of ${origin} may not call this server; to allow it, start with --origin ${shown}`;
  const notCalled = (name: string, shown = name) =>
    `this server is not called "${name}"; if it is, start with --name ${shown}`;
  const evil = "http://evil.example";

  test.each<[Record<string, string>, Partial<OriginPolicy>, string]>([
    [{}, {}, ""],
    [{ "sec-fetch-site": "none" }, {}, ""],
    [{ "sec-fetch-site": "same-origin" }, {}, ""],
    [{ "sec-fetch-site": "same-site" }, {}, ELSEWHERE],
    [{ "sec-fetch-site": "cross-site" }, {}, ELSEWHERE],
    [{ "sec-fetch-site": "same-site" }, { origins: ["*"] }, ""],
    [{ "sec-fetch-site": "same-site", host: "a.example", origin: "http://a.example" }, {}, ""],
    [{ "sec-fetch-site": "cross-site", origin: evil }, { origins: [evil] }, ""],
    [{ host: "a.example", origin: evil }, {}, of(evil)],
    [{ host: "a.example", origin: `${evil}/"` }, {}, of(`${evil}/"`, "URL")],
    [{ host: "a.example", origin: "null" }, {}, of("null")],
    [{ host: "a.example", origin: "null" }, { origins: ["null"] }, ""],
    [{ host: "a.example", origin: "" }, {}, of("", "URL")],
    [{ origin: "http://a.example" }, {}, of("http://a.example")],
    [{ host: "a.example", origin: "http://a.example:80" }, {}, ""],
    [{ host: "a.example:80", origin: "http://a.example" }, {}, ""],
    [{ host: "a.example:443", origin: "https://a.example" }, {}, ""],
    [{ host: "a.example:81", origin: "http://a.example" }, {}, of("http://a.example")],
    [{ host: "A.example", origin: "http://a.example" }, {}, ""],
    [{ host: "evil.example" }, { loopback: true }, notCalled("evil.example")],
    [{ host: "evil.example:1234" }, { loopback: true }, notCalled("evil.example")],
    [{ host: 'evil"' }, { loopback: true }, notCalled('evil"', "HOST")],
    [{ host: "evil.example" }, { loopback: false }, ""],
    ...[
      "localhost",
      "LOCALHOST:80",
      "127.0.0.1:1",
      "127.0.0.2",
      "127.0.1.1:9",
      "[::1]",
      "[::1]:9",
    ].map((host): [Record<string, string>, Partial<OriginPolicy>, string] => [
      { host },
      { loopback: true },
      "",
    ]),
    [{}, { loopback: true }, ""],
    [{ host: "127.0.0.2.evil" }, { loopback: true }, notCalled("127.0.0.2.evil")],
    [{ host: "128.0.0.2" }, { loopback: true }, notCalled("128.0.0.2")],
    [{ host: "board:80" }, { loopback: true, hosts: ["Board"] }, ""],
    [{ host: "other" }, { loopback: true, hosts: ["board"] }, notCalled("other")],
    [{ host: "other" }, { hosts: ["board"] }, notCalled("other")],
    [{ host: "localhost" }, { hosts: ["board"] }, ""],
    [{ host: "other" }, { loopback: true, hosts: ["*"] }, ""],
    [
      { host: "other", origin: "http://other" },
      { loopback: true, origins: ["*"] },
      notCalled("other"),
    ],
  ])("%j under %j: %s", (headers, policy, expected) => {
    expect(said(headers, policy)).toBe(expected);
  });
});

test("a page of the same name by the other scheme is foreign, by its Origin and by its Referer", () => {
  const browser = { "user-agent": FIREFOX };
  for (const [scheme, theirs, isRefused] of [
    ["http:", "http:", false],
    ["http:", "https:", true],
    ["https:", "https:", false],
    ["https:", "http:", true],
    [undefined, "https:", false],
  ] as const) {
    const page = `${theirs}//192.0.2.7:1234`;
    expect(refused({ ...browser, referer: `${page}/x` }, { scheme })).toBe(isRefused);
    const check = () =>
      checkOrigin((name) => ({ ...HOST, origin: page })[name as "origin"], {
        ...{ loopback: false, scheme },
      });
    if (isRefused) expect(check).toThrow(`pages of ${page} may not call this server`);
    else expect(check).not.toThrow();
  }
});
