/** The calls that come to a board, from the first to the last word of each. */
import { describe, expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { success } from "../../src/api/reply.ts";
import { boardAt, infoOf, out, statusOf, TASK, turn } from "./board.ts";
import type { Said } from "./speaking.ts";

describe("a call", () => {
  test("is answered where it was asked to, for a minute", async () => {
    await using one = boardAt({ answering: () => success("x".repeat(70 << 10)) });
    await one.joined();
    const correlationData = Buffer.from("c");
    const userProperties = { token: "t" };
    one.call("a", { properties: { correlationData, userProperties } });
    const [part, reply] = await one.said("a");
    expect(part).toMatchObject({ kind: "part", seq: "0", retain: false });
    expect(part?.properties).toEqual({
      ...{ correlationData, messageExpiryInterval: 60 },
      userProperties: Object.assign(Object.create(null), { kind: "part", seq: "0" }) as object,
    } as never);
    expect(reply?.properties).toMatchObject({
      ...{ correlationData, messageExpiryInterval: 60, contentType: "application/json" },
      userProperties: { kind: "reply", seq: "1" },
    });
    expect(one.requests[0]).toMatchObject({
      ...{ api: "boat", verb: "horn", session: { uuid: "mqtt.op1" } },
      ...{ caller: { operator: "op1", via: "mqtt", token: "t" }, from: { peer: "mqtt:op1" } },
    });
    one.call("b");
    await one.said();
    expect(one.requests[1]?.caller).toEqual({ operator: "op1", via: "mqtt" });
    expect(one.requests[1]?.session).toBe(one.requests[0]?.session as never);
  });

  test("whose events come in one message says that they are a line each", async () => {
    await using one = boardAt({ answering: () => TASK });
    await one.joined();
    one.call("a");
    await one.said();
    const { client } = one.requests[0] as Required<Request>;
    const told = (stdout: string) =>
      void client.send("boat/horn", { type: "data", pid: 7, stdout });
    told("alone");
    await one.said();
    told("one");
    told("two");
    const [, alone, both] = await one.said("a");
    expect([alone, both].map((said) => said?.properties.contentType)).toEqual([
      "application/json",
      "application/x-ndjson",
    ]);
    expect(both?.text.split("\n").map((line) => typeof JSON.parse(line))).toEqual([
      "object",
      "object",
    ]);
  });

  test("that is refused is answered and told, with who it was", async () => {
    await using one = boardAt({
      options: { knows: (name) => name !== "op2", named: ({ token }) => token && `of ${token}` },
    });
    await one.joined();
    one.call("a", { operator: "op2" });
    one.call("b", { payload: "{" });
    one.call("c", { payload: "{", properties: { userProperties: { token: "t" } } });
    await one.said();
    const [forbidden] = one.broker.at(out("a", "op2"));
    expect([forbidden?.kind, forbidden?.seq, forbidden?.properties.userProperties]).toMatchObject([
      ...["reply", "0"],
      { refused: "true" },
    ]);
    expect(forbidden && infoOf(forbidden)).toBe(
      'this board knows no operator op2: its access file grants by "mqtt"',
    );
    expect(one.refused).toMatchObject([
      {
        ...{ api: "boat", verb: "horn", action: "start", status: "forbidden", hidden: true },
        caller: { operator: "op2", via: "mqtt" },
      },
      { status: "invalid-request", info: expect.stringContaining("not JSON") as unknown },
      { status: "invalid-request" },
    ]);
    expect(one.refused[0]?.time).toBeWithin(Date.now() - 30_000, Date.now() + 1);
    expect(one.requests).toEqual([]);
  });

  test("of a button is told, and not answered", async () => {
    await using one = boardAt({ fleet: { homeassistant: { operator: "ha", prefix: "h" } } });
    await one.joined();
    const before = one.broker.publishes.length;
    for (const payload of ["{", "{}"])
      one.call("", { operator: "ha", payload, more: { qos: 0, properties: {} } });
    await one.said();
    expect([one.refused.length, one.requests.length]).toEqual([1, 1]);
    expect(one.broker.publishes.slice(before).map(({ topic }) => topic)).toEqual([out("mark-1")]);
  });

  test("comes again: it is not run again, and answered as far as that is known", async () => {
    const texts = ["first", "x".repeat(16 << 10)];
    await using one = boardAt({ answering: () => success(texts.shift() ?? "more") });
    await one.joined();
    one.call("a");
    one.call("long");
    const [first] = await one.said("a");
    one.call("a", { payload: "5" });
    expect(one.told.at(-1)).toBe("fleet: ignored: two calls of op1 with the same id");
    one.call("a");
    one.call("long");
    const [, again] = await one.said("a");
    expect([again?.text, again?.seq, again?.properties.userProperties]).toMatchObject([
      ...[first?.text, "0"],
      { kind: "reply", late: "true" },
    ]);
    const [, forgotten] = await one.said("long");
    expect([
      forgotten?.seq,
      forgotten && statusOf(forgotten),
      forgotten && infoOf(forgotten),
    ]).toEqual([...["0", "bad-state", "this call was answered before, and is not run again"]]);
    expect(one.requests).toHaveLength(2);
    // What was confirmed is known for a minute after it has expired.
    one.flow("a", { seq: 0 });
    one.time.pass(79_999);
    one.look.run();
    one.call("a");
    await one.said();
    expect(one.requests).toHaveLength(2);
    one.time.pass(1);
    one.look.run();
    one.call("a");
    await one.said();
    expect(one.requests).toHaveLength(3);
  });

  test("comes again while it is under way: what was not confirmed is sent again", async () => {
    await using one = boardAt({ answering: () => TASK });
    await one.joined();
    one.call("a");
    await one.said();
    one.call("a");
    expect(await one.said("a")).toHaveLength(1);
    one.time.pass(1000);
    one.call("a");
    expect((await one.said("a")).map(({ kind }) => kind)).toEqual(["accepted", "accepted"]);
    expect(one.requests).toHaveLength(1);
  });

  test("that a broker delivers once more may have been done before this server was there", async () => {
    await using one = boardAt({ fleet: { expiry: 30 } });
    await one.joined();
    const { registry } = one.board.options;
    const [{ verbs = [], ...api } = {}] = registry.describe();
    const tools = [
      { readonly: true },
      { readonly: true, idempotent: false },
      { idempotent: true, readonly: false },
      {},
    ];
    registry.describe = () =>
      [
        { api: "other", verbs: [] },
        {
          ...api,
          verbs: [...verbs, ...tools.map((tool, i) => ({ ...verbs[0], name: `t${i}`, tool }))],
        },
      ] as never;
    const again = (id: string, verb: string) => one.call(id, { verb, more: { dup: true } });
    for (const verb of ["t0", "T1", "t2", "T3", "horn", "LOOK", "none"]) again(verb, verb);
    one.message("sb/v1/b1/call/op1/nowhere/t0", "", {
      dup: true,
      properties: { responseTopic: out("nowhere"), messageExpiryInterval: 20 },
    });
    await one.said();
    expect(one.requests.map(({ verb }) => verb)).toEqual(["t0", "t2", "LOOK"]);
    const [refused] = one.broker.at(out("horn"));
    expect(refused && [statusOf(refused), infoOf(refused)]).toEqual([
      "bad-state",
      "the board has started anew since this call was first sent: it may have been done",
    ]);
    one.time.pass(29_999);
    again("before", "horn");
    one.time.pass(1);
    again("after", "horn");
    await one.said();
    expect(one.requests.slice(3).map(({ verb }) => verb)).toEqual(["horn"]);
    expect(one.broker.at(out("after"))[0]?.properties.userProperties).not.toHaveProperty("refused");
  });

  test("finds room for so many of each operator, and of all", async () => {
    await using one = boardAt({ answering: () => new Promise(() => {}) });
    await one.joined();
    for (const operator of ["op1", "op2", "op3", "op4"])
      for (let i = 0; i < 65; i++) one.call(`${i}`, { operator });
    one.call("0", { operator: "op5" });
    await one.said();
    expect(one.requests).toHaveLength(256);
    for (const [id, operator] of [
      ["64", "op1"],
      ["64", "op4"],
      ["0", "op5"],
    ] as const) {
      const [busy] = one.broker.at(out(id, operator));
      expect(busy && [statusOf(busy), infoOf(busy)]).toEqual([
        "busy",
        "too many calls are open on this board: try again",
      ]);
    }
  });

  test("whose answer is refused at once fills no memory", async () => {
    await using one = boardAt({ options: { knows: () => false } });
    for (let i = 0; i < 1010; i++) one.call(`${i}`);
    expect(one.refused).toHaveLength(1010);
    await one.joined();
    expect(one.broker.publishes.filter(({ topic }) => topic.startsWith(out("")))).toHaveLength(
      1001,
    );
  });

  test("that is over is there until all has arrived, or nobody asks for it", async () => {
    await using one = boardAt();
    await one.joined();
    const isKept = async (id: string) => {
      const before = (await one.said(id)).length;
      one.flow(id, { from: 0 });
      const late = (await one.said(id)).slice(before);
      return late.map(({ properties }) => properties.userProperties?.["late"] === undefined);
    };
    for (let i = 0; i < 257; i++) {
      one.call(`${i}`);
      await turn();
    }
    one.time.pass(1000);
    // Only the last answer is kept of the first.
    expect([await isKept("0"), await isKept("1")]).toEqual([[false], [true]]);
    one.flow("2", { seq: 0 });
    one.look.run();
    expect(await isKept("2")).toEqual([false]);
    // Nothing was heard of its operator since it has begun.
    one.time.pass(29_000);
    one.look.run();
    expect(await isKept("3")).toEqual([true]);
    one.time.pass(1);
    one.look.run();
    expect(await isKept("4")).toEqual([false]);
    one.time.pass(999);
    expect(await isKept("3")).toEqual([true]);
  });
});

describe("a call under way", () => {
  const open = async (one: ReturnType<typeof boardAt>, id: string, properties = {}) => {
    await one.joined();
    one.call(id, { properties });
    await one.said();
    return one.requests[0]?.client as Required<Request>["client"];
  };
  /** A millisecond later than this, ms, and no sooner. */
  const endsAfter = (
    one: ReturnType<typeof boardAt>,
    client: { readonly connected: boolean },
    ms: number,
  ) => {
    one.time.pass(ms);
    one.look.run();
    expect(client.connected).toBe(true);
    one.time.pass(1);
    one.look.run();
    expect(client.connected).toBe(false);
  };
  const toldOf = async (one: ReturnType<typeof boardAt>) => {
    const reply = (await one.said("a")).at(-1);
    return reply && [statusOf(reply), infoOf(reply)];
  };

  test("ends when its time is over", async () => {
    await using one = boardAt({ answering: () => TASK });
    const client = await open(one, "a", { userProperties: { timeout: "5000" } });
    endsAfter(one, client, 5000);
    expect(await toldOf(one)).toEqual(["timeout", "not over after 5000 ms"]);
  });

  test("is not missed by who says nothing, but by who has said something, half a minute later", async () => {
    await using one = boardAt({ answering: () => TASK });
    const client = await open(one, "a");
    one.time.pass(3_600_000);
    one.look.run();
    expect(client.connected).toBe(true);
    one.flow("a", { seq: 0 });
    // Whose name is taken by another is not who is meant.
    one.message("sb/v1/b1/flow/op2/a", '{"leave":true}');
    endsAfter(one, client, 30_000);
    expect(await toldOf(one)).toEqual([
      "disconnected",
      "nothing was heard of the operator any more",
    ]);
  });

  test("is missed by a task that waits, since it does", async () => {
    await using one = boardAt({ answering: () => TASK });
    const client = await open(one, "a", { userProperties: { window: "1" } });
    one.time.pass(100_000);
    void client.send("boat/horn", { type: "data", pid: 7 });
    await turn();
    endsAfter(one, client, 30_000);
  });

  test("waits for its operator no longer than there is a connection", async () => {
    await using one = boardAt({ answering: () => TASK });
    const client = await open(one, "a");
    one.flow("a", { seq: 0 });
    one.broker.cut();
    while (one.board.isJoined) await turn();
    one.time.pass(40_000);
    one.look.run();
    expect(client.connected).toBe(true);
    await one.joined();
    endsAfter(one, client, 30_000);
  });

  test("ends where its operator may not call any more, and its task goes on as asked", async () => {
    let knows = true;
    const { options } = { options: { knows: () => knows } };
    for (const [detach, stops] of [
      ["true", 0],
      ["false", 1],
    ] as const) {
      knows = true;
      await using one = boardAt({ options, answering: () => TASK });
      await open(one, "a", { userProperties: { detach } });
      one.board.refresh();
      expect(one.requests[0]?.client?.connected).toBe(true);
      knows = false;
      one.board.refresh();
      await one.broker.when(() => one.broker.at(out("a")).length > 1);
      const reply = one.broker.at(out("a")).at(-1);
      expect(reply && [statusOf(reply), infoOf(reply)]).toEqual([
        "forbidden",
        "this operator may not call here any more",
      ]);
      expect(one.requests).toHaveLength(1 + stops);
    }
  });

  test("ends with the server, whose task is not the operator's to end by then; more are refused", async () => {
    await using one = boardAt({ answering: () => TASK });
    await open(one, "a", { userProperties: { detach: "false" } });
    const closing = one.board.close();
    one.call("b");
    await closing;
    const last = ["a", "b"].map((id) => one.broker.at(out(id)).at(-1) as Said);
    expect(last.map((said) => [statusOf(said), infoOf(said)])).toEqual([
      ["disconnected", "the server has ended"],
      ["not-available", "the server is shutting down"],
    ]);
    expect(one.requests).toHaveLength(1);
  });
});

test("sessions of operators are as many as there may be", async () => {
  await using one = boardAt();
  await one.joined();
  for (let i = 0; i < 1024; i++) {
    one.call("x", { operator: `o${i}` });
    if (i % 200 === 0) await one.said();
  }
  one.call("y", { operator: "o0" });
  await one.said();
  // The one that was here last before.
  one.call("x", { operator: "o1024" });
  for (const operator of ["o0", "o2", "o1"]) one.call("z", { operator });
  await one.said();
  const sessions = (name: string) =>
    new Set(one.requests.filter(({ caller }) => caller?.operator === name).map((r) => r.session));
  expect(["o0", "o1", "o2"].map((name) => sessions(name).size)).toEqual([1, 2, 1]);
});
