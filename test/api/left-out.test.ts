/** Events that are left out for one that does not read, and how it is told. */
import { describe, expect, test } from "bun:test";
import { EventData } from "../../src/api/event-data.ts";
import { SHARE } from "../../src/api/lossy.ts";
import { Patience } from "../../src/api/patience.ts";
import { Listener, turn } from "./listener.ts";
import { subscribed } from "./subscribed.ts";

/** It has waited for followers as long as it does. */
async function impatient(): Promise<Patience> {
  let now = 0;
  const patience = new Patience(() => now);
  await patience.wait(Promise.resolve().then(() => void (now = 1000)));
  return patience;
}

/** Fills it until what comes is left out: a follower whose patience is over. */
async function overfill(follower: Listener, publish: (more?: object) => void | Promise<void>) {
  const x = "é".repeat(SHARE / 16);
  let left = 0;
  while (left < 2) {
    const { length } = follower.heard;
    await publish({ x });
    if (follower.heard.length === length) left++;
  }
  return { events: left, bytes: (text: object) => Buffer.byteLength(JSON.stringify(text)) };
}

describe("one that does not read", () => {
  /** One that has missed events, of which the bytes of their JSON are counted, not their characters. */
  async function behind() {
    const made = subscribed(0, await impatient());
    const follower = new Listener();
    made.subscribers.add(follower, follower.asking(), false);
    const read = follower.hold();
    const { events, bytes } = await overfill(follower, made.publish);
    const gap = {
      ...{ type: "overflow", events },
      bytes: events * bytes({ n: made.ring.last, x: "é".repeat(SHARE / 16) }),
    };
    return { ...made, follower, read, gap, heard: follower.heard.length };
  }

  test("is told once what it has missed, when it reads again", async () => {
    const { ring, subscribers, publish, follower, read, gap, heard } = await behind();
    expect(publish({ x: "" })).toBeUndefined();
    const more = { ...gap, events: 3, bytes: gap.bytes + JSON.stringify({ n: 12, x: "" }).length };
    read();
    await turn();
    void publish({ type: "next" });
    expect(follower.heard.slice(heard)).toEqual([more, { n: expect.any(Number), type: "next" }]);
    expect(subscribers.requests).toHaveLength(1);
    // Not once more before the end.
    const final = EventData.of({ type: "final" });
    ring.end(final);
    await subscribers.finish(final);
    expect(follower.heard.slice(heard + 2)).toEqual([{ type: "final" }]);
  });

  test("before the end", async () => {
    const { ring, subscribers, follower, gap, heard } = await behind();
    const final = EventData.of({ type: "final" });
    ring.end(final);
    expect(subscribers.finish(final)).toBeUndefined();
    expect(follower.heard.slice(heard)).toEqual([gap, { type: "final" }]);
  });

  test("before it misses nothing more, and by then only", async () => {
    const { subscribers, follower, gap, heard } = await behind();
    subscribers.add(follower, follower.asking(), false);
    expect(follower.heard).toHaveLength(heard);
    subscribers.add(follower, follower.asking(), true);
    expect(follower.heard.slice(heard)).toEqual([gap]);
  });

  test("before it is dismissed; it holds nothing any more", async () => {
    const { subscribers, publish, follower, gap, heard } = await behind();
    const [request] = subscribers.requests.map(([, one]) => one);
    subscribers.dismiss(follower, follower.asking(), { type: "bye" });
    expect(follower.heard).toHaveLength(heard);
    if (request) subscribers.dismiss(follower, request, { type: "bye" });
    expect(follower.heard.slice(heard)).toEqual([gap, { type: "bye" }]);
    expect([publish(), subscribers.requests]).toEqual([undefined, []]);
  });

  test("and goes is forgotten", async () => {
    const { publish, follower, read, heard } = await behind();
    follower.disconnect();
    read();
    await turn();
    void publish();
    expect(follower.heard).toHaveLength(heard);
  });
});

test("as often as one does not read, it gets one event more than may wait, and is told what it has missed since", async () => {
  const { subscribers, publish } = subscribed(0, await impatient());
  const follower = new Listener();
  subscribers.add(follower, follower.asking(), false);
  const x = "x".repeat(SHARE / 16);
  for (const missed of [2, 5]) {
    const before = follower.heard.length;
    const read = follower.hold();
    for (let n = 0; n < 17 + missed; n++) await publish({ x });
    expect(follower.heard.length - before).toBe(17);
    const { n = 0 } = follower.heard.at(-1) as { n?: number };
    read();
    await turn();
    const size = JSON.stringify({ n: n + 1, x }).length;
    expect(follower.heard.slice(before + 17)).toEqual([
      { type: "overflow", events: missed, bytes: missed * size },
    ]);
  }
});
