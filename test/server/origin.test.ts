import { describe, expect, test } from "bun:test";
import { checkCaller, type OriginPolicy } from "../../src/server/origin.ts";
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
