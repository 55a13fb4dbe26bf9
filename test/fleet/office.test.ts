/** An operator's desk for the clients of its server, at a broker that the test speaks for, at times that it chooses. */
import { describe, expect, spyOn, test } from "bun:test";
import type { IPublishPacket, Packet } from "mqtt-packet";
import type { Client, Request } from "../../src/api/client.ts";
import { success } from "../../src/api/reply.ts";
import type { AfbError } from "../../src/errors.ts";
import { Desk, type DeskOptions } from "../../src/fleet/desk.ts";
import { SIGN_EXPIRY } from "../../src/fleet/presence.ts";
import { clock } from "./clock.ts";
import { fleetFor } from "./simulated.ts";
import { type Answer, granting, speaking } from "./speaking.ts";

type Event = Readonly<Record<string, unknown>>;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const session = { uuid: "s" };
const request = (args: unknown, more: Partial<Request> = {}): Request => ({
  ...{ api: "monitor", verb: "fleet/x", args, session, ...more },
});

/** Who takes events, until it goes. */
class Taker implements Client {
  readonly session = session;
  connected = true;
  readonly backlog = 0;
  readonly events: Event[] = [];
  readonly leaving = new Set<() => void>();
  send(event: string, data: unknown): void {
    expect(event).toBe("monitor/fleet");
    this.events.push(data as Event);
  }
  onClose(gone: () => void): () => void {
    this.leaving.add(gone);
    return () => void this.leaving.delete(gone);
  }
  go(): void {
    this.connected = false;
    for (const gone of [...this.leaving]) gone();
  }
  of(type: string): Event[] {
    return this.events.filter((event) => event["type"] === type);
  }
}

const ok = (response?: unknown) => success(response);

interface How {
  readonly options?: Partial<DeskOptions>;
  /** What a board answers at once. */
  readonly answers?: (board: string, method: string) => unknown;
  readonly answer?: Answer;
}

/** With boards that the broker tells of. */
function at({ options = {}, answers = () => undefined, answer = granting }: How = {}) {
  const time = clock();
  const broker = speaking((packet: Packet) => {
    if (packet.cmd === "publish") queueMicrotask(() => reply(packet));
    return answer(packet);
  });
  const told: string[] = [];
  const called: string[][] = [];
  const [desk, look] = time.making(
    () =>
      new Desk({
        ...{ fleet: fleetFor(broker), operator: "op1", tell: (text) => told.push(text) },
        ...{ may: () => true, ...options },
        called: (_, id, to, method) => called.push([id, to, method]),
      }),
  );
  const out = (board: string, id: string, seq: number, value: unknown, user = {}) =>
    broker.publish(
      `sb/v1/${board}/out/op1/${id}`,
      typeof value === "string" ? value : JSON.stringify(value),
      { properties: { userProperties: { kind: "reply", seq: `${seq}`, ...user } } },
    );
  const boards = new Map<string, object | undefined>();
  function reply({ topic, properties = {} }: IPublishPacket): void {
    const [, , to = "", kind = "", third = "", ...rest] = topic.split("/");
    const isGroup = to === "_group";
    if ((isGroup ? third : kind) !== "call") return;
    const id =
      properties.correlationData?.toString() ?? properties.responseTopic?.split("/").at(-1);
    const method = rest.slice(isGroup ? 1 : 0).join("/");
    for (const board of isGroup ? boards.keys() : [to]) {
      const value = answers(board, method);
      if (value !== undefined) out(board, id ?? "", 0, value);
    }
  }
  const tell = (board: string, status: string, about?: object, left = SIGN_EXPIRY): void => {
    boards.set(board, about);
    const more = { retain: true, qos: 0 } as const;
    if (about) broker.publish(`sb/v1/${board}/about`, JSON.stringify(about), more);
    broker.publish(`sb/v1/${board}/status`, status, {
      ...{ ...more, properties: { messageExpiryInterval: left } },
    });
  };
  /** Once there is a connection, and nothing new: of `working`, which is the first to ask. */
  const opened = async <T>(working: Promise<T>, tells = () => {}): Promise<T> => {
    const before = broker.subscribes.length;
    await broker.when(() => broker.subscribes.length > before);
    tells();
    await Bun.sleep(20);
    return settled(working);
  };
  /** While time goes on. */
  const settled = async <T>(working: Promise<T>): Promise<T> => {
    let isDone = false;
    const done = (): void => void (isDone = true);
    void working.then(done, done);
    for (; !isDone; await Bun.sleep(1)) time.pass(400);
    return working;
  };
  const open = async (...names: string[]) => {
    await opened(desk.boards(request({})), () => {
      for (const name of names) tell(name, "online", { groups: ["dock"], apis: ["boat"] });
    });
  };
  return {
    ...{ time, broker, desk, look, told, called, out, tell, opened, open, settled },
    async [Symbol.asyncDispose]() {
      await settled(desk.close());
      broker[Symbol.dispose]();
      time[Symbol.dispose]();
    },
  };
}
/** Why it fails. */
const failed = async (working: Promise<unknown>): Promise<unknown> =>
  working.then(
    () => undefined,
    ({ status, message }: AfbError) => ({ status, message }),
  );
const until = async (probe: () => boolean): Promise<void> => {
  while (!probe()) await Bun.sleep(1);
};
const disconnects = ({ got }: { readonly got: readonly Packet[] }) =>
  got.filter(({ cmd }) => cmd === "disconnect").length;

describe("the broker", () => {
  test("is left once nobody has asked for a minute, and asked for again", async () => {
    await using one = at();
    const { time, broker, look, desk } = one;
    expect([look.ms, look.keeps, broker.connects.length]).toEqual([5000, false, 0]);
    look.run();
    await one.open("b1");
    expect(broker.connects[0]?.username).toBe("op1");
    time.pass(60_000);
    look.run();
    await turn();
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
    await using one = at({ options: { idle: 100 } });
    expect(one.look.ms).toBe(100);
  });

  test("is not left while somebody follows, or is answered", async () => {
    await using one = at();
    const { time, broker, look, desk } = one;
    await one.open("b1");
    const client = new Taker();
    await desk.boards(request({ follow: true }, { client }));
    const isLeft = async () => {
      time.pass(60_001);
      look.run();
      await turn();
      return disconnects(broker) > 0;
    };
    expect(await isLeft()).toBe(false);
    client.go();
    await desk.boards(request({}));
    const describing = desk.board(request({ board: "b1" }));
    expect(await isLeft()).toBe(false);
    await one.settled(describing);
    const called = desk.call(request({ to: "b1", verb: "boat/horn" }));
    await broker.when(() => broker.at("sb/v1/b1/call/op1/boat/horn").length > 0);
    expect(await isLeft()).toBe(false);
    const [[id = ""] = []] = one.called;
    one.out("b1", id, 0, ok());
    expect(await called).toMatchObject({ summary: { ok: 1 } });
    // From its end on.
    time.pass(60_000);
    look.run();
    await turn();
    expect(disconnects(broker)).toBe(0);
    time.pass(1);
    look.run();
    await broker.when(() => disconnects(broker) > 0);
  });

  test("that is not there is told of, and tried again with the next who asks", async () => {
    let isThere = false;
    await using one = at({
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
    await using one = at();
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
    await using one = at({
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
    await using one = at();
    const { desk, tell } = one;
    const list = (args: object) =>
      desk.boards(request(args)) as Promise<Event & { boards: Event[] }>;
    await one.opened(desk.boards(request({})), () => {
      tell("b3", "offline", { version: "V9", groups: ["quay"], apis: ["boat"] });
      tell("b1", "online", { groups: ["dock", "quay"], apis: ["crane"] }, SIGN_EXPIRY - 90);
      tell("b2", "online", undefined, SIGN_EXPIRY + 5);
      tell("gone", "", { groups: ["x"] });
    });
    expect(await list({})).toEqual({
      ...{ operator: "op1", connected: true, known: 3, online: 2, groups: ["dock", "quay"] },
      ...{ found: 3, foundOnline: 2 },
      boards: [
        { board: "b1", status: "online", silent: 90, groups: ["dock", "quay"], apis: ["crane"] },
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
    await using one = at();
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
    await using one = at();
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
    await using one = at();
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
      ...{ board: "b1", status: "online", silent: 0, version: "1", groups: [] },
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

describe("a call", () => {
  const call = { to: "@dock", verb: "boat/horn" };

  test("is answered at once to who takes events, which come then, and its end", async () => {
    await using one = at({ answers: (board) => (board === "b1" ? ok(5) : undefined) });
    await one.open("b1", "b2");
    one.tell("b3", "offline", { groups: ["dock"] });
    await Bun.sleep(5);
    const client = new Taker();
    const asked = request(call, { client });
    const begun = (await one.desk.call(asked)) as { call: string };
    expect(begun).toEqual({ call: expect.any(String) as string, boards: 3, online: 2 } as never);
    expect([one.called, client.events]).toEqual([[[begun.call, "@dock", "boat/horn"]], []]);
    await until(() => client.of("result").length === 2);
    expect(client.of("result")).toEqual([
      { call: begun.call, type: "result", board: "b3", result: "offline" },
      { call: begun.call, type: "result", board: "b1", result: "ok", response: 5 },
    ]);
    const event = { jtype: "afb-event", event: "boat/horn", data: { x: 1 } };
    one.out("b2", begun.call, 0, ok(), { kind: "accepted" });
    one.out("b2", begun.call, 1, event, { kind: "event" });
    const failed = { ...ok(), request: { status: "denied", info: "y".repeat(5000) } };
    one.out("b2", begun.call, 2, failed);
    await until(() => client.of("end").length > 0);
    expect(client.events.slice(2)).toEqual([
      { call: begun.call, type: "output", board: "b2", event: "boat/horn", data: { x: 1 } },
      { call: begun.call, type: "result", board: "b2", result: "error", info: "y".repeat(4096) },
      { type: "end", call: begun.call, summary: { offline: 1, ok: 1, error: 1 } },
    ]);
    // Nothing of it is left.
    expect(client.leaving.size).toBe(0);
    const ignored = () =>
      one.broker.got.flatMap((packet) =>
        packet.cmd === "unsubscribe" ? packet.unsubscriptions : [],
      );
    await one.broker.when(() => ignored().length > 0);
    expect(ignored()).toEqual([`sb/v1/+/out/op1/${begun.call}`]);
    expect(() => one.desk.stop(request({ call: begun.call }))).toThrow(
      `no call ${begun.call} is under way`,
    );
  });

  test("is answered at its end where that is asked for, or its caller takes no events, or no others", async () => {
    await using one = at({ answers: () => ok("x") });
    await one.open("b1");
    const client = new Taker();
    for (const more of [
      {},
      { client, caller: { via: "events" as const } },
      { client, wait: true },
    ] as (Partial<Request> & { wait?: boolean })[]) {
      const { wait, ...rest } = more;
      const args = { ...call, ...(wait === true && { wait }) };
      expect(await one.desk.call(request(args, rest))).toEqual({
        call: expect.any(String) as string,
        summary: { ok: 1 },
        results: [{ board: "b1", result: "ok", response: "x" }],
      });
    }
    expect(client.events.map(({ type }) => type)).toEqual(["result", "result"]);
    expect(await failed(one.desk.call(request({ ...call, to: "@none" })))).toMatchObject({
      ...{ status: "no-item", message: "no board of this group was ever seen" },
    });
    expect(await failed(one.desk.call(request({ ...call, to: "b9" })))).toMatchObject({
      status: "no-item",
    });
    expect(await failed(one.desk.call(request({ to: "b1" })))).toMatchObject({
      status: "invalid-request",
    });
  });

  test("is one of sixteen at most", async () => {
    await using one = at();
    await one.open("b1");
    const client = new Taker();
    for (let i = 0; i < 16; i++) await one.desk.call(request(call, { client }));
    expect(await failed(one.desk.call(request(call, { client })))).toMatchObject({
      ...{ status: "busy", message: "16 calls to boards are under way: try again" },
    });
    const [[id = ""] = []] = one.called;
    await one.broker.when(
      () => one.broker.at("sb/v1/_group/dock/call/op1/boat/horn").length === 16,
    );
    one.out("b1", id, 0, ok());
    await until(() => client.of("end").length > 0);
    expect(await one.desk.call(request(call, { client }))).toMatchObject({ boards: 1 });
    await until(() => one.broker.at("sb/v1/_group/dock/call/op1/boat/horn").length === 17);
  });

  test("has so many bytes of responses, and of one", async () => {
    const QUARTER = 4 << 20;
    const sizes: Record<string, number> = { b1: QUARTER, b2: QUARTER };
    await using one = at({
      answers: (board) =>
        board === "b3"
          ? ok()
          : sizes[board] === undefined
            ? undefined
            : ok("x".repeat(sizes[board] - 2)),
    });
    await one.open("b1", "b2", "b3", "b4");
    const calling = one.desk.call(request(call)) as Promise<{ results: Event[] }>;
    await until(() => one.called.length > 0);
    const [[id = ""] = []] = one.called;
    await one.broker.when(() => one.broker.at("sb/v1/_group/dock/call/op1/boat/horn").length > 0);
    await Bun.sleep(300);
    one.out("b4", id, 0, ok(5));
    const { results } = await calling;
    expect(
      results.map(({ board, response, cut }) => [board, String(response).length, cut]),
    ).toEqual([
      ["b1", QUARTER - 2, undefined],
      ["b2", QUARTER - 2, undefined],
      ["b3", "undefined".length, undefined],
      ["b4", "undefined".length, true],
    ]);
  });

  test("whose answer is beyond 16 MiB is an error, for none that can be read is left", async () => {
    await using one = at();
    await one.open("b1");
    for (const [more, result] of [
      [0, "ok"],
      [1, "error"],
    ] as const) {
      const calling = one.desk.call(request({ ...call, to: "b1" })) as Promise<{
        results: Event[];
      }>;
      await until(() => one.broker.at("sb/v1/b1/call/op1/boat/horn").length === more + 1);
      const text = JSON.stringify(ok());
      const whole = text.padEnd((16 << 20) + more);
      for (let i = 0; i < 5; i++) {
        const piece =
          i === 4
            ? whole.slice((16 << 20) - 100)
            : whole.slice(i * (4 << 20), Math.min((i + 1) * (4 << 20), (16 << 20) - 100));
        one.out("b1", one.called.at(-1)?.[0] ?? "", i, piece, { kind: i === 4 ? "reply" : "part" });
      }
      expect((await calling).results[0]).toMatchObject({ board: "b1", result });
    }
  });

  test("is stopped by who asks for that, and given up where that takes too long", async () => {
    await using one = at();
    await one.open("b1");
    const client = new Taker();
    const begin = async (more = {}) => {
      const { call: id } = (await one.desk.call(
        request({ ...call, to: "b1", ...more }, { client }),
      )) as {
        call: string;
      };
      const before = one.broker.at("sb/v1/b1/call/op1/boat/horn").length;
      await one.broker.when(() => one.broker.at("sb/v1/b1/call/op1/boat/horn").length > before);
      return id;
    };
    const flows = (id: string) => one.broker.at(`sb/v1/b1/flow/op1/${id}`).map(({ text }) => text);
    const real = globalThis.setTimeout;
    const timers: (() => void)[] = [];
    const stopping = spyOn(globalThis, "setTimeout").mockImplementation(((
      run: () => void,
      ms: number,
    ) => {
      if (ms !== 5000) return real(run, ms);
      timers.push(run);
      return real(() => {}, 1);
    }) as typeof setTimeout);
    try {
      const stopped = await begin();
      one.desk.stop(request({ call: stopped }));
      one.desk.stop(request({ call: stopped }));
      await one.broker.when(() => flows(stopped).length === 2);
      expect([flows(stopped)[0], timers.length, client.of("end").length]).toEqual([
        '{"stop":true}',
        1,
        0,
      ]);
      timers[0]?.();
      await until(() => client.of("end").length === 1);
      expect(client.of("result")[0]).toEqual({
        ...{ call: stopped, type: "result", board: "b1", result: "timeout" },
        info: "it has not ended since it was told to",
      });
      expect(client.of("end")[0]).toEqual({
        ...{ type: "end", call: stopped, summary: { timeout: 1 }, info: "stopped" },
      });
      const left = await begin();
      one.desk.stop(request({ call: left, leave: true }));
      await until(() => client.of("end").length === 2);
      expect([flows(left), timers.length]).toEqual([['{"leave":true}'], 1]);
      expect(client.of("result")[1]).toMatchObject({ info: "nobody waits for it any more" });
      expect(client.of("end")[1]).toMatchObject({ info: "left" });
      // Where the client goes it is stopped, unless it was asked to go on.
      const [alone, detached] = [await begin(), await begin({ detach: true })];
      client.go();
      await until(() => client.of("end").length === 3);
      await one.broker.when(() => flows(alone).length > 0);
      expect([flows(alone), flows(detached)]).toEqual([['{"stop":true}'], ['{"leave":true}']]);
      expect(timers).toHaveLength(2);
    } finally {
      stopping.mockRestore();
    }
  });

  test("whose client has gone before it begins calls nobody", async () => {
    await using one = at();
    await one.open("b1");
    const client = new Taker();
    client.connected = false;
    await one.desk.call(request(call, { client }));
    await until(() => client.of("end").length > 0);
    expect(client.of("end")[0]).toMatchObject({ summary: {}, info: "no board was called" });
    const gone = new AbortController();
    const calling = one.desk.call(request(call, { gone: gone.signal }));
    await one.broker.when(() => one.broker.at("sb/v1/_group/dock/call/op1/boat/horn").length === 1);
    gone.abort();
    await one.broker.when(
      () => one.broker.at(`sb/v1/b1/flow/op1/${one.called[1]?.[0]}`).length > 0,
    );
    one.out("b1", one.called[1]?.[0] ?? "", 0, ok());
    expect(await calling).toMatchObject({ summary: { ok: 1 } });
  });

  test("that cannot be begun ends with why", async () => {
    await using one = at({
      answer: (packet) =>
        packet.cmd === "subscribe" && packet.subscriptions[0]?.topic.includes("/out/")
          ? { cmd: "suback", messageId: packet.messageId ?? 0, granted: [0x87] }
          : granting(packet),
    });
    await one.open("b1");
    const client = new Taker();
    const begun = (await one.desk.call(request(call, { client }))) as { call: string };
    await until(() => client.of("end").length > 0);
    expect(client.events).toEqual([
      {
        ...{ type: "end", call: begun.call, summary: {} },
        info: `the broker refuses sb/v1/+/out/op1/${begun.call}: Subscribe error: Not authorized`,
      },
    ]);
  });

  test("and what is followed end for who may not any more", async () => {
    const asked: string[] = [];
    let may = true;
    await using one = at({
      options: {
        may: ([privilege = ""]) => {
          asked.push(privilege);
          return privilege.endsWith("call") ? may : Promise.resolve(may);
        },
      },
    });
    await one.open("b1");
    const client = new Taker();
    await one.desk.boards(request({ follow: true }, { client }));
    await one.desk.call(request(call, { client }));
    await until(() => one.called.length > 0);
    one.desk.recheck();
    await turn();
    expect([asked, client.leaving.size]).toEqual([
      ["urn:spawnbox:fleet", "urn:spawnbox:fleet:call"],
      2,
    ]);
    may = false;
    one.desk.recheck();
    await turn();
    expect(client.leaving.size).toBe(1);
    one.out("b1", one.called[0]?.[0] ?? "", 0, ok());
    await until(() => client.of("end").length > 0);
    expect(client.of("end")[0]).toMatchObject({ info: "its caller may not any more" });
    one.tell("b1", "offline");
    await one.desk.boards(request({}));
    await Bun.sleep(5);
    expect(client.of("board")).toEqual([]);
  });

  test("has two seconds to end where the server ends", async () => {
    await using one = at();
    await one.open("b1");
    const client = new Taker();
    await one.desk.call(request(call, { client }));
    await one.broker.when(() => one.broker.at("sb/v1/_group/dock/call/op1/boat/horn").length > 0);
    let isClosed = false;
    const closing = one.desk.close().then(() => (isClosed = true));
    one.time.pass(1999);
    await Bun.sleep(30);
    expect([isClosed, client.of("end").length]).toEqual([false, 0]);
    one.time.pass(1);
    await closing;
    expect(client.of("result")[0]).toMatchObject({ info: "the server has ended" });
    expect(client.of("end")[0]).toMatchObject({
      ...{ summary: { timeout: 1 }, info: "the server has ended" },
    });
  });
});
