/** What an end of a connection is told of what has no meaning there. */
import { describe, expect, test } from "bun:test";
import type { Calls } from "../../src/rpc/calls.ts";
import { faultOf, routeMessage, routePacket } from "../../src/rpc/routes.ts";
import { RpcError } from "../../src/rpc/wire.ts";

type Routed = Parameters<typeof routePacket>[0];
const asked = { callid: 1, api: "a", verb: "v", session: 0, token: 0, values: [] };

describe("a packet without meaning", () => {
  test.each<[string, Partial<Routed> & { readonly type: string }, string]>([
    ["a call", { type: "call", ...asked }, "it calls who exports nothing"],
    [
      "an answer",
      { type: "reply", callid: 1, status: 0, values: [] },
      "it answers who does not call",
    ],
    ["a push", { type: "push", event: 1, values: [] }, "it answers who does not call"],
    ["another version", { type: "offer" }, "the version has been agreed on"],
  ])("%s", (_what, packet, message) => {
    let error: unknown;
    try {
      routePacket(packet as Routed, {});
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(RpcError);
    expect(faultOf(error)).toEqual({ code: 1002, message });
  });
});

test("an exporter that calls is told that it does not", () => {
  const message = { type: "call" } as never;
  expect(() => routeMessage(message, {} as Calls)).toThrow("an exporter does not say call");
});

test("what is no fault of the other end is none", () => {
  expect(faultOf(new TypeError("x"))).toBeUndefined();
});
