/** What a task has sent before somebody follows it: by numbers, without a gap and without anything twice, in bounded memory. */
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EventData } from "../../src/api/event-data.ts";
import { Ring, Rings } from "../../src/api/ring.ts";
import { isObject } from "../../src/object.ts";
import type { TaskRecord } from "../../src/api/record.ts";
import { connecting, pidOf, shell, TestClient, use } from "./harness.ts";

const connect = connecting();

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true });
});

/** Numbers and texts of the events that a client got of a task. */
function seen(client: TestClient): (readonly [unknown, unknown, unknown])[] {
  return client.frames.flatMap((frame) => {
    const data: unknown = Array.isArray(frame) && isObject(frame[2]) ? frame[2]["data"] : undefined;
    return isObject(data) ? [[data["seq"], data["type"], data["stdout"]] as const] : [];
  });
}

describe("a ring", () => {
  const event = (text: string) => EventData.of({ type: "data", pid: 1, stdout: text });
  const final = EventData.of({ type: "final-event" });
  const at = (ring: Ring, number: number) => ring.at(number)?.json;

  test("keeps the last events, and says what is gone", () => {
    const rings = new Rings();
    const ring = new Ring(1000, rings);
    for (let i = 1; i <= 500; i++) {
      ring.push(event(`${i}`));
      expect(ring.bytes).toBeLessThanOrEqual(1000);
      expect(at(ring, i)).toEqual(event(`${i}`).json);
    }
    expect(ring.last).toBe(500);
    expect(at(ring, ring.first)).toEqual(event(`${ring.first}`).json);
    expect(ring.at(ring.first - 1)).toBeUndefined();
    expect(ring.goneSince(0, 0)).toEqual({ events: ring.first - 1, bytes: expect.any(Number) });
    expect(ring.goneSince(3, undefined)).toEqual({ events: ring.first - 4 });
    expect(ring.goneSince(ring.first - 1, undefined)).toBeUndefined();
    ring.end(final);
    expect(rings.bytes).toBe(ring.bytes);
    ring.close();
    expect(rings.bytes).toBe(0);
    expect(at(ring, 501)).toBe(final.json);
  });

  test("is known to nobody once it is closed", async () => {
    const rings = new Rings();
    const closed = Array.from({ length: 200 }, () => {
      const ring = new Ring(1000, rings);
      ring.push(event("x"));
      ring.close();
      return new WeakRef(ring);
    });
    // What is referred to in this turn stays until the next.
    await Bun.sleep(1);
    Bun.gc(true);
    // What the collector takes for a reference may be none.
    expect(closed.filter((one) => one.deref() !== undefined).length).toBeLessThan(100);
    expect(rings.bytes).toBe(0);
  });

  test("keeps each by its number, however many there are room for", () => {
    const ring = new Ring(1 << 20, new Rings());
    for (let i = 1; i <= 300; i++) ring.push(event(`${i}`));
    const kept = Array.from({ length: 300 }, (_, i) => at(ring, i + 1));
    expect(kept).toEqual(Array.from({ length: 300 }, (_, i) => event(`${i + 1}`).json));
    expect(ring.first).toBe(1);
  });

  test("takes no event that is larger than itself, nor one that is not written", () => {
    const ring = new Ring(1000, new Rings());
    ring.push(event("a"));
    ring.push(event("x".repeat(2000)));
    expect([ring.first, ring.last, ring.bytes]).toEqual([3, 2, 0]);
    ring.push(EventData.of({ stdout: Array.from({ length: 100_000 }, () => "line") }));
    const own: { self?: object } = {};
    own.self = own;
    ring.push(EventData.of(own));
    ring.skip(1);
    expect([ring.first, ring.last]).toEqual([6, 5]);
    ring.push(event("b"));
    expect(at(ring, 6)).toEqual(event("b").json);
  });

  test("all together are bounded: of the largest the oldest goes", () => {
    const rings = new Rings(10_000);
    const [large, small] = [new Ring(9000, rings), new Ring(9000, rings)];
    small.push(event("small"));
    for (let i = 0; i < 1000; i++) {
      large.push(event("x".repeat(50)));
      // Each may have a little of which the others know later.
      expect(large.bytes + small.bytes).toBeLessThanOrEqual(10_000 + 2 * 4096);
    }
    for (let i = 0; i < 20; i++) {
      const more = new Ring(1 << 20, rings);
      for (let j = 0; j < 100; j++) more.push(event("y".repeat(50)));
      expect(rings.bytes).toBeLessThanOrEqual(10_000);
    }
    expect(small.at(1)?.json).toEqual(event("small").json);
  });

  test("a part of the largest goes at a time, not all of it", () => {
    const rings = new Rings(10_000);
    const ring = new Ring(1 << 20, rings);
    const kept: number[] = [];
    for (let i = 0; i < 1000; i++) {
      ring.push(event("x".repeat(50)));
      if (i > 200) kept.push(ring.bytes);
    }
    expect(Math.min(...kept)).toBeGreaterThan(8000);
    expect(Math.max(...kept)).toBeLessThanOrEqual(10_000 + 4096 + 200);
  });

  test("of no size only counts", () => {
    const ring = new Ring(0, new Rings());
    ring.push(event("a"));
    ring.push(event("b"));
    expect([ring.first, ring.last, ring.at(2)]).toEqual([3, 2, undefined]);
    expect(ring.goneSince(0, 0)).toEqual({ events: 2 });
    ring.end(final);
    expect([ring.goneSince(2, undefined), at(ring, 3)]).toEqual([undefined, final.json]);
  });
});

describe("who follows later", () => {
  const counter = shell(
    "count",
    "for i in 1 2 3; do echo $i; done; for i in 4 5; do until [ -e $0/$i ]; do sleep 0.02; done; echo $i; done",
    use("line"),
  );

  /** A task that prints 1 to 3, then waits; each call of `go` lets it print one more. */
  async function counting() {
    const directory = mkdtempSync(join(tmpdir(), "spawnbox-ring-"));
    // The task may be another user's.
    chmodSync(directory, 0o755);
    made.push(directory);
    let printed = 3;
    const { registry, client } = connect([
      {
        ...counter,
        argv: {
          names: new Set(),
          elements: [...counter.argv.elements, [{ kind: "text", text: directory }]],
        },
      },
    ]);
    const pid = pidOf(await client.call("count"));
    await client.until('"stdout":"3"');
    const go = () => writeFileSync(join(directory, `${++printed}`), "");
    return { registry, client, pid, go };
  }

  test("gets the past first, then what comes, each once and in order", async () => {
    const { registry, client, pid, go } = await counting();
    const late = new TestClient(registry);
    const later = new TestClient(registry);
    await late.call("count", { action: "subscribe", args: { pid, from: 1 } });
    go();
    await late.until('"stdout":"4"');
    await later.call("count", { action: "subscribe", args: { pid, from: 4 } });
    go();
    await Promise.all([late, later].map((one) => one.until("final-event")));
    const all = [1, 2, 3, 4, 5].map((i) => [i, "data", `${i}`] as const);
    const last = [6, "final-event", undefined] as const;
    expect(seen(late)).toEqual([...all, last]);
    expect(seen(later)).toEqual([...all.slice(3), last]);
    // Behind the reply, and who has not asked for numbers gets none.
    expect(late.wire[0]).toContain('"response":"sb/count@PID"');
    expect(JSON.stringify(client.frames)).not.toContain('"seq"');
  });

  test("gets it also once the task has ended, by its id", async () => {
    const { registry, client, go } = await counting();
    go();
    await client.until('"stdout":"4"');
    go();
    await client.until("final-event");
    const records = (await client.call("tasks", { state: "ended" }, { api: "monitor" }))
      .response as TaskRecord[];
    const id = records[0]?.id;
    const late = new TestClient(registry);
    const from = async (number: number) =>
      (await late.call("count", { action: "subscribe", args: { id, from: number } })).request;
    expect(await from(5)).toMatchObject({ status: "success" });
    await late.until("final-event");
    expect(seen(late)).toEqual([
      [5, "data", "5"],
      [6, "final-event", undefined],
    ]);
    expect(await from(7)).toMatchObject({ status: "no-item" });
    expect((await late.call("count", { action: "stop", args: { id } })).request).toMatchObject({
      status: "bad-state",
      info: `task ${id} has ended`,
    });
  });

  test("is told what is gone, in its place", async () => {
    const { registry, client } = connect([
      shell("flood", "seq 1000; sleep 60", { ...use("line"), ring: 1000 }),
    ]);
    const pid = pidOf(await client.call("flood"));
    await client.until('"stdout":"1000"');
    const late = new TestClient(registry);
    await late.call("flood", { action: "subscribe", args: { pid, from: 1 } });
    await late.until('"stdout":"1000"');
    const [gone, ...kept] = seen(late);
    expect(gone).toEqual([undefined, "gone", undefined]);
    expect(late.wire[1]).toMatch(/"type":"gone","pid":PID,"events":\d+,"bytes":\d+/);
    const missing = Number(/"events":(\d+)/.exec(late.wire[1] ?? "")?.[1]);
    expect(kept.map(([number]) => number)).toEqual(
      Array.from({ length: 1000 - missing }, (_, i) => missing + 1 + i),
    );
    expect(kept.every(([number, , text]) => `${Number(number)}` === text)).toBe(true);
  });

  test("and is slow takes no more memory: it skips, and misses nothing that it is not told of", async () => {
    const { registry, client } = connect([
      shell("flood", "seq 20000; echo end", { ...use("line"), ring: 5000 }),
    ]);
    const pid = pidOf(await client.call("flood"));
    const late = new TestClient(registry);
    let waits = 0;
    late.pause = () => (++waits % 50 === 0 ? Bun.sleep(2) : undefined);
    await late.call("flood", { action: "subscribe", args: { pid, from: 1 } });
    await late.until("final-event");
    let next = 1;
    for (const [i, [number, type]] of seen(late).entries()) {
      if (type === "gone") next += Number(/"events":(\d+)/.exec(late.wire[i + 1] ?? "")?.[1]);
      else if (type === "overflow") next = Number(seen(late)[i + 1]?.[0]);
      else expect(number).toBe(next++);
    }
    expect(next).toBe(20_003);
  });

  test("and is to miss nothing holds the task", async () => {
    const { registry, client } = connect([
      shell("flood", "seq 5000", { ...use("line"), ring: 100_000 }),
    ]);
    client.pause = undefined;
    const pid = pidOf(await client.call("flood"));
    const late = new TestClient(registry);
    late.pause = () => new Promise((resolve) => setImmediate(resolve));
    await late.call("flood", { action: "subscribe", args: { pid, from: 1, lossless: true } });
    await late.until("final-event");
    expect(seen(late).map(([number]) => number)).toEqual(
      Array.from({ length: 5001 }, (_, i) => i + 1),
    );
  });

  test("a command that replies with its output has it among its events, for who asks later", async () => {
    const { registry, client } = connect([shell("say", "echo a", use("sync"))]);
    await client.call("say");
    const records = (await client.call("tasks", { state: "ended" }, { api: "monitor" }))
      .response as TaskRecord[];
    const late = new TestClient(registry);
    await late.call("say", { action: "subscribe", args: { id: records[0]?.id, from: 0 } });
    await late.until("final-event");
    expect(seen(late).map(([number, type]) => [number, type])).toEqual([
      [1, "initial-event"],
      [2, "data"],
      [3, "final-event"],
    ]);
    expect(client.wire.length).toBe(3);
  });
});

test("who comes back to a command that replies at its end gets its output and its end, by places", async () => {
  const fifo = `/tmp/spawnbox-ring-${crypto.randomUUID()}`;
  Bun.spawnSync(["mkfifo", fifo]);
  made.push(fifo);
  const { client, registry } = connect([shell("say", `read x < ${fifo}; echo a`, use("sync"))]);
  const answered = client.call("say");
  await client.until("initial-event");
  const late = new TestClient(registry);
  const places: (string | undefined)[] = [];
  const { send } = late;
  Object.assign(late, {
    stands: () => undefined,
    send(event: string, data: unknown, place?: string) {
      places.push(place?.split(":")[1]);
      return send.call(late, event, data);
    },
  });
  const pid = pidOf(client.frames);
  await late.call("say", { action: "subscribe", args: { pid, from: 2 } });
  // It has caught up by then.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await Bun.spawn(["sh", "-c", `echo > ${fifo}`]).exited;
  await answered;
  await late.until("final-event");
  expect(places).toEqual(["2", "3"]);
  expect(JSON.stringify(late.frames)).not.toContain('"seq"');
});

test("wrong targets are told", async () => {
  const { client } = connect([shell("say", "true")]);
  const why = async (action: string, args: unknown) => {
    const { status, info = "" } = (await client.call("say", { action, args })).request;
    return `${status}: ${info}`;
  };
  expect(await why("subscribe", { pid: 1, id: "x" })).toStartWith("invalid-request: say pid or id");
  expect(await why("subscribe", { id: "x" })).toContain('invalid id "x"');
  expect(await why("subscribe", { from: 1 })).toContain("from needs pid or id");
  expect(await why("stop", { pid: 1, from: 1 })).toContain("from is for subscribe");
  for (const from of [-1, 1.5, "x", null, {}, 1e300])
    expect(await why("subscribe", { pid: 1, from })).toContain("from must be the number");
  expect(await why("subscribe", { id: "0123456789abcde", from: 1 })).toStartWith(
    "no-item: no task 0123456789abcde of p/say",
  );
});
