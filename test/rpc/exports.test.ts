/** What one importer is served with, over a connection that does as the test wants: numbers, bounds, order, and its end. */
import { describe, expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { type Reply, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { type Call, Exporter, type ExporterOptions, type Speaker } from "../../src/rpc/exporter.ts";
import { localApi } from "../../src/rpc/local-api.ts";
import { RpcError } from "../../src/rpc/wire.ts";
import { Sessions } from "../../src/server/session.ts";
import { turn } from "../api/listener.ts";
import { TestRegistry } from "../server/harness.ts";

class Registry extends TestRegistry {
  readonly asked: Request[] = [];
  answer: (request: Request) => Promise<Reply> | Reply = () => success();

  override async call(request: Request): Promise<Reply> {
    this.asked.push(request);
    return this.answer(request);
  }
}

function exporting(more: Partial<ExporterOptions> = {}, speaks: Partial<Speaker> = {}) {
  const said: string[] = [];
  const link = {
    ...{ open: true, empty: true, backlog: 7, heard: 5 as number | undefined, charged: 0 },
    holds: [] as boolean[],
    send: (bytes: Buffer): void => void said.push(bytes.toString()),
    hold: (held: boolean): void => void link.holds.push(held),
    charge: (bytes: number): void => void (link.charged += bytes),
  };
  const words = (...all: readonly unknown[]): Buffer => Buffer.from(all.join(" "));
  const speaker: Speaker = {
    reply: (callid, { request: { status, info }, response }) =>
      response === "too long"
        ? undefined
        : words("reply", callid, status, info ?? JSON.stringify(response) ?? "-"),
    create: (event, name) => words("create", event, name),
    subscribe: (callid, event) => words("subscribe", callid, event),
    push: (event, data) =>
      data === "too long" ? undefined : words("push", event, JSON.stringify(data)),
    destroy: (event) => words("destroy", event),
    ...{ most: 99, advice: "say less" },
    ...speaks,
  };
  const registry = new Registry();
  const exporter = new Exporter(
    {
      ...{ registry, sessions: new Sessions(16), exported: [{ local: "t", remote: "t" }] },
      ...{ from: { peer: "p", connection: {} }, peer: undefined, ...more },
    },
    speaker,
  );
  exporter.attach(link);
  const call = (callid: number, asked: Partial<Call> = {}): void =>
    exporter.call({
      ...{ callid, api: "t", verb: "v", session: 0, token: 0, size: 10, args: () => callid },
      ...asked,
    });
  return { exporter, link, said, registry, call };
}

describe("a call", () => {
  test("is asked as it came, and charged until it has its reply", async () => {
    const certificate = { names: ["CN:x"], until: 1 };
    const { link, said, registry, call } = exporting({ address: "::1", certificate });
    call(3);
    expect(link.charged).toBe(10);
    const [asked] = registry.asked;
    expect(asked).toMatchObject({
      ...{ api: "t", verb: "v", args: 3, from: { peer: "p" } },
      caller: { address: "::1", via: "binder", certificate },
    });
    expect(asked?.client?.backlog).toBe(7);
    await turn();
    expect([said, link.charged, link.holds]).toEqual([["reply 3 success -"], 0, []] as never);
  });

  test("has the session and token of its connection where it names none, and only usable ones", async () => {
    const { registry, call, exporter } = exporting({ credentials: { uuid: "U", token: "T" } });
    exporter.name("session", 1, "mine");
    exporter.name("session", 2, "no uuid");
    exporter.name("session", 3, "x".repeat(64));
    exporter.name("session", 4, "x".repeat(65));
    exporter.name("token", 1, "other");
    for (const [session, token] of [
      [0, 0],
      [1, 1],
      [2, 0],
      [3, 0],
      [4, 0],
      [1, 0],
    ] as const)
      call(1, { session, token });
    const uuids = registry.asked.map((one) => one.session.uuid);
    expect(uuids.toSpliced(2, 1).toSpliced(3, 1)).toEqual(["U", "mine", "x".repeat(64), "mine"]);
    for (const at of [2, 4]) expect(uuids[at]).toMatch(/^[-0-9a-f]{36}$/);
    expect(registry.asked.map(({ caller }) => caller?.token)).toEqual([
      ...["T", "other", "T", "T", "T", "T"],
    ]);
    expect(registry.asked[1]?.client).toBe(registry.asked[5]?.client as never);
  });

  test.each<[string, Partial<Call>, string]>([
    ["a session", { session: 9 }, "session 9 was never told on this connection"],
    ["a token", { token: 9 }, "token 9 was never told on this connection"],
    [
      "an API",
      { api: "x".repeat(81) },
      `the API "${"x".repeat(80)}" is not exported here; here are t`,
    ],
    [
      "arguments",
      { args: () => JSON.parse("{") as unknown },
      "the arguments are not JSON: JSON Parse error: Expected '}'",
    ],
    [
      "who calls",
      {
        caller: () => {
          throw new AfbError("forbidden", "nobody");
        },
      },
      "nobody",
    ],
    [
      "who calls, later",
      { caller: () => Promise.reject(new AfbError("forbidden", "nobody")) },
      "nobody",
    ],
  ])("that names what there is not is told so: %s", async (_, asked, info) => {
    const { link, said, registry, call } = exporting();
    call(1, asked);
    await turn();
    expect(said).toHaveLength(1);
    expect(said[0]).toEndWith(info);
    expect([registry.asked.length, link.charged]).toEqual([0, 0]);
  });

  test("that breaks the protocol is not answered", () => {
    const { said, call } = exporting();
    const args = (): never => {
      throw new RpcError("torn");
    };
    expect(() => call(1, { args })).toThrow("torn");
    expect(said).toEqual([]);
  });

  test("may be on behalf of others", async () => {
    const { registry, call } = exporting();
    call(1, { caller: () => ({ token: "theirs" }) });
    call(2, { caller: async (session) => ({ token: session.uuid }) });
    await turn();
    const [first, second] = registry.asked;
    expect([first?.caller, second?.caller]).toEqual([
      ...[{ token: "theirs" }, { token: second?.session.uuid ?? "" }],
    ]);
  });

  test("is not read any more from 1024 on, until only 512 are left", async () => {
    const { registry, call, link } = exporting();
    const gates: ((reply: Reply) => void)[] = [];
    registry.answer = () => new Promise((resolve) => gates.push(resolve));
    for (let i = 1; i <= 1023; i++) call(i);
    expect([link.holds, link.charged]).toEqual([[], 10_230] as never);
    call(1024);
    expect(link.holds).toEqual([true]);
    for (const gate of gates.splice(0, 511)) gate(success());
    await turn();
    expect(link.holds).toEqual([true]);
    gates.pop()?.(success());
    await turn();
    expect(link.holds).toEqual([true, false]);
  });

  test("whose reply is too long, or cannot be told, is answered all the same", async () => {
    const { registry, call, said } = exporting();
    registry.answer = () => success("too long");
    call(1);
    await turn();
    expect(said).toEqual([
      "reply 1 not-available the reply has more than the 99 bytes that this protocol carries: say less",
    ]);
    registry.answer = () => Promise.reject(new AfbError("forbidden", "not you"));
    call(2);
    await turn();
    expect(said[1]).toBe("reply 2 forbidden not you");
    const odd = exporting({}, {});
    odd.registry.answer = () => success({ toJSON: () => JSON.parse("{") as unknown });
    odd.call(3);
    await turn();
    expect(odd.said).toHaveLength(1);
    expect(odd.said[0]).toStartWith("reply 3 internal-error the reply: ");
  });
});

describe("an event", () => {
  /** With one call that is not answered. */
  function followed(callid = 1, session = 0) {
    const made = exporting();
    made.exporter.name("session", 1, "A");
    made.exporter.name("session", 2, "B");
    const gate = Promise.withResolvers<Reply>();
    made.registry.answer = () => gate.promise;
    made.call(callid, { session });
    const [asked] = made.registry.asked;
    return { ...made, gate, asked, client: asked?.client };
  }

  test("is announced once, subscribed to by each call once, and pushed", async () => {
    const { asked, client, said, gate, call, registry } = followed();
    asked?.follows?.("t/e");
    asked?.follows?.("t/e");
    expect(said).toEqual(["create 1 t/e", "subscribe 1 1"]);
    void client?.send("t/e", { n: 1 });
    void client?.send("t/other", { n: 2 });
    expect(said.slice(2)).toEqual(['push 1 {"n":1}']);
    call(2);
    registry.asked[1]?.follows?.("t/e");
    registry.asked[1]?.follows?.("t/f");
    expect(said.slice(3)).toEqual(["subscribe 2 1", "create 2 t/f", "subscribe 2 2"]);
    gate.resolve(success());
    await turn();
    // Behind its reply nobody takes it.
    asked?.follows?.("t/g");
    expect(said.slice(6)).toEqual(["reply 1 success -", "reply 2 success -"]);
  });

  test("that is too long is told by its size; what is too long even then is not", () => {
    const { asked, client, said } = followed();
    asked?.follows?.("t/e");
    void client?.send("t/e", "too long");
    const info = "an event has more than the 99 bytes that this protocol carries: say less";
    expect(said[2]).toBe(
      `push 1 ${JSON.stringify({ type: "overflow", events: 1, bytes: 10, info })}`,
    );
    const tiny = exporting({}, { push: () => undefined });
    tiny.registry.answer = () => new Promise(() => {});
    tiny.call(1);
    tiny.registry.asked[0]?.follows?.("t/e");
    void tiny.registry.asked[0]?.client?.send("t/e", { pid: 4 });
    expect(tiny.said).toHaveLength(2);
  });

  test("of a task that is too long is told with its pid", () => {
    const pushed: unknown[] = [];
    const push = (_: number, data: unknown): undefined => void pushed.push(data);
    const { registry, call } = exporting({}, { push });
    registry.answer = () => new Promise(() => {});
    call(1);
    registry.asked[0]?.follows?.("t/e");
    for (const data of [{ pid: 4 }, { n: 4 }, [4], null, "text"])
      void registry.asked[0]?.client?.send("t/e", data);
    expect(pushed.filter((_, i) => i % 2)).toMatchObject([
      ...[{ type: "overflow", pid: 4, bytes: 9 }, { bytes: 7 }, { bytes: 3 }],
      ...[{ bytes: 4 }, { bytes: 6 }],
    ]);
    expect(pushed.map((one) => typeof one === "object" && one !== null && "pid" in one)).toEqual(
      Array.from({ length: 10 }, (_, i) => i < 2),
    );
  });

  test("nobody there listens to any more is destroyed, and announced anew where somebody does", () => {
    const { asked, client, said, exporter, call, registry } = followed();
    asked?.follows?.("t/e");
    exporter.unexpected(1);
    exporter.unexpected(1);
    expect(said.slice(2)).toEqual(["destroy 1"]);
    void client?.send("t/e", { n: 1 });
    expect(said).toHaveLength(3);
    call(2);
    registry.asked[1]?.follows?.("t/e");
    expect(said.slice(3)).toEqual(["create 2 t/e", "subscribe 2 2"]);
  });

  test("goes with its session, whose clients are gone then", () => {
    const { asked, client, said, exporter, call, registry } = followed(1, 1);
    let gone = 0;
    client?.onClose(() => gone++);
    asked?.follows?.("t/e");
    asked?.follows?.("t/f");
    call(2, { session: 2 });
    registry.asked[1]?.follows?.("t/e");
    exporter.forget("session", 7);
    exporter.forget("token", 1);
    // The same name is no other session.
    exporter.name("session", 1, "A");
    expect([said.length, gone, client?.connected]).toEqual([6, 0, true]);
    exporter.name("session", 1, "C");
    expect(said.slice(6)).toEqual(["destroy 1", "destroy 2"]);
    expect([gone, client?.connected]).toEqual([1, false]);
    void client?.send("t/e", 1);
    exporter.unexpected(1);
    expect(said).toHaveLength(8);
    exporter.forget("session", 2);
    expect(said.slice(8)).toEqual(["destroy 3"]);
    expect(() => call(3, { session: 2 })).not.toThrow();
    expect(said[9]).toContain("session 2 was never told");
  });

  test("there are as many of as there are numbers", () => {
    const { asked, said, exporter } = followed();
    for (let i = 1; i <= 0xffff + 2; i++) asked?.follows?.(`t/${i}`);
    expect(said.slice(-2)).toEqual(["create 65535 t/65535", "subscribe 1 65535"]);
    exporter.unexpected(77);
    asked?.follows?.("t/more");
    expect(said.slice(-2)).toEqual(["create 77 t/more", "subscribe 1 77"]);
  });
});

describe("a connection", () => {
  test("is idle while nothing is asked, sent or followed; since it was heard of last", async () => {
    const { exporter, call, link, registry } = exporting();
    expect(exporter.idleSince).toBe(5);
    link.empty = false;
    expect(exporter.idleSince).toBeUndefined();
    link.empty = true;
    const gate = Promise.withResolvers<Reply>();
    registry.answer = () => gate.promise;
    call(1);
    expect(exporter.idleSince).toBeUndefined();
    gate.resolve(success());
    await turn();
    expect(exporter.idleSince).toBe(5);
    const [client] = registry.asked.map((one) => one.client);
    const once = client?.onClose(() => {}, false);
    expect(exporter.idleSince).toBe(5);
    const forget = client?.onClose(() => {});
    expect(exporter.idleSince).toBeUndefined();
    once?.();
    once?.();
    expect(exporter.idleSince).toBeUndefined();
    forget?.();
    forget?.();
    expect(exporter.idleSince).toBe(5);
    client?.onClose(() => {});
    expect(exporter.idleSince).toBeUndefined();
    const before = new Exporter(exporter.options, exporter.speaker);
    expect([before.idleSince, before.connected, before.backlog]).toEqual([
      ...[undefined, false, 0],
    ] as never);
  });

  test("that has gone is told to all, and nothing is left of its events", () => {
    const { exporter, call, link, registry, said } = exporting();
    registry.answer = () => new Promise(() => {});
    call(1);
    const [asked] = registry.asked;
    asked?.follows?.("t/e");
    let gone = 0;
    asked?.client?.onClose(() => gone++);
    link.open = false;
    exporter.gone();
    exporter.unexpected(1);
    void asked?.client?.send("t/e", 1);
    expect([gone, said.length, asked?.client?.connected]).toEqual([1, 2, false]);
    exporter.gone();
    expect(gone).toBe(1);
  });

  test("may name so much, and what it takes back does not count", () => {
    const name = "x".repeat(1024 - 128);
    const { exporter } = exporting();
    for (let round = 0; round < 2; round++) {
      for (let id = 1; id <= 1024; id++) exporter.name(id % 2 ? "session" : "token", id, name);
      for (let id = 1; id <= 1024; id++) exporter.name(id % 2 ? "session" : "token", id, name);
      for (let id = 1; id <= 1024; id++) exporter.forget(id % 2 ? "session" : "token", id);
    }
    // Besides, as much as is left of what all have together.
    const all = 32 << 20;
    let named = 0;
    const more = (): void => {
      for (let id = 1; ; id++) {
        exporter.name("token", id, name);
        named += 1024;
      }
    };
    expect(more).toThrow("it has named more sessions and tokens than there is room for");
    // Some of the others here may still have theirs.
    expect(named).toBeWithin(all / 2 - 4096, all / 2 + 1);
    exporter.gone();
  });
});

test.each([
  ["t", "t", "t", "t"],
  ["T", "t", "t", "t"],
  [undefined, "t", "t", "t"],
  ["", "t", "t", "t"],
  ["x", "t", "t", undefined],
  ["x", "t", "*", "t"],
  ["x", "*", "*", "x"],
  [undefined, "*", "*", undefined],
  [undefined, "t", undefined, "t"],
  ["t", "t", undefined, undefined],
])("%p, of %p shown as %p, is %p", (asked, local, remote, expected) => {
  expect(localApi([{ local, remote }], asked)).toBe(expected as never);
});

test("where none is named of several it is the one without a name, and by its name the one that has it", () => {
  const both = [
    { local: "a", remote: "x" },
    { local: "b", remote: undefined },
    { local: "c", remote: "*" },
  ];
  const asked = [undefined, "", "X", "y"];
  expect(asked.map((one) => localApi(both, one))).toEqual(["b", "b", "a", "c"]);
  expect(localApi(both.toSpliced(1, 1), undefined)).toBeUndefined();
});
