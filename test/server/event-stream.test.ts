/** The stream of events of one call, by itself: its ids, what ends it, and who is held back by it. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { Client, Request as Call } from "../../src/api/client.ts";
import { placeOf } from "../../src/api/place.ts";
import { failure, type Reply, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { streamEvents } from "../../src/server/events.ts";
import { isSettled } from "../api/listener.ts";
import { TestRegistry } from "./harness.ts";

const ID = "0123456789abcde";
/** A call that is answered when the test answers it. */
function called({
  last,
  ...more
}: { last?: string; signal?: AbortSignal; heartbeat?: number } = {}) {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const asked: Call[] = [];
  const registry = new TestRegistry();
  registry.call = (request) => {
    asked.push(request);
    return promise;
  };
  const { heartbeat, signal } = more;
  const headers = last === undefined ? {} : { "last-event-id": last };
  const request = new Request("http://localhost/", { headers, ...(signal && { signal }) });
  const call = { api: "t", verb: "v", args: { action: "start" }, session: { uuid: "u" } };
  const response = streamEvents(request, {
    ...{ registry, call, ...(heartbeat !== undefined && { heartbeat }) },
  }).then(fetched);
  return { response, answer: resolve, asked, client: asked[0]?.client as Client };
}
const running = success({ pid: 7, command: "c" });
const data = (n: number) => ({ type: "data", pid: 7, n });

/** All that is there by now, or comes until the end: of each event its id and its name. */
function events(text: string): [string | undefined, string][] {
  return text
    .split("\n\n")
    .filter((block) => block !== "" && block !== ":")
    .map((block) => [/^id: (.*)$/m.exec(block)?.[1], /^event: (.*)$/m.exec(block)?.[1] ?? ""]);
}

describe("ids", () => {
  test("are the places of one task's events, the first of which is known before the reply", async () => {
    const { response, answer, client } = called();
    client.stands?.(placeOf(ID, 4));
    answer(running);
    void client.send("t/v", data(1), placeOf(ID, 5));
    // What collects or compresses on the way is not to.
    expect((await response).headers.get("cache-control")).toBe("no-store, no-transform");
    expect((await response).headers.get("x-accel-buffering")).toBe("no");
    const text = (await response).text();
    await isSettled(text);
    void client.send("t/v", data(2), placeOf(ID, 6));
    void client.send("t/v", { type: "final-event", pid: 7 }, placeOf(ID, 7));
    expect(events(await text)).toEqual([
      [placeOf(ID, 5), "data"],
      [placeOf(ID, 5), "reply"],
      [placeOf(ID, 6), "data"],
      [placeOf(ID, 7), "final-event"],
    ]);
  });

  test("of events without a place there is one at first, so that nothing is run again", async () => {
    const { response, answer, client } = called();
    answer(success({ pid: 7, command: "c" }));
    const text = (await response).text();
    await isSettled(text);
    void client.send("t/v", data(1));
    void client.send("t/v", { type: "final-event", pid: 7 });
    const all = events(await text);
    expect(all.map(([, name]) => name)).toEqual(["reply", "data", "final-event"]);
    expect(all[0]?.[0]).toMatch(/^[-0-9a-f]{36}$/);
    expect([all[1]?.[0], all[2]?.[0]]).toEqual([undefined, undefined]);
  });

  test("are none where it follows several tasks", async () => {
    const { response, answer, client } = called();
    client.stands?.(placeOf(ID, 4));
    client.stands?.(placeOf(ID, 5));
    client.stands?.(placeOf("0123456789abcdf", 1));
    answer(success(["s/c@7", "s/c@8"]));
    const text = (await response).text();
    await isSettled(text);
    void client.send("t/v", data(1), placeOf(ID, 6));
    client.send("t/v", { type: "unsubscribed", pid: 7 }, placeOf(ID, 7));
    expect(client.connected).toBe(false);
    const all = events(await text);
    expect(all.slice(1).map(([id]) => id)).toEqual(all.slice(1).map(() => undefined));
  });
});

describe("who comes back", () => {
  test("is told what has come since, and nothing is run again", async () => {
    const { response, answer, asked, client } = called({ last: placeOf(ID, 41) });
    expect(asked[0]).toMatchObject({
      ...{ api: "t", verb: "v", wait: false },
      args: { action: "subscribe", args: { id: ID, from: 42 } },
    });
    answer(success("s/c@7"));
    const text = (await response).text();
    await isSettled(text);
    expect(client.connected).toBe(true);
    void client.send("t/v", { type: "final-event", pid: 7 });
    expect(events(await text).map(([, name]) => name)).toEqual(["reply", "final-event"]);
  });

  test.each([
    ["no-item", 204],
    ["forbidden", 403],
  ] as const)("to what is refused by %s gets %d", async (status, http) => {
    const { response, answer, client } = called({ last: placeOf(ID, 1) });
    answer(failure(new AfbError(status, "x")));
    expect([(await response).status, client.connected]).toEqual([http, false]);
  });

  test("where it never was is told to stop", async () => {
    for (const last of ["", "x", `${ID}`, `${ID}:`, `${ID}:x`]) {
      const { response, asked } = called({ last });
      expect([last, (await response).status, asked.length]).toEqual([last, 204, 0]);
    }
  });
});

test("who comes for the first time to nothing is answered as over REST", async () => {
  const { response, answer } = called();
  answer(failure(new AfbError("no-item", "x")));
  const refused = await response;
  expect(refused.status).not.toBe(204);
  expect(await refused.text()).toContain("no-item");
});

describe("it ends", () => {
  test.each<[string, Reply, number]>([
    ["with the reply that tells of an end", success({ pid: 7, command: "c", status: {} }), 0],
    ["with a reply that started nothing", success("done"), 0],
    ["with the events of its task", running, 1],
  ])("%s", async (_, reply, further) => {
    const { response, answer, client } = called();
    answer(reply);
    const text = (await response).text();
    await isSettled(text);
    expect(client.connected).toBe(further > 0);
    // Of another task, or of none: it goes on.
    void client.send("t/v", { type: "final-event", pid: 8 });
    void client.send("t/v", { type: "final-event" });
    expect(client.connected).toBe(further > 0);
    void client.send("t/v", { type: "final-event", pid: 7 });
    expect(client.connected).toBe(false);
    expect(events(await text)).toHaveLength(1 + 3 * further);
    expect(client.send("t/v", data(9))).toBeUndefined();
  });

  test("behind an event with the reply, also of a failure", async () => {
    const { response, answer, client } = called();
    void client.send("t/v", { type: "initial-event", pid: 7 });
    const text = (await response).text();
    answer(failure(new AfbError("timeout", "x")));
    expect(events(await text).map(([, name]) => name)).toEqual(["initial-event", "reply"]);
    expect(client.connected).toBe(false);
  });

  test("with its client, of whom the others are told once", async () => {
    for (const first of [true, false]) {
      const left = new AbortController();
      if (first) left.abort();
      const { response, answer, client } = called({ signal: left.signal });
      let gone = 0;
      client.onClose(() => gone++);
      const taken = client.onClose(() => gone++);
      taken();
      if (!first) {
        answer(running);
        await response;
        expect([client.connected, gone]).toEqual([true, 0]);
        left.abort();
      } else answer(running);
      await isSettled(response);
      left.abort();
      expect([first, client.connected, gone]).toEqual([first, false, 1]);
    }
  });
});

test("an event has the name of its type, where that is a word", async () => {
  const { response, answer, client } = called();
  answer(running);
  const text = (await response).text();
  await isSettled(text);
  for (const type of ["final-event", "x_1", "", "a b", "a\nb", 7, null])
    void client.send("t/v", { type, pid: 9 });
  void client.send("t/v", null);
  void client.send("t/v", "text");
  void client.send("t/v", { type: "final-event", pid: 7 });
  expect(events(await text).map(([, name]) => name)).toEqual([
    ...["reply", "final-event", "x_1", "data", "data", "data", "data", "data", "data", "data"],
    "final-event",
  ]);
});

describe("who does not read", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test("holds back who sends, from 64 KiB on, and gets no comments meanwhile", async () => {
    const { response, answer, client } = called({ heartbeat: 1000 });
    answer(running);
    const reader = (await response).body?.getReader();
    await reader?.read();
    const around = JSON.stringify({ jtype: "afb-event", event: "t/v", data: "" }).length;
    const head = "event: data\ndata: ".length + "\n\n".length;
    const most = 64 * 1024 - around - head;
    expect(client.send("t/v", "x".repeat(most - 1))).toBeUndefined();
    await isSettled(Promise.resolve());
    expect(client.backlog).toBe(64 * 1024 - 1);
    jest.advanceTimersByTime(1000);
    // That has filled it.
    expect(client.backlog).toBe(64 * 1024 + 2);
    jest.advanceTimersByTime(5000);
    expect(client.backlog).toBe(64 * 1024 + 2);
    const sent = client.send("t/v", "y");
    expect(sent).toBeInstanceOf(Promise);
    expect(client.send("t/v", "z")).toBe(sent as never);
    expect(await isSettled(sent)).toBe(false);
    await reader?.read();
    expect(await isSettled(sent)).toBe(true);
    await reader?.cancel();
    expect([client.connected, jest.getTimerCount()]).toEqual([false, 0]);
  });

  test("as much as there is room for at once", async () => {
    const { response, answer, client } = called();
    answer(running);
    const reader = (await response).body?.getReader();
    await reader?.read();
    const around = JSON.stringify({ jtype: "afb-event", event: "t/v", data: "" }).length;
    const most = 64 * 1024 - around - "event: data\ndata: \n\n".length;
    expect(client.send("t/v", "x".repeat(most))).toBeInstanceOf(Promise);
    await reader?.cancel();
  });

  test("is let go of where he leaves, and so is who waits for him", async () => {
    const left = new AbortController();
    const { response, answer, client } = called({ signal: left.signal });
    answer(running);
    await response;
    const sent = client.send("t/v", "x".repeat(100_000));
    expect(await isSettled(sent)).toBe(false);
    left.abort();
    expect(await isSettled(sent)).toBe(true);
    expect([client.connected, jest.getTimerCount()]).toEqual([false, 0]);
  });
});
