/** What an end of a connection is told of what has no meaning there. */
import { describe, expect, test } from "bun:test";
import type { Calls } from "../../src/rpc/calls.ts";
import { TooManyValues } from "../../src/json.ts";
import { faultOf, routeMessage, routePacket, sizeOfPacket } from "../../src/rpc/routes.ts";
import { jsonValue } from "../../src/rpc/value.ts";
import { RpcError } from "../../src/rpc/wire.ts";
import type { Message } from "../../src/rpc/wsapi.ts";

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

/** Ends that remember what they were told. */
function ends() {
  const told: unknown[] = [];
  const end = (who: string, names: readonly string[]) =>
    Object.fromEntries(
      names.map((name) => [
        name,
        (...all: readonly unknown[]) => {
          const read = (one: unknown) =>
            typeof one === "function" ? (one as () => unknown)() : one;
          told.push([who, name, ...all.map(read)]);
        },
      ]),
    );
  const exporter = end("exporter", ["name", "forget", "unexpected"]);
  const calls = end("calls", ["reply", "create", "destroy", "subscribe", "unsubscribe", "push"]);
  const call = ({ args, ...rest }: { args: () => unknown }) =>
    told.push(["exporter", "call", { ...rest, args: args() }]);
  return { told, both: { exporter: { ...exporter, call }, calls } as never };
}
const values = [jsonValue('{"a":1}')];

test.each<[Partial<Routed> & { type: string }, unknown]>([
  [
    { type: "call", ...asked, values },
    [
      ...["exporter", "call"],
      { callid: 1, api: "a", verb: "v", session: 0, token: 0, size: 8, args: { a: 1 } },
    ],
  ],
  [{ type: "reply", callid: 2, status: 0, values }, ["calls", "reply", 2, { response: { a: 1 } }]],
  [{ type: "push", event: 3, values }, ["calls", "push", 3, { a: 1 }]],
  [{ type: "push", event: 3, values: [] }, ["calls", "push", 3, null]],
  [{ type: "subscribe", callid: 2, event: 3 }, ["calls", "subscribe", 2, 3]],
  [{ type: "unsubscribe", callid: 2, event: 3 }, ["calls", "unsubscribe", 2, 3]],
  [{ type: "unexpected", event: 3 }, ["exporter", "unexpected", 3]],
  [{ type: "create", kind: "event", id: 3, name: "e" }, ["calls", "create", 3, "e"]],
  [{ type: "create", kind: "session", id: 3, name: "s" }, ["exporter", "name", "session", 3, "s"]],
  [{ type: "create", kind: "token", id: 3, name: "t" }, ["exporter", "name", "token", 3, "t"]],
  [{ type: "create", kind: "type", id: 3, name: "t" }, undefined],
  [{ type: "destroy", kind: "event", id: 3 }, ["calls", "destroy", 3]],
  [{ type: "destroy", kind: "session", id: 3 }, ["exporter", "forget", "session", 3]],
  [{ type: "destroy", kind: "token", id: 3 }, ["exporter", "forget", "token", 3]],
  [{ type: "destroy", kind: "type", id: 3 }, undefined],
  [{ type: "broadcast", name: "e", uuid: "", hop: 1, values: [] }, undefined],
])("the packet %j is for %j", (packet, expected) => {
  const { told, both } = ends();
  routePacket(packet as Routed, both);
  expect(told).toEqual((expected === undefined ? [] : [expected]) as never);
  // Where there is no such end it is nobody's.
  const isNaming = ["create", "destroy", "unexpected"].includes(packet.type);
  if (isNaming) expect(() => routePacket(packet as Routed, {})).not.toThrow();
});

test.each<[Message, unknown]>([
  [
    { type: "reply", callid: 2, error: null, info: null, json: "[1]" },
    ["calls", "reply", 2, { response: [1] }],
  ],
  [{ type: "push", event: 3, json: "[1]" }, ["calls", "push", 3, [1]]],
  [{ type: "push", event: 3, json: null }, ["calls", "push", 3, null]],
  [{ type: "subscribe", callid: 2, event: 3 }, ["calls", "subscribe", 2, 3]],
  [{ type: "unsubscribe", callid: 2, event: 3 }, ["calls", "unsubscribe", 2, 3]],
  [{ type: "create", kind: "event", id: 3, name: "e" }, ["calls", "create", 3, "e"]],
  [{ type: "create", kind: "session", id: 3, name: "s" }, undefined],
  [{ type: "destroy", kind: "event", id: 3 }, ["calls", "destroy", 3]],
  [{ type: "destroy", kind: "token", id: 3 }, undefined],
  [{ type: "description", id: 3, json: "null" }, undefined],
])("the message %j is for %j", (message, expected) => {
  const { told, both } = ends();
  routeMessage(message, (both as { calls: Calls }).calls);
  expect(told).toEqual((expected === undefined ? [] : [expected]) as never);
});

test("too many values break the protocol, and a packet is as long as its values", () => {
  expect(faultOf(new TooManyValues())).toMatchObject({ code: 1002 });
  expect(sizeOfPacket({ type: "push", event: 1, values: [...values, ...values] })).toBe(16);
  expect(sizeOfPacket({ type: "unexpected", event: 1 })).toBe(0);
});
