/** What clients of an operator's server see of its broker and of boards. */
import { describe, expect, test } from "bun:test";
import { success } from "../../src/api/reply.ts";
import { SIGN_EXPIRY } from "../../src/fleet/presence.ts";
import { disconnects, type Event, failed, officeAt, request, Taker } from "./office.ts";
import { granting, until } from "./speaking.ts";

describe("the broker", () => {
  test("is left once nobody has asked for a minute, and asked for again", async () => {
    await using one = officeAt();
    const { time, broker, look, desk } = one;
    expect([look.ms, look.keeps, broker.connects.length]).toEqual([5000, false, 0]);
    look.run();
    await one.open("b1");
    expect(broker.connects[0]?.username).toBe("op1");
    time.pass(60_000);
    look.run();
    await broker.taken();
    expect(disconnects(broker)).toBe(0);
    await desk.boards(request({}));
    time.pass(60_000);
    look.run();
    time.pass(1);
    look.run();
    await broker.when(() => disconnects(broker) === 1);
    await one.open("b1");
    expect(broker.connects).toHaveLength(2);
    await desk.close();
    expect([look.isCleared(), disconnects(broker)]).toEqual([true, 2]);
    expect(await failed(desk.boards(request({})))).toMatchObject({
      ...{ status: "not-available", message: "the server is shutting down" },
    });
  });

  test("is looked at more often where it is to be left sooner", async () => {
    await using one = officeAt({ options: { idle: 100 } });
    expect(one.look.ms).toBe(100);
  });

  test("is not left while somebody follows, or is answered", async () => {
    await using one = officeAt();
    const { time, broker, look, desk } = one;
    await one.open("b1");
    const client = new Taker();
    await desk.boards(request({ follow: true }, { client }));
    const isLeft = async () => {
      time.pass(60_001);
      look.run();
      // Who has gone does not take two.
      for (let i = 0; i < 2; i++) await broker.taken();
      return disconnects(broker) > 0;
    };
    expect(await isLeft()).toBe(false);
    client.go();
    await desk.boards(request({}));
    const describing = desk.board(request({ board: "b1" }));
    expect(await isLeft()).toBe(false);
    await one.settled(describing);
    const callee = new Taker();
    await desk.call(request({ to: "b1", verb: "boat/look" }, { client: callee }));
    await broker.when(() => broker.at("sb/v1/b1/call/op1/boat/look").length > 0);
    expect(await isLeft()).toBe(false);
    one.out("b1", one.called[0]?.[0] ?? "", 0, success());
    await until(() => callee.of("end").length > 0);
    const called = desk.call(request({ to: "b1", verb: "boat/horn" }));
    await broker.when(() => broker.at("sb/v1/b1/call/op1/boat/horn").length > 0);
    expect(await isLeft()).toBe(false);
    one.out("b1", one.called[1]?.[0] ?? "", 0, success());
    expect(await called).toMatchObject({ summary: { ok: 1 } });
    // From its end on.
    time.pass(60_000);
    look.run();
    await broker.taken();
    expect(disconnects(broker)).toBe(0);
    time.pass(1);
    look.run();
    await broker.when(() => disconnects(broker) > 0);
  });

  test("that is not there is told of, and tried again with the next who asks", async () => {
    let isThere = false;
    await using one = officeAt({
      answer: (packet) =>
        packet.cmd === "connect" && !isThere
          ? { cmd: "connack", sessionPresent: false, reasonCode: 0x87 }
          : granting(packet),
    });
    expect(await failed(one.desk.boards(request({})))).toEqual({
      status: "not-available",
      message: expect.stringMatching(
        /^no connection to the broker of the fleet: .*uthorized/,
      ) as unknown,
    });
    isThere = true;
    await one.open("b1");
    expect(await one.desk.boards(request({}))).toMatchObject({ known: 1, connected: true });
    // Each has asked once at most: nobody goes on where it was given up.
    const connects = one.broker.connects.length;
    await Bun.sleep(20);
    expect(one.broker.connects).toHaveLength(connects);
  });

  test("is given up where the server ends meanwhile", async () => {
    await using one = officeAt();
    const asking = failed(one.desk.boards(request({})));
    await one.broker.when(() => one.broker.subscribes.length > 0);
    await one.desk.close();
    one.time.pass(400);
    expect(await asking).toMatchObject({
      message: "no connection to the broker of the fleet: the server is shutting down",
    });
    expect(disconnects(one.broker)).toBe(1);
  });

  test("that is lost is told to who follows, and to who calls", async () => {
    let [isThere, isBack] = [true, false];
    await using one = officeAt({
      answer: (packet) => {
        if (packet.cmd === "connect" && !isThere) return null;
        // What somebody waits for when it is lost.
        const isAsked =
          packet.cmd === "subscribe" && packet.subscriptions[0]?.topic.endsWith("api/+");
        return isAsked && !isBack ? undefined : granting(packet);
      },
    });
    await one.open("b1");
    const client = new Taker();
    await one.desk.boards(request({ follow: true }, { client }));
    // Somebody is just being answered.
    const before = one.broker.subscribes.length;
    const describing = failed(one.desk.board(request({ board: "b1" })));
    await one.broker.when(() => one.broker.subscribes.length > before);
    isThere = false;
    one.broker.send({ cmd: "disconnect", reasonCode: 0x8b });
    await until(() => client.of("broker").length > 0);
    expect(client.of("broker")[0]).toMatchObject({
      info: "the broker ends the connection: it is shutting down",
    });
    one.broker.cut();
    const lost = {
      status: "not-available",
      message: "the broker of the fleet is not reached: trying again",
    };
    expect(await describing).toEqual(lost);
    for (const asking of [
      () => one.desk.board(request({ board: "b1" })),
      () => one.desk.call(request({ to: "b1", verb: "boat/horn" })),
    ])
      expect(await failed(asking())).toEqual(lost);
    expect(await one.desk.boards(request({}))).toMatchObject({ connected: false, known: 1 });
    isThere = isBack = true;
    await until(() => client.of("broker").some(({ info }) => info === "connected to the broker"));
    expect(one.told.at(-1)).toBe("connected to the broker");
    expect(client.of("broker").at(-1)).toMatchObject({ connected: true });
  });
});

describe("boards", () => {
  test("are listed by name, as many as asked for", async () => {
    await using one = officeAt();
    const { desk, tell } = one;
    const list = (args: object) =>
      desk.boards(request(args)) as Promise<Event & { boards: Event[] }>;
    await one.opened(desk.boards(request({})), () => {
      tell("b3", "offline", { version: "V9", groups: ["quay"], apis: ["boat"] });
      tell("b1", "online", { groups: ["dock", "quay"], apis: ["crane"] }, SIGN_EXPIRY - 90);
      tell("b2", "online", undefined, SIGN_EXPIRY + 5);
      tell("gone", "", { groups: ["x"] });
    });
    const all = await list({});
    // It has been that much and what has passed since.
    expect(all.boards[0]?.["silent"]).toBeGreaterThanOrEqual(90);
    expect(all.boards[0]?.["silent"]).toBeLessThan(150);
    expect(all).toEqual({
      ...{ operator: "op1", connected: true, known: 3, online: 2, groups: ["dock", "quay"] },
      ...{ found: 3, foundOnline: 2 },
      boards: [
        {
          board: "b1",
          status: "online",
          silent: expect.any(Number),
          groups: ["dock", "quay"],
          apis: ["crane"],
        },
        { board: "b2", status: "online", groups: [], apis: [] },
        { board: "b3", status: "offline", version: "V9", groups: ["quay"], apis: ["boat"] },
      ],
    });
    const found = async (args: object) => {
      const { boards, found, foundOnline } = await list(args);
      return [boards.map(({ board }) => board).join(), found, foundOnline];
    };
    expect(await found({ group: "quay" })).toEqual(["b1,b3", 2, 1]);
    expect(await found({ search: "v9" })).toEqual(["b3", 1, 0]);
    expect(await found({ search: "QUAY" })).toEqual(["b1,b3", 2, 1]);
    expect(await found({ search: "crane" })).toEqual(["b1", 1, 1]);
    expect(await found({ search: "b2" })).toEqual(["b2", 1, 1]);
    expect(await found({ limit: 2 })).toEqual(["b1,b2", 3, 2]);
    expect(await found({ after: "b1", limit: 1 })).toEqual(["b2", 3, 2]);
    expect(await found({ after: "b3" })).toEqual(["", 3, 2]);
  });

  test("tell of a thousand groups at most", async () => {
    await using one = officeAt();
    await one.opened(one.desk.boards(request({})), () => {
      for (let board = 0; board < 4; board++) {
        const groups = Array.from({ length: 251 }, (_, i) => `g-${board}-${i}`);
        one.tell(`b${board}`, "online", { groups });
      }
    });
    const { groups } = (await one.desk.boards(request({}))) as { groups: string[] };
    expect(groups).toHaveLength(1000);
  });

  test("are followed by who can take events, until it goes or wants no more", async () => {
    await using one = officeAt();
    const { desk, tell, broker } = one;
    await one.open("b1");
    for (const follow of [true, false])
      expect(await failed(desk.boards(request({ follow })))).toMatchObject({
        ...{ status: "invalid-request", message: "follow: events need a WebSocket connection" },
      });
    const [all, few, gone] = [new Taker(), new Taker(), new Taker()];
    const announced: string[] = [];
    const follows = (event: string) => void announced.push(event);
    await desk.boards(request({ follow: true }, { client: all, follows }));
    await desk.boards(request({ follow: true, search: "b9" }, { client: few }));
    gone.connected = false;
    await desk.boards(request({ follow: true }, { client: gone }));
    await desk.boards(request({}, { client: gone }));
    expect([announced, all.leaving.size, gone.leaving.size]).toEqual([["monitor/fleet"], 1, 0]);
    tell("b2", "online");
    await until(() => all.events.length > 0);
    expect(all.events).toEqual([
      { type: "board", board: "b2", status: "online", silent: 0, groups: [], apis: [] },
    ]);
    // The same with another filter, and one place less when it goes.
    await desk.boards(request({ follow: true, search: "b9" }, { client: all }));
    expect(all.leaving.size).toBe(1);
    tell("b2", "offline");
    tell("b9", "offline");
    await until(() => few.events.length > 0);
    expect([all, few].map(({ events }) => events.at(-1)?.["board"])).toEqual(["b9", "b9"]);
    expect([all.events.length, few.events.length, gone.events.length]).toEqual([2, 1, 0]);
    await desk.boards(request({ follow: false }, { client: few }));
    expect(few.leaving.size).toBe(0);
    all.go();
    expect(all.leaving.size).toBe(0);
    all.connected = true;
    const last = new Taker();
    await desk.boards(request({ follow: true }, { client: last }));
    tell("b9", "online");
    await until(() => last.events.length > 0);
    expect([all.events.length, few.events.length]).toEqual([2, 1]);
    await desk.close();
    expect([last.leaving.size, broker.connects.length]).toEqual([0, 1]);
  });

  test("say what they can do, once for all who ask at a time", async () => {
    await using one = officeAt();
    const { desk, broker, tell } = one;
    await one.opened(desk.boards(request({})), () => {
      tell("b1", "online", { version: "1", apis: ["boat", "odd", "odder"] });
      tell("b2", "offline");
      tell("b3", "", { apis: [] });
    });
    for (const board of ["b4"])
      expect(await failed(desk.board(request({ board })))).toMatchObject({
        ...{ status: "no-item", message: "no board b4 was ever seen" },
      });
    const before = broker.subscribes.length;
    const both = [desk.board(request({ board: "b1" })), desk.board(request({ board: "b1" }))];
    await broker.when(() => broker.subscribes.length > before);
    const full = {
      ...{ name: "horn", info: "i", task: true, confirm: true, arguments: { type: "object" } },
      ...{ privileges: ["p"], sample: [1] },
    };
    const odd = { name: "odd", info: 5, task: 1, confirm: "x", arguments: 5, privileges: "p" };
    const api = (name: string, value: unknown) =>
      broker.publish(`sb/v1/b1/api/${name}`, JSON.stringify(value), { retain: true });
    api("old", {});
    api("boat", { info: "a boat", verbs: [full, { ...odd, sample: {} }, { name: 5 }, 5] });
    api("odd", { info: 5, verbs: 5 });
    api("odder", 5);
    const [first, second] = await Promise.all(both);
    expect(first).toEqual({
      ...{ board: "b1", status: "online", silent: expect.any(Number), version: "1", groups: [] },
      apis: ["boat", "odd", "odder"],
      described: [
        { api: "boat", info: "a boat", verbs: [full, { name: "odd" }] },
        { api: "odd", verbs: [] },
        { api: "odder", verbs: [] },
      ],
    });
    expect([second, broker.subscribes.length]).toEqual([first, before + 1]);
    for (const board of ["b1", "b2", "b3"]) {
      const again = desk.board(request({ board }));
      await broker.when(() =>
        broker.subscribes.some(({ subscriptions: [sub] }) => sub?.topic === `sb/v1/${board}/api/+`),
      );
      expect(await one.settled(again)).toMatchObject({ board, described: [] });
    }
    expect(broker.subscribes).toHaveLength(before + 4);
  });
});
