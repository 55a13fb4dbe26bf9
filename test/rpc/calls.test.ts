/** Calls over a connection that does as the test wants: their numbers, what waits for what, and who hears of which event. */
import { afterEach, describe, expect, jest, test } from "bun:test";
import { SERVER_SESSION, type Request } from "../../src/api/client.ts";
import { SHARE } from "../../src/api/lossy.ts";
import { type Caller, Calls } from "../../src/rpc/calls.ts";
import { isSettled, Listener, turn } from "../api/listener.ts";

/** A connection that remembers what it was given, as words. */
function calling() {
  const said: string[] = [];
  const link = {
    open: true,
    backlog: 0,
    sent: undefined as Promise<void> | undefined,
    send(bytes: Buffer): void | Promise<void> {
      said.push(bytes.toString());
      if (link.sent) return link.sent;
    },
  };
  const words = (...all: readonly unknown[]): Buffer => Buffer.from(`${all.join(" ")};`);
  const speaker: Caller = {
    call: (callid, api, session, token, { verb, args }) =>
      args === "too long" ? undefined : words("call", callid, api ?? "-", session, token, verb),
    create: (kind, id, name) => words(kind, id, name),
    unexpected: (event) => words("unexpected", event),
    most: 99,
  };
  const calls = new Calls(speaker);
  calls.attach(link);
  return { calls, link, said };
}
const session = { uuid: "s" };
const request = (more: Partial<Request> = {}): Request => ({
  ...{ api: "a", verb: "v", args: null, session, ...more },
});
const why = async (work: Promise<unknown>): Promise<string> => {
  try {
    return `none: ${String(await work)}`;
  } catch (error) {
    return error instanceof Error
      ? `${(error as { status?: string }).status}: ${error.message}`
      : "";
  }
};
afterEach(() => void jest.useRealTimers());

describe("a call", () => {
  test("goes with the session and the token that it needs told, each once, in one write", async () => {
    const { calls, said } = calling();
    const token = { caller: { token: "T" } };
    const all = [
      calls.call("b", request()),
      calls.call(undefined, request(token)),
      calls.call("b", request({ ...token, session: { uuid: "other" }, verb: "w" })),
      // Not the same one, though it is called so.
      calls.call("b", request({ session: { uuid: "s" } })),
      calls.call("b", request({ session: SERVER_SESSION })),
      calls.call("b", request({ caller: { token: "" } })),
    ];
    await turn();
    expect(said[3]).toMatch(/^session 3 [-0-9a-f]{36};call 4 b 3 0 v;$/);
    expect(said.filter((_, i) => i !== 3)).toEqual([
      "session 1 s;call 1 b 1 0 v;",
      "token 1 T;call 2 - 1 1 v;",
      "session 2 other;call 3 b 2 1 w;",
      `session 4 ${SERVER_SESSION.uuid};call 5 b 4 0 v;`,
      "call 6 b 1 0 v;",
    ]);
    expect(calls.isIdle).toBe(false);
    for (let i = 1; i <= 6; i++)
      calls.reply(i, i % 2 ? { response: i } : { error: new Error(`no ${i}`) });
    expect(await Promise.all(all.map(why))).toEqual([
      ...["none: 1", "undefined: no 2", "none: 3", "undefined: no 4"],
      ...["none: 5", "undefined: no 6"],
    ]);
    expect(calls.isIdle).toBe(true);
    // Nobody waits for these.
    calls.reply(1, { response: 1 });
    calls.reply(77, { response: 1 });
  });

  test.each<[string, Partial<Request>, string]>([
    ["a verb with a NUL", { verb: "a\0b" }, "unknown-verb: there is no such verb"],
    ["a verb that is too long", { verb: "é".repeat(513) }, "unknown-verb: there is no such verb"],
    [
      "a token with a NUL",
      { caller: { token: "\0" } },
      "invalid-token: this token is none that another binder could be told",
    ],
    [
      "a token that is too long",
      { caller: { token: "x".repeat(16_385) } },
      "invalid-token: this token is none that another binder could be told",
    ],
    [
      "too much",
      { args: "too long" },
      "invalid-request: the arguments have more than the 99 bytes that go to another binder",
    ],
  ])("is refused here: %s", async (_, more, expected) => {
    const { calls, said } = calling();
    expect(await why(calls.call("b", request(more)))).toBe(expected);
    // What it would have needed told is told, where it has a number by now.
    expect(said).toEqual(more.args === undefined ? [] : ["session 1 s;"]);
    expect(calls.isIdle).toBe(true);
    const next = calls.call("b", request());
    await turn();
    expect(said.at(-1)).toEndWith(`call ${more.args === undefined ? 1 : 2} b 1 0 v;`);
    calls.gone();
    await why(next);
  });

  test("may have names as long as they may be", async () => {
    const { calls, said } = calling();
    const verb = "é".repeat(512);
    const made = calls.call("b", request({ verb, caller: { token: "x".repeat(16_384) } }));
    await turn();
    expect(said.join("")).toEndWith(`call 1 b 1 1 ${verb};`);
    calls.reply(1, { response: undefined });
    expect(await made).toBeUndefined();
  });

  test("waits for room, and is not made where the connection ends meanwhile", async () => {
    const { calls, link, said } = calling();
    const held = Promise.withResolvers<void>();
    link.sent = held.promise;
    const first = calls.call("b", request());
    await turn();
    link.backlog = 512 << 10;
    const second = calls.call("b", request());
    await turn();
    expect(said).toHaveLength(1);
    [link.backlog, link.sent] = [(512 << 10) - 1, undefined];
    held.resolve();
    await turn();
    expect(said).toHaveLength(2);
    const later = Promise.withResolvers<void>();
    link.sent = later.promise;
    const third = calls.call("b", request());
    await turn();
    link.backlog = 1 << 20;
    const fourth = calls.call("b", request());
    await turn();
    link.open = false;
    later.resolve();
    expect(await why(fourth)).toBe("disconnected: the other binder has gone");
    expect(await why(calls.call("b", request()))).toBe("disconnected: the other binder has gone");
    expect(said).toHaveLength(3);
    calls.gone();
    expect(await Promise.all([first, second, third].map(why))).toEqual(
      Array<string>(3).fill("disconnected: the other binder has gone"),
    );
  });

  test("before there is a connection there is none", async () => {
    const calls = new Calls({} as Caller);
    expect(await why(calls.call("b", request()))).toBe("disconnected: the other binder has gone");
  });

  test("is given up after ten minutes, and its number is free for another then", async () => {
    const { calls, said } = calling();
    jest.useFakeTimers();
    const made = why(calls.call("b", request()));
    await isSettled(made);
    jest.advanceTimersByTime(599_999);
    expect(await isSettled(made)).toBe(false);
    jest.advanceTimersByTime(1);
    expect(await made).toBe("timeout: the other binder does not answer");
    expect([calls.isIdle, jest.getTimerCount(), said.length]).toEqual([true, 0, 1]);
    const next = why(calls.call("b", request()));
    await isSettled(next);
    calls.reply(2, { response: 2 });
    expect(await next).toBe("none: 2");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("has a number that none has which is open, however many there were", async () => {
    const { calls, said } = calling();
    const kept = calls.call("b", request());
    await turn();
    for (let i = 0; i < 0xffff; i++) {
      const made = calls.call("b", request());
      await isSettled(made);
      const id = Number(/call (\d+)/.exec(said.pop() ?? "")?.[1]);
      if (i > 0xfff0) expect(id).toBe(i === 0xfffe ? 2 : i + 2);
      calls.reply(id, { response: id });
      await made;
    }
    calls.reply(1, { response: "one" });
    expect(await kept).toBe("one");
  }, 30_000);
});

describe("an event", () => {
  /** One that has called, and whose call is not answered. */
  async function following(more: Partial<Request> = {}) {
    const made = calling();
    const listener = new Listener();
    const answer = why(made.calls.call("b", request({ client: listener, ...more })));
    await turn();
    made.calls.create(5, "b/event");
    return { ...made, listener, answer };
  }

  test("is heard by who subscribes, until it does no more", async () => {
    const followed: string[] = [];
    const { calls, listener, said } = await following({ follows: (name) => followed.push(name) });
    calls.push(5, () => {
      throw new Error("nobody listens");
    });
    calls.subscribe(1, 5);
    // Once more is no more.
    calls.subscribe(1, 5);
    calls.push(5, () => "one");
    expect([listener.heard, followed, listener.handlers]).toEqual([
      ...[["one"], ["b/event", "b/event"], 1],
    ] as never);
    calls.unsubscribe(1, 5);
    calls.push(5, () => "two");
    expect([listener.heard, listener.handlers]).toEqual([["one"], 0]);
    // The other binder knows that already.
    expect(said).toHaveLength(1);
    calls.subscribe(1, 5);
    listener.disconnect();
    expect(said[1]).toBe("unexpected 5;");
    calls.gone();
  });

  test("that came behind a reply is heard behind it, in its order", async () => {
    const { calls, listener, answer } = await following();
    calls.subscribe(1, 5);
    calls.reply(1, { response: "done" });
    calls.push(5, () => "one");
    calls.push(5, () => "two");
    calls.reply(9, { response: "of nobody" });
    expect(listener.heard).toEqual([]);
    expect(await answer).toBe("none: done");
    expect(listener.heard).toEqual([]);
    await turn();
    expect(listener.heard).toEqual(["one", "two"]);
    calls.push(5, () => "three");
    expect(listener.heard).toEqual(["one", "two", "three"]);
    expect(calls.isIdle).toBe(false);
    calls.destroy(5);
    expect([calls.isIdle, listener.handlers]).toEqual([true, 0]);
    calls.push(5, () => "four");
    expect(listener.heard).toHaveLength(3);
  });

  test("of the end of the connection who follows is told, behind all that came", async () => {
    const { calls, listener } = await following();
    calls.subscribe(1, 5);
    calls.reply(1, { response: "done" });
    calls.push(5, () => "one");
    calls.gone();
    expect(listener.heard).toEqual([
      ...["one", { type: "disconnected", info: "the other binder has gone" }],
    ]);
    await turn();
    expect([listener.heard.length, listener.handlers, calls.isIdle]).toEqual([2, 0, true]);
  });

  test("of actions of the server nobody is told so", async () => {
    const { calls, listener } = await following({ session: SERVER_SESSION });
    calls.subscribe(1, 5);
    calls.recheck(() => false);
    expect([listener.heard, listener.handlers]).toEqual([[], 0]);
    calls.subscribe(1, 5);
    calls.gone();
    expect([listener.heard, listener.handlers]).toEqual([[], 0]);
  });

  test("goes to nobody who has gone, or cannot hear; nor where there is none, or no call", async () => {
    const { calls, listener, said } = await following();
    listener.connected = false;
    calls.subscribe(1, 5);
    expect(listener.handlers).toBe(0);
    const deaf = why(calls.call("b", request()));
    await turn();
    calls.subscribe(2, 5);
    calls.unsubscribe(2, 5);
    // It was given up.
    calls.subscribe(99, 5);
    calls.unsubscribe(99, 5);
    calls.unsubscribe(1, 77);
    calls.push(77, () => "x");
    calls.destroy(77);
    expect(() => calls.subscribe(1, 77)).toThrow("a subscription to nothing");
    expect([calls.isIdle, said.length]).toEqual([false, 2]);
    calls.gone();
    await deaf;
  });

  test.each([
    ["who may not hear of it any more", "unsubscribed"],
    ["all, where the other binder goes", "disconnected"],
  ])("is ended for %s, also who does not read and misses some of it", async (_, type) => {
    const { calls, listener, answer } = await following();
    calls.subscribe(1, 5);
    const release = listener.hold();
    calls.push(5, () => "x".repeat(SHARE));
    calls.push(5, () => "missed");
    calls.push(5, () => "missed");
    if (type === "unsubscribed") calls.recheck(() => false);
    else calls.gone();
    const end = [{ dropped: 2 }, expect.objectContaining({ type })];
    expect(listener.heard.slice(1)).toEqual(end);
    release();
    await turn();
    expect(listener.heard.slice(1)).toEqual(end);
    calls.gone();
    await answer;
  });

  test.each(["final-event", "unsubscribed"])(
    "of the type %s is heard also by who does not read and misses others: a task has no other end",
    async (type) => {
      const { calls, listener, answer } = await following();
      calls.subscribe(1, 5);
      const release = listener.hold();
      const last = (pid: number) => ({ type, pid, status: { exit: 0 } });
      calls.push(5, () => "x".repeat(SHARE));
      for (const pid of [1, 2]) {
        for (const data of ["missed", { type: "data", pid }]) calls.push(5, () => data);
        calls.push(5, () => last(pid));
      }
      const lasts = [{ dropped: 2 }, last(1), { dropped: 2 }, last(2)];
      expect(listener.heard.slice(1)).toEqual(lasts);
      // Also of one that cannot be written.
      const cycle: unknown[] = [];
      cycle.push(cycle);
      calls.push(5, () => ({ ...last(2), cycle }));
      listener.heard.pop();
      // It is somebody else's to say how many and how long they are: not all of that is held here.
      calls.push(5, () => ({ ...last(3), more: "x".repeat(16 << 10) }));
      for (let pid = 4; pid < 100; pid++) calls.push(5, () => last(pid));
      const { length } = listener.heard
        .slice(1)
        .filter((data) => Reflect.get(Object(data), "type") === type);
      expect(length).toBe(63);
      release();
      await turn();
      expect(listener.heard.at(-1)).toEqual({ dropped: 35 });
      const hold = listener.hold();
      calls.push(5, () => "x".repeat(SHARE));
      calls.push(5, () => "missed");
      calls.push(5, () => last(100));
      expect(listener.heard.slice(-2)).toEqual([{ dropped: 1 }, last(100)]);
      hold();
      calls.gone();
      await answer;
    },
  );

  test("is ended for who may not hear of it any more, and for nobody else", async () => {
    const { calls, listener, said } = await following();
    const other = new Listener();
    const second = why(calls.call("b", request({ client: other })));
    await turn();
    calls.subscribe(1, 5);
    calls.subscribe(2, 5);
    const late = Promise.withResolvers<boolean>();
    calls.recheck(({ client }) => (client === listener ? false : late.promise));
    expect([listener.heard, listener.handlers]).toEqual([[{ type: "unsubscribed" }], 0]);
    expect([said.length, other.handlers]).toEqual([2, 1]);
    late.resolve(false);
    await turn();
    expect([other.heard, other.handlers]).toEqual([[{ type: "unsubscribed" }], 0]);
    // Nobody is left who listens.
    expect(said[2]).toBe("unexpected 5;");
    calls.subscribe(1, 5);
    calls.recheck(() => true);
    expect(listener.handlers).toBe(1);
    // Who subscribes anew meanwhile has asked by another call.
    const answers = Promise.withResolvers<boolean>();
    calls.recheck(() => answers.promise);
    calls.unsubscribe(1, 5);
    calls.subscribe(1, 5);
    answers.resolve(false);
    await turn();
    expect([listener.heard.length, listener.handlers]).toEqual([1, 1]);
    calls.gone();
    await second;
  });

  test("is another one where its number is given anew", async () => {
    const { calls, listener, said } = await following();
    calls.subscribe(1, 5);
    calls.create(5, "b/other");
    calls.push(5, () => "other");
    expect([listener.heard, listener.handlers]).toEqual([[], 0]);
    expect(said).toHaveLength(1);
    calls.gone();
  });

  test("there is room for so many, by their names", () => {
    const { calls } = calling();
    const name = "x".repeat(1024 - 64);
    for (let round = 0; round < 2; round++) {
      for (let id = 1; id <= 1024; id++) calls.create(id, name);
      // It takes the place of the one before.
      calls.create(1, name);
      for (let id = 1; id <= 1024; id++) calls.destroy(id);
    }
    for (let id = 1; id <= 1024; id++) calls.create(id, name);
    expect(() => calls.create(1025, "")).toThrow("it announces more events than there is room for");
  });
});
