/** What a monitor asks without knowing any verb. */
import { describe, expect, test } from "bun:test";
import { AfbError } from "../../src/errors.ts";
import { failure, type Reply, success } from "../../src/api/reply.ts";
import type { Request as Call } from "../../src/api/client.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { healthz, metrics, readyz } from "../../src/server/health.ts";
import { TestRegistry } from "./harness.ts";

const asking = (method = "GET", headers: Record<string, string> = {}) =>
  new Request("http://x/", { method, headers });
const shown = async (response: Response) => ({
  status: response.status,
  type: response.headers.get("content-type"),
  length: response.headers.get("content-length"),
  cache: response.headers.get("cache-control"),
  text: await response.text(),
});
const plain = { type: "text/plain; charset=utf-8", cache: "no-store" };

describe("whether it answers, and whether it is ready", () => {
  test("as a line", async () => {
    expect(await shown(healthz(asking()))).toEqual({
      ...{ ...plain, status: 200, length: "3", text: "ok\n" },
    });
    expect(await shown(readyz(asking(), () => undefined))).toEqual({
      ...{ ...plain, status: 200, length: "6", text: "ready\n" },
    });
    expect(await shown(readyz(asking(), () => "still stárting"))).toEqual({
      ...{ ...plain, status: 503, length: "16", text: "still stárting\n" },
    });
  });

  test("by the methods that it has", () => {
    const options = healthz(asking("OPTIONS"));
    expect([options.status, options.headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
    expect(() => healthz(asking("POST"))).toThrow();
    expect(() => readyz(asking("DELETE"), () => undefined)).toThrow();
    expect(healthz(asking("HEAD")).headers.get("x-content-type-options")).toBe("nosniff");
  });
});

describe("what is counted", () => {
  class Counting extends TestRegistry {
    readonly calls: Call[] = [];
    constructor(readonly reply: Reply) {
      super();
    }
    override async call(request: Call): Promise<Reply> {
      this.calls.push(request);
      return this.reply;
    }
  }
  const caller = () => ({ session: { uuid: "s" } });

  test.each([
    [undefined, "prometheus", "text/plain; version=0.0.4; charset=utf-8"],
    [
      "application/openmetrics-text; version=1.0.0",
      "openmetrics",
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ],
  ])("is the verb's text, as is accepted: %s", async (accept, format, type) => {
    const registry = new Counting(success("some 1\n"));
    const headers = accept === undefined ? {} : { accept };
    const response = fetched(await metrics(asking("GET", headers), registry, caller));
    expect(registry.calls).toMatchObject([
      { api: "monitor", verb: "metrics", args: { format }, session: { uuid: "s" } },
    ]);
    expect(response.headers.get("vary")).toBe("Accept");
    expect(await shown(response)).toEqual({
      ...{ status: 200, type, length: "7", cache: "no-store", text: "some 1\n" },
    });
  });

  test("is refused as the verb is", async () => {
    const registry = new Counting(failure(new AfbError("insufficient-scope", "not you")));
    const response = fetched(await metrics(asking(), registry, caller));
    expect([response.status, await response.text()]).toEqual([
      403,
      expect.stringContaining("not you"),
    ]);
  });

  test("asks nobody where only the methods are asked for", async () => {
    const registry = new Counting(success("x"));
    expect((await metrics(asking("OPTIONS"), registry, caller)).status).toBe(204);
    expect(metrics(asking("PUT"), registry, caller)).rejects.toThrow();
    expect(registry.calls).toEqual([]);
  });
});
