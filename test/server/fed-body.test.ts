/** Which bodies come as they are read: those of verbs whose commands read them, and only as long as that is so. */
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import type { Request as Call } from "../../src/api/client.ts";
import { type Reply, success } from "../../src/api/reply.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { Incoming } from "../../src/server/http/incoming.ts";
import { Input } from "../../src/server/http/input.ts";
import type { Entrance } from "../../src/server/mcp.ts";
import { createRest } from "../../src/server/rest.ts";
import { Sessions } from "../../src/server/session.ts";
import { Share } from "../../src/share.ts";
import { TestRegistry } from "./harness.ts";

/** `t/fed` reads what it is given, and so does a verb whose name ends as an address of events does. */
class Fed extends TestRegistry {
  asked: string[] = [];
  called: Call[] = [];
  fed = ["t/fed", "t/own/events"];

  override list() {
    return [{ api: "t", verbs: ["echo", "fed", "Own/events"] }];
  }
  isFed({ api, verb }: { api: string; verb: string }): boolean {
    const name = `${api.toLowerCase()}/${verb.toLowerCase()}`;
    this.asked.push(name);
    if (verb === "broken") throw new RangeError("bug");
    return this.fed.includes(name);
  }
  override async call(call: Call): Promise<Reply> {
    this.called.push(call);
    return success();
  }
}

function made() {
  const registry = new Fed();
  const options = { registry, sessions: new Sessions(16), version: "0", port: () => 1 };
  // A place of tools, which no body reaches that comes as it is read.
  const mcp = () => ({ respond: () => new Response("tools") }) as unknown as Entrance;
  return { registry, rest: createRest({ ...options, policy: () => ({ loopback: false }), mcp }) };
}

test.each([
  ["/api/t/fed", true, "t/fed"],
  ["/api/t/fed?wait=1", true, "t/fed"],
  ["/api/T/Fed", true, "t/fed"],
  ["/api/t/echo", false, "t/echo"],
  // Also where its events are wanted.
  ["/api/t/fed/events", true, "t/fed"],
  ["/api/t/echo/events", false, "t/echo"],
  ["/api/t/own/events", true, "t/own/events"],
  ["/api/t/own/events/events", true, "t/own/events"],
  ["/api/t/events", false, "t/events"],
  ["/api/t//events", false, "t//events"],
  ["/api/%74/f%65d", true, "t/fed"],
  ["/api/t/fed/", false, "t/fed/"],
  ["/api/t/", false, undefined],
  ["/api/t", false, undefined],
  ["/api//fed", false, undefined],
  ["/pages/api/t/fed", false, undefined],
  // The call says what is wrong with it.
  ["/api/t/%ff", false, undefined],
  ["*", false, undefined],
])("%s: %p", (target, streams, asked) => {
  const { registry, rest } = made();
  expect([rest.streams(target), registry.asked[0]]).toEqual([streams, asked]);
});

test("what goes wrong in the registry is not taken for a mistake of the caller", () => {
  expect(() => made().rest.streams("/api/t/broken")).toThrow(new RangeError("bug"));
  const registry = new TestRegistry();
  const options = { registry, sessions: new Sessions(1), version: "0", port: () => 1 };
  const rest = createRest({ ...options, policy: () => ({ loopback: false }) });
  // There need be none of these.
  expect(rest.streams("/api/t/echo")).toBe(false);
});

describe("a call", () => {
  /** A body that comes as it is read. */
  const coming = (): Incoming => {
    const share = new Share(1 << 20);
    const input = new Input(new PassThrough() as unknown as Socket, share.part(), () => {});
    const reading = { part: share.part(), patience: 1000, spare: 0 };
    return new Incoming(input, { kind: "length", length: 3 }, reading);
  };
  const whole = Buffer.from('{"a":1}');
  const json = { "content-type": "application/json" };

  test.each([
    ["POST", "/api/t/fed", "coming", {}, "success"],
    ["POST", "/api/t/fed/events", "coming", {}, "success"],
    ["POST", "/api/t/echo", "whole", json, "success"],
    ["GET", "/api/t/fed", "none", {}, "success"],
    // The config has changed since its head was read.
    ["POST", "/api/t/fed", "whole", json, "bad-state"],
    ["POST", "/api/t/fed", "none", {}, "bad-state"],
    ["POST", "/api/t/echo", "coming", {}, "bad-state"],
    ["POST", "/mcp", "coming", {}, "bad-state"],
    ["POST", "/api/t/fed", "coming", { "content-encoding": "gzip" }, "without Content-Encoding"],
    ["GET", "/api/t/fed", "none", { "content-length": "1" }, "POST the body"],
    ["GET", "/api/t/fed", "none", { "content-length": "0" }, "success"],
    ["GET", "/api/t/fed", "none", { "transfer-encoding": "chunked" }, "POST the body"],
  ])("%s %s, %s, %p: %s", async (method, path, kind, headers, expected) => {
    const { registry, rest } = made();
    const request = new Request(`http://localhost${path}`, { method });
    // What the runtime takes for its own where it makes one.
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
    const body = kind === "coming" ? coming() : kind === "whole" ? whole : undefined;
    const response = fetched(await rest(request, { ...(body && { body }) }));
    expect(await response.text()).toContain(expected);
    const { called } = registry;
    expect(called.map(({ input, args }) => [input === body && input !== undefined, args])).toEqual(
      expected === "success" ? [[kind === "coming", kind === "whole" ? { a: 1 } : undefined]] : [],
    );
  });
});
