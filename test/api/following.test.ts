/** Who follows a task that another has started does not hold it, and knows what it has missed. */
import { describe, expect, test } from "bun:test";
import { SHARE, TOTAL } from "../../src/api/lossy.ts";
import { Patience } from "../../src/api/patience.ts";
import type { Past } from "../../src/api/replay.ts";
import { Ring, Rings } from "../../src/api/ring.ts";
import { EventData } from "../../src/api/event-data.ts";
import { Subscribers } from "../../src/api/subscribers.ts";
import { connecting, pidOf, registryOf, shell, TestClient, use } from "./harness.ts";

const connect = connecting();

const PAST: Past = { id: "", pid: 1, event: "p/x", ring: new Ring(0, new Rings()) };

/** Lines of 100 characters; far more bytes than may wait for one client. */
const LINES = 20_000;
const flood = shell(
  "flood",
  `yes ${"x".repeat(99)} | head -n ${LINES}; sleep 0.1; echo the end`,
  use("line"),
);

/** Pauses until the function that it returns is called. */
function stall(client: TestClient): () => void {
  const gate = Promise.withResolvers<void>();
  client.pause = () => gate.promise;
  return () => {
    client.pause = undefined;
    gate.resolve();
  };
}

const lines = (client: TestClient) =>
  client.wire.filter((frame) => frame.includes('"type":"data"')).length;

/** What the client was told that it has missed. */
function missed(client: TestClient): { events: number; bytes: number } {
  const told = client.wire.map((frame) => /"overflow".*"events":(\d+),"bytes":(\d+)/.exec(frame));
  const sum = (i: number) => told.reduce((all, found) => all + Number(found?.[i] ?? 0), 0);
  return { events: sum(1), bytes: sum(2) };
}

describe("a follower that does not read", () => {
  test("gets the number of what is gone, then what comes, and the end", async () => {
    const { client, registry } = connect([flood]);
    const resume = stall(client);
    const pid = pidOf(await client.call("flood"));
    await client.until('"type":"data"');
    const follower = new TestClient(registry);
    const read = stall(follower);
    await follower.call("flood", { action: "subscribe", args: { pid } });
    resume();
    await client.until("final-event");
    expect(lines(client)).toBe(LINES + 1);
    expect(follower.backlog).toBeWithin(SHARE, SHARE + 10_000);
    read();
    await follower.until("final-event");
    const heard = lines(follower);
    const { events, bytes } = missed(follower);
    // The first line was sent before it came.
    expect(heard + events).toBe(LINES);
    const size = JSON.stringify({ type: "data", pid, stdout: "x".repeat(99) }).length;
    // The last one is shorter.
    expect(bytes).toBe(events * size - (99 - "the end".length));
    expect(follower.wire.slice(-2)[0]).toContain('"type":"overflow","pid":PID,"events":');
  });

  test("goes on behind the gap", async () => {
    const { registry } = connect([]);
    const subscribers = new Subscribers(PAST, (gap) => ({ type: "overflow", ...gap }));
    const follower = new TestClient(registry);
    const request = { api: "p", verb: "x", args: {}, session: follower.session };
    subscribers.add(follower, request, false);
    const read = stall(follower);
    let sent = 0;
    const publish = async (n: number) => {
      for (const end = sent + n; sent < end; sent++)
        await subscribers.publish(EventData.of({ n: sent, x: "x".repeat(99) }));
    };
    await publish(LINES);
    read();
    await new Promise((resolve) => setImmediate(resolve));
    await publish(3);
    const told = follower.frames.map((frame) => (frame as [number, string, { data: object }])[2]);
    const data = told.map((one) => one.data as { n?: number; events?: number; type?: string });
    const at = data.findIndex(({ type }) => type === "overflow");
    expect(data.slice(0, at).map(({ n }) => n)).toEqual([...Array(at).keys()]);
    expect(data[at]?.events).toBe(LINES - at);
    expect(data.slice(at + 1).map(({ n }) => n)).toEqual([LINES, LINES + 1, LINES + 2]);
  });

  test("holds the task where it has asked for that, and misses nothing", async () => {
    const { client, registry } = connect([flood]);
    const resume = stall(client);
    await client.call("flood");
    await client.until('"type":"data"');
    const follower = new TestClient(registry);
    const read = stall(follower);
    await follower.call("flood", { action: "subscribe", args: { lossless: true } });
    resume();
    await follower.until('"type":"data"');
    // Longer than anybody may hold it otherwise.
    await Bun.sleep(1500);
    expect([lines(client), lines(follower)]).toEqual([2, 1]);
    read();
    await Promise.all([client.until("final-event"), follower.until("final-event")]);
    expect([lines(client), lines(follower)]).toEqual([LINES + 1, LINES]);
  }, 20_000);

  test("does not hold a task whose owner is gone", async () => {
    const { client, registry } = connect([flood]);
    const resume = stall(client);
    await client.call("flood");
    await client.until('"type":"data"');
    const [follower, other] = [new TestClient(registry), new TestClient(registry)];
    const read = stall(follower);
    for (const one of [follower, other]) await one.call("flood", { action: "subscribe" });
    client.disconnect();
    resume();
    await other.until("final-event");
    expect(lines(other)).toBe(LINES);
    read();
    await follower.until("final-event");
    expect(missed(follower).events).toBeGreaterThan(0);
  });

  test("is told what it has missed before it holds the task from then on", async () => {
    const { registry } = connect([]);
    const subscribers = new Subscribers(PAST, (gap) => ({ type: "overflow", ...gap }));
    const follower = new TestClient(registry);
    const request = { api: "p", verb: "x", args: {}, session: follower.session };
    subscribers.add(follower, request, false);
    const read = stall(follower);
    for (let n = 0; n < LINES; n++) await subscribers.publish(EventData.of({ x: "x".repeat(99) }));
    subscribers.add(follower, request, true);
    const pending = subscribers.publish(EventData.of({ last: true }));
    expect(pending).toBeInstanceOf(Promise);
    expect(follower.wire.at(-2)).toContain('"overflow"');
    expect(follower.wire.at(-1)).toContain('"last"');
    read();
    await pending;
  });
});

describe("the owner", () => {
  test("is waited for, also when it has subscribed again; of what others started it misses some", async () => {
    const { client, registry } = connect([flood, shell("own", "seq 1 3", use("line"))]);
    const other = new TestClient(registry);
    const hold = stall(other);
    await other.call("flood");
    await other.until('"type":"data"');
    await client.call("flood", { action: "subscribe" });
    await client.call("own");
    await client.call("own", { action: "unsubscribe" });
    await client.call("own", { action: "subscribe" });
    const read = stall(client);
    hold();
    await other.until("final-event");
    await client.until('"stdout":"1"');
    await Bun.sleep(1500);
    expect(client.wire.join()).not.toContain('"stdout":"2"');
    read();
    await client.until('"p/own","data":{"type":"final-event"');
    expect(client.wire.join()).toContain('"stdout":"3"');
    expect(missed(client).events).toBeGreaterThan(0);
  }, 20_000);

  test("may say that it need not be waited for", async () => {
    const { client } = connect([flood]);
    const resume = stall(client);
    await client.call("flood");
    await client.until('"type":"data"');
    await client.call("flood", { action: "subscribe", args: { lossless: false } });
    resume();
    const read = stall(client);
    while (client.backlog < SHARE) await Bun.sleep(10);
    read();
    await client.until("final-event");
  });
});

test("many that do not read: what waits for all of them is bounded", async () => {
  expect([SHARE, TOTAL]).toEqual([524_288, 33_554_432]);
  const registry = registryOf([]);
  const subscribers = new Subscribers(PAST, (gap) => ({ type: "overflow", ...gap }));
  const followers = Array.from({ length: 300 }, () => new TestClient(registry));
  const reads = followers.map(stall);
  for (const one of followers) {
    const request = { api: "p", verb: "x", args: {}, session: one.session };
    subscribers.add(one, request, false);
  }
  for (let n = 0; n < 1000; n++) await subscribers.publish(EventData.of({ n, x: "x".repeat(999) }));
  const all = followers.reduce((sum, { backlog }) => sum + backlog, 0);
  expect(all).toBeGreaterThan(TOTAL / 2);
  expect(all).toBeLessThan(TOTAL * 1.1);
  for (const read of reads) read();
  await Promise.all(followers.map((one) => one.until('"overflow"')));
  // All is as before: the next one that does not read has its share.
  const late = new TestClient(registry);
  const read = stall(late);
  subscribers.add(late, { api: "p", verb: "x", args: {}, session: late.session }, false);
  for (let n = 0; n < 1000; n++) await subscribers.publish(EventData.of({ n, x: "x".repeat(999) }));
  expect(late.backlog).toBeGreaterThan(SHARE - 2000);
  read();
  await registry.close();
});

test("patience: for a second, then for a twentieth of the time", async () => {
  let now = 0;
  const patience = new Patience(() => now);
  const never = new Promise<void>(() => {});
  expect(patience.over).toBe(false);
  const waited = patience.wait(Promise.resolve().then(() => void (now += 990)));
  await waited;
  expect(patience.over).toBe(false);
  await patience.wait(Promise.resolve().then(() => void (now += 70)));
  expect(patience.over).toBe(true);
  // One turn of the event loop is always given.
  await patience.wait(never);
  now += 100;
  expect(patience.over).toBe(false);
});

test("what goes to hundreds is sent in turns of the event loop", async () => {
  const subscribers = new Subscribers(PAST, (gap) => ({ type: "overflow", ...gap }));
  const { registry } = connect([flood]);
  const request = { api: "p", verb: "x", args: {}, session: { uuid: "u" } };
  let sent = 0;
  let most = 0;
  let on = true;
  const turn = (): void => {
    most = Math.max(most, sent);
    sent = 0;
    if (on) setImmediate(turn);
  };
  for (let i = 0; i < 300; i++) {
    const follower = new TestClient(registry);
    follower.send = () => void sent++;
    subscribers.add(follower, request, false);
  }
  setImmediate(turn);
  for (let n = 0; n < 100; n++) {
    const sending = subscribers.publish(EventData.of({ n }));
    if (sending) await sending;
  }
  on = false;
  expect(most).toBeWithin(300, 5000);
  subscribers.clear();
});
