/** Calls to boards for clients of an operator's server, and what ends them. */
import { describe, expect, spyOn, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { success } from "../../src/api/reply.ts";
import { type Event, failed, officeAt, request, Taker, turn } from "./office.ts";
import { granting, until } from "./speaking.ts";

describe("a call", () => {
  const call = { to: "@dock", verb: "boat/horn" };

  test("is answered at once to who takes events, which come then, and its end", async () => {
    await using one = officeAt({ answers: (board) => (board === "b1" ? success(5) : undefined) });
    await one.open("b1", "b2");
    one.tell("b3", "offline", { groups: ["dock"] });
    await one.broker.taken();
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
    one.out("b2", begun.call, 0, success(), { kind: "accepted" });
    one.out("b2", begun.call, 1, event, { kind: "event" });
    const failed = { ...success(), request: { status: "denied", info: "y".repeat(5000) } };
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
    await using one = officeAt({ answers: () => success("x") });
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
    await using one = officeAt();
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
    one.out("b1", id, 0, success());
    await until(() => client.of("end").length > 0);
    expect(await one.desk.call(request(call, { client }))).toMatchObject({ boards: 1 });
    await until(() => one.broker.at("sb/v1/_group/dock/call/op1/boat/horn").length === 17);
  });

  test("has so many bytes of responses, and of one", async () => {
    const QUARTER = 4 << 20;
    const sizes: Record<string, number> = { b1: QUARTER, b2: QUARTER };
    await using one = officeAt({
      answers: (board) =>
        board === "b3"
          ? success()
          : sizes[board] === undefined
            ? undefined
            : success("x".repeat(sizes[board] - 2)),
    });
    await one.open("b1", "b2", "b3", "b4");
    const client = new Taker();
    const calling = one.desk.call(request({ ...call, wait: true }, { client })) as Promise<{
      results: Event[];
    }>;
    await until(() => client.of("result").length === 3);
    one.out("b4", one.called[0]?.[0] ?? "", 0, success(5));
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
    await using one = officeAt();
    await one.open("b1");
    for (const [more, result] of [
      [0, "ok"],
      [1, "error"],
    ] as const) {
      const calling = one.desk.call(request({ ...call, to: "b1" })) as Promise<{
        results: Event[];
      }>;
      await until(() => one.broker.at("sb/v1/b1/call/op1/boat/horn").length === more + 1);
      const text = JSON.stringify(success());
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
    await using one = officeAt();
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
    const cleared = spyOn(globalThis, "clearTimeout");
    const made: unknown[] = [];
    const stopping = spyOn(globalThis, "setTimeout").mockImplementation(((
      run: () => void,
      ms: number,
    ) => {
      if (ms !== 5000) return real(run, ms);
      timers.push(run);
      return made[made.push(real(() => {}, 1)) - 1];
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
      expect(cleared.mock.calls.flat()).toContain(made[0] as number);
      const left = await begin();
      one.desk.stop(request({ call: left, leave: true }));
      await until(() => client.of("end").length === 2);
      // The broker hears of it later.
      await one.broker.when(() => flows(left).length > 0);
      expect([flows(left), timers.length]).toEqual([['{"leave":true}'], 1]);
      expect(client.of("result")[1]).toMatchObject({ info: "nobody waits for it any more" });
      expect(client.of("end")[1]).toMatchObject({ info: "left" });
      // Where the client goes it is stopped, unless it was asked to go on.
      const [alone, detached] = [await begin(), await begin({ detach: true })];
      client.go();
      await until(() => client.of("end").length === 3);
      await one.broker.when(() => flows(alone).length > 0 && flows(detached).length > 0);
      expect([flows(alone), flows(detached)]).toEqual([['{"stop":true}'], ['{"leave":true}']]);
      expect(timers).toHaveLength(2);
    } finally {
      stopping.mockRestore();
      cleared.mockRestore();
    }
  });

  test("whose client has gone before it begins calls nobody", async () => {
    await using one = officeAt();
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
    one.out("b1", one.called[1]?.[0] ?? "", 0, success());
    expect(await calling).toMatchObject({ summary: { ok: 1 } });
  });

  test("to a group of which nobody is there is not sent", async () => {
    await using one = officeAt();
    await one.open("b1");
    one.tell("b1", "offline");
    await one.broker.taken();
    expect(await one.desk.call(request(call))).toMatchObject({ summary: { offline: 1 } });
    await one.broker.taken();
    expect(one.broker.publishes).toEqual([]);
  });

  test("that cannot be begun ends with why", async () => {
    await using one = officeAt({
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
    await using one = officeAt({
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
    one.out("b1", one.called[0]?.[0] ?? "", 0, success());
    await until(() => client.of("end").length > 0);
    expect(client.of("end")[0]).toMatchObject({ info: "its caller may not any more" });
    one.tell("b1", "offline");
    await one.desk.boards(request({}));
    await one.broker.taken();
    expect(client.of("board")).toEqual([]);
  });

  test("has two seconds to end where the server ends", async () => {
    await using one = officeAt();
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
