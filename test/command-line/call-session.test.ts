/** One call from the command line: which replies and events are its own, what is printed, and with which code it ends. */
import { describe, expect, spyOn, test } from "bun:test";
import { type Caller, CallSession } from "../../src/command-line/call-session.ts";

type Listener = (...given: unknown[]) => void;
const ok = (response?: unknown) => ({
  ...{ jtype: "afb-reply", request: { status: "success", code: 0 }, response },
});

/** @param reply to the call, or what is done before it */
function session(
  reply: object | ((event: Listener) => object | Promise<object>),
  given: { args?: unknown; raw?: boolean; feed?: CallSession["feed"]; reads?: () => boolean } = {},
) {
  const listeners = new Map<string, Listener>();
  const event: Listener = (...all) => listeners.get("event")?.(...all);
  const calls: unknown[] = [];
  const client = {
    call: async (method: string, args: unknown) => {
      calls.push([method, args]);
      if (calls.length > 1) return ok();
      return typeof reply === "function" ? reply(event) : reply;
    },
    on: (name: string, listener: Listener) => {
      listeners.set(name, listener);
      return () => {};
    },
  } as unknown as Caller;
  const printed: string[] = [];
  const print = (json: string): boolean => {
    printed.push(json);
    return given.reads?.() ?? true;
  };
  const { args = {}, raw = true, feed } = given;
  const one = new CallSession(client, { method: "A/v", args, raw }, feed, print);
  return {
    run: () => one.run(),
    event,
    calls,
    printed,
    close: (why: string) => listeners.get("close")?.(why),
  };
}
const data = (type: string, more: object = {}) => ({ type, pid: 7, ...more });
const final = (exit = 0) => data("final-event", { status: { exit } });
const started = ok({ pid: 7, command: "c" });

test.each<[string, object, number]>([
  ["a failure", { request: { status: "busy" } }, 1],
  ["no task", ok(5), 0],
  ["no command", ok({ pid: 7 }), 0],
  ["no pid", ok({ pid: "7", command: "c" }), 0],
  ["a task that has ended well", ok({ pid: 7, command: "c", status: { exit: 0 } }), 0],
  ["one that has not", ok({ pid: 7, command: "c", status: { exit: 1 } }), 1],
  ["one that was killed", ok({ pid: 7, command: "c", status: { signal: "Killed" } }), 1],
  ["one of which it is not told", ok({ pid: 7, command: "c", status: null }), 1],
])("a reply of %s is all", async (_what, reply, code) => {
  const { run, printed } = session(reply);
  expect([await run(), printed]).toEqual([code, [JSON.stringify(reply)]]);
});

test("for people a value has lines", async () => {
  const { run, printed } = session(ok({ a: 1 }), { raw: false });
  await run();
  expect(printed).toEqual([JSON.stringify(ok({ a: 1 }), null, 2)]);
});

describe("events of its task", () => {
  test.each([
    [0, 0],
    [3, 1],
  ])("until its end with %p", async (exit, code) => {
    const mine = data("data", { stdout: "a" });
    const { run, event, printed } = session(started);
    const ended = run();
    await Bun.sleep(0);
    event("a/V", mine);
    event("a/v", data("data", { pid: 8 }));
    event("other/w", data("data", { pid: 8 }));
    event("a/v", "none");
    event("a/v", final(exit));
    expect(await ended).toBe(code);
    expect(printed).toEqual([started, mine, final(exit)].map((one) => JSON.stringify(one)));
  });
  test("that came before the reply, of others too", async () => {
    const { run, printed } = session((event) => {
      event("a/v", data("data", { pid: 8 }));
      event("a/v", data("data"));
      event("a/v", final());
      return started;
    });
    expect(await run()).toBe(0);
    expect(printed).toEqual([started, data("data"), final()].map((one) => JSON.stringify(one)));
  });
  test("that begins by telling whose it is", async () => {
    const { run, printed } = session((event) => {
      event("a/v", data("initial-event", { pid: "7" }));
      event("a/v", data("initial-event"));
      event("a/v", data("data"));
      return ok({ pid: 7, command: "c", status: { exit: 0 } });
    });
    expect(await run()).toBe(0);
    expect(printed.slice(0, 2)).toEqual(
      [data("initial-event"), data("data")].map((one) => JSON.stringify(one)),
    );
  });
  test("what is missing is told, and not followed any more is a failure", async () => {
    using said = spyOn(console, "error").mockImplementation(() => {});
    const { run, event } = session(started);
    const ended = run();
    await Bun.sleep(0);
    event("a/v", data("overflow", { events: 2, bytes: 30 }));
    event("a/v", data("gone", { events: 4 }));
    event("a/v", data("unsubscribed"));
    expect(await ended).toBe(1);
    expect(said.mock.calls.flat()).toEqual([
      '2 events (30 bytes) are missing here: the task does not wait for who follows it, but with "lossless": true',
      "4 events are gone here: the server keeps the last ones",
    ]);
  });
  test("by whatever name: of the verb that was started, or as another binder calls it", async () => {
    const { run, event, printed } = session(started);
    const ended = run();
    await Bun.sleep(0);
    event("far/w", data("data", { n: 1 }));
    event("far/w", final());
    expect(await ended).toBe(0);
    expect(printed).toHaveLength(3);
  });
  test("until the other binder has gone that it runs at", async () => {
    const gone = { type: "disconnected", info: "why" };
    const { run, event, printed } = session(started);
    const ended = run().catch((error: unknown) => error);
    await Bun.sleep(0);
    event("far/w", gone);
    expect(await ended).toMatchObject({ message: "the connection was lost: why" });
    expect(printed.at(-1)).toBe(JSON.stringify(gone));
    // Before the reply that is what it tells; one of a task is a task's.
    const refused = { jtype: "afb-reply", request: { status: "disconnected", code: -11 } };
    for (const early of [[], [data("initial-event")]]) {
      const { run: again } = session((tell) => {
        for (const one of [...early, gone]) tell("far/w", one);
        return refused;
      });
      expect(await again()).toBe(1);
    }
    const other = session(started);
    const goes = other.run();
    await Bun.sleep(0);
    other.event("a/v", data("disconnected"));
    other.event("a/v", final());
    expect(await goes).toBe(0);
  });
  test("until nobody reads them", async () => {
    const { run } = session(started, { reads: () => false });
    expect(await run()).toBe(1);
  });
  test("until the connection is lost", async () => {
    const { run, close } = session(started);
    const ended = run().catch((error: unknown) => error);
    await Bun.sleep(0);
    close("why");
    expect(await ended).toMatchObject({ message: "the connection was lost: why" });
  });
});

describe("another's task", () => {
  test.each<[unknown, unknown]>([
    [{ action: "Subscribe" }, "box/c@7"],
    [{ action: "subscribe", args: {} }, "box/c@7"],
  ])("is followed by %p", async (args, response) => {
    const feed = () => Promise.reject(new Error("fed"));
    const { run, event, calls } = session(ok(response), { args, feed });
    const ended = run();
    await Bun.sleep(0);
    event("a/v", final());
    expect([await ended, calls.length]).toEqual([0, 1]);
  });
  test.each<[unknown, unknown]>([
    [{ action: "start" }, "box/c@7"],
    [{ action: "subscribe" }, "box/c"],
    [{ action: "subscribe" }, 7],
    ["subscribe", "box/c@7"],
  ])("is not by %p of %p", async (args, response) => {
    expect(await session(ok(response), { args }).run()).toBe(0);
  });
});

describe("what it is to read", () => {
  test.each<[string, () => Promise<string | undefined>, number, string[]]>([
    ["all of it", async () => undefined, 0, []],
    ["a part", async () => "why\nso", 1, ["not all of the standard input was taken: why\n  so"]],
    [
      "broken",
      () => Promise.reject(new Error("broken")),
      1,
      ["not all of the standard input was taken: broken"],
    ],
  ])("%s", async (_what, give, code, told) => {
    using said = spyOn(console, "error").mockImplementation(() => {});
    const fed: unknown[] = [];
    const { run, event } = session(started, {
      feed: (method, pid) => {
        fed.push([method, pid]);
        return give();
      },
    });
    const ended = run();
    await Bun.sleep(0);
    event("a/v", data("initial-event"));
    event("a/v", final());
    expect([await ended, fed, said.mock.calls.flat()]).toEqual([code, [["A/v", 7]], told]);
  });
});

describe("Ctrl-C", () => {
  test("stops the task, as soon as it is known", async () => {
    const gate = Promise.withResolvers<object>();
    const { run, calls } = session(() => gate.promise);
    const ended = run();
    await Bun.sleep(0);
    process.emit("SIGINT");
    await Bun.sleep(0);
    expect(calls).toHaveLength(1);
    gate.resolve(started);
    expect(await ended).toBe(130);
    expect(calls[1]).toEqual(["A/v", { action: "stop", args: { pid: 7 } }]);
    // Nobody listens any more.
    expect(process.listenerCount("SIGINT")).toBe(0);
  });
  test("leaves another's alone", async () => {
    const { run, calls } = session(ok("box/c@7"), { args: { action: "subscribe" } });
    const ended = run();
    await Bun.sleep(0);
    process.emit("SIGINT");
    expect([await ended, calls.length]).toEqual([130, 1]);
  });
});
