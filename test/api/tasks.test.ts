/** The tasks of a verb: stopped, subscribed to, limited in number, ended with the server. */
import { describe, expect, test } from "bun:test";
import { apiOf, connecting, pidOf, settled, shell, sleeper, TestClient, use } from "./harness.ts";
import { final, refused, replied } from "./frames.ts";

const connect = connecting();

describe("stop", () => {
  const sleep = sleeper("sleep");
  const other = sleeper("other");

  test("one, by pid and signal", async () => {
    const { client } = connect([sleep]);
    const pid = pidOf(await client.call("sleep"));
    const reply = await client.call("sleep", { action: "stop", args: { pid, signal: "term" } });
    expect(reply.response).toBe(`sb/sleep@${pid}`);
    await client.until("final-event");
    expect(client.wire.slice(1)).toEqual([
      replied("2", '"sb/sleep@PID"'),
      final("sleep", '{"signal":"Terminated","cause":"stopped"}'),
    ]);
  });

  test("all, with SIGINT", async () => {
    const { client } = connect([sleep, other]);
    const pids = [pidOf(await client.call("sleep")), pidOf(await client.call("sleep"))];
    await client.call("other");
    const reply = await client.call("sleep", { action: "stop" });
    expect(reply.response).toEqual(pids.map((pid) => `sb/sleep@${pid}`));
    for (const pid of pids) await client.until(`"final-event","pid":${pid}`);
    expect(client.wire.slice(4)).toEqual(
      pids.map(() => final("sleep", '{"signal":"Interrupt","cause":"stopped"}')),
    );
    expect((await client.call("sleep", { action: "stop" })).response).toEqual([]);
  });

  test("what is wrong signals nothing", async () => {
    const { client } = connect([sleep, other]);
    const pid = pidOf(await client.call("sleep"));
    const foreign = pidOf(await client.call("other"));
    const wrong = [
      { pid: foreign },
      { pid: 999999999 },
      { pid: 0 },
      { pid: process.pid },
      { pid, signal: "SIGNOTHING" },
      { pid, sig: 9 },
      [pid],
    ];
    for (const args of wrong) {
      const reply = await client.call("sleep", { action: "stop", args });
      expect(reply.request.status).toBe("invalid-request");
    }
    expect(client.wire[2]).toBe(
      refused("3", "invalid-request", `invalid pid ${foreign}: no running task of p/sleep`, -12),
    );
    process.kill(pid, 0);
    process.kill(foreign, 0);
    expect(client.frames.length).toBe(2 + wrong.length);
  });
});

describe("subscribers", () => {
  test("a second connection hears the rest, the first one leaves", async () => {
    const { client, registry } = connect([sleeper("read", use("line"))]);
    const second = new TestClient(registry);
    const pid = pidOf(await client.call("read"));
    expect((await second.call("read", { action: "subscribe", args: { pid } })).response).toBe(
      `sb/read@${pid}`,
    );
    expect((await client.call("read", { action: "unsubscribe" })).response).toEqual([
      `sb/read@${pid}`,
    ]);
    await second.call("read", { action: "stop", args: { pid, signal: 9 } });
    await second.until("final-event");
    expect(second.wire.at(-1)).toBe(final("read", '{"signal":"Killed","cause":"stopped"}'));
    expect(client.wire.length).toBe(2);
  });

  test("both hear each event once, however often they subscribe", async () => {
    const { client, registry } = connect([sleeper("s")]);
    const second = new TestClient(registry);
    await client.call("s");
    await client.call("s", { action: "subscribe" });
    await second.call("s", { action: "subscribe" });
    await second.call("s", { action: "subscribe" });
    await client.call("s", { action: "stop" });
    await Promise.all([client.until("final-event"), second.until("final-event")]);
    const finals = (of: TestClient) =>
      of.wire.filter((frame) => frame.includes("final-event")).length;
    expect([finals(client), finals(second)]).toEqual([1, 1]);
  });

  test("a client that goes does not hold its task back", async () => {
    const { client, registry } = connect([shell("seq", "seq 1 5; exec sleep 60", use("line"))]);
    client.pause = () => new Promise(() => {});
    const pid = pidOf(await client.call("seq"));
    await client.until('"stdout":"1"');
    const second = new TestClient(registry);
    await second.call("seq", { action: "subscribe" });
    client.disconnect();
    await second.until('"stdout":"5"');
    expect(client.frames.length).toBe(2);
    process.kill(pid, 0);
    await second.call("seq", { action: "stop", args: { signal: "KILL" } });
    await second.until("final-event");
  });

  test("the slowest of those that the task waits for", async () => {
    const { client, registry } = connect([shell("seq", "seq 1 3", use("line"))]);
    const slow = new TestClient(registry);
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    client.pause = () => first.promise;
    slow.pause = () => second.promise;
    await client.call("seq");
    await client.until('"stdout":"1"');
    await slow.call("seq", { action: "subscribe", args: { lossless: true } });
    first.resolve();
    await slow.until('"stdout":"2"');
    await new Promise((resolve) => setImmediate(resolve));
    // The reply and two lines; the third waits.
    expect(client.wire.length).toBe(3);
    second.resolve();
    await Promise.all([client.until("final-event"), slow.until("final-event")]);
    expect([client.wire.length, slow.wire.length]).toEqual([5, 4]);
  });

  test("needs a connection", async () => {
    const { registry } = connect([sleeper("s")]);
    const reply = await registry.call({
      api: "p",
      verb: "s",
      args: { action: "subscribe" },
      session: { uuid: "rest" },
    });
    expect(reply.request).toEqual({
      status: "invalid-request",
      info: "events need a WebSocket connection",
      code: -12,
    });
  });
});

describe("concurrency", () => {
  test("single", async () => {
    const { client } = connect([sleeper("one", { concurrency: 1 })]);
    const [first, second] = await Promise.all([client.call("one"), client.call("one")]);
    const pid = pidOf(first);
    expect(second?.request).toEqual({
      status: "bad-state",
      info: "p/one is running: being started; at most one task at a time",
      code: -14,
    });
    expect((await client.call("one")).request.info).toBe(
      `p/one is running: pid ${pid}; at most one task at a time`,
    );
    await client.call("one", { action: "stop" });
    await client.until("final-event");
    // Whoever hears of the end may start the next at once.
    expect((await client.call("one")).request.status).toBe("success");
  });

  test("two", async () => {
    const { client } = connect([sleeper("two", { concurrency: 2 })]);
    await client.call("two");
    await client.call("two");
    const reply = await client.call("two");
    expect(reply.request.info).toMatch(
      /^p\/two is running: pid \d+, \d+; at most 2 tasks at a time$/,
    );
  });
});

test("an end in good order: nothing starts or is replaced any more", async () => {
  const stop = { signal: 15, grace: 3000 };
  const { client, registry } = connect([sleeper("s", { stop }), sleeper("usual")]);
  expect(registry.grace).toBe(0);
  await client.call("usual");
  expect(registry.grace).toBe(0);
  await client.call("s");
  expect(registry.grace).toBe(3000);
  await registry.drain();
  expect(client.frames.filter((frame) => settled(frame).includes("final-event")).length).toBe(2);
  expect((await client.call("s")).request.status).toBe("not-available");
  expect(() => registry.replace([apiOf([sleeper("more")])])).toThrow("shutting down");
  expect((await client.call("more")).request.status).toBe("unknown-verb");
});

describe("close", () => {
  test("kills what runs, waits for it, and starts nothing more", async () => {
    const { client, registry } = connect([
      shell("s", "trap '' INT TERM; sleep 60 & wait", use("line")),
    ]);
    const pid = pidOf(await client.call("s"));
    const starting = client.call("s");
    await registry.close();
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    const late = pidOf(await starting);
    expect(() => process.kill(late, 0)).toThrow("ESRCH");
    expect((await client.call("s")).request).toEqual({
      status: "not-available",
      info: "the server is shutting down",
      code: -5,
    });
  });

  test("does not wait for a client that has stopped reading", async () => {
    const { client, registry } = connect([shell("yes", "yes", use("line"))]);
    client.pause = () => new Promise(() => {});
    await client.call("yes");
    await client.until('"stdout":"y"');
    await registry.close();
    expect(client.frames.length).toBe(2);
  });
});
