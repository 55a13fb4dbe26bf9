/** Who gets the events of a task, each by itself: when they begin, what they are told, and whom the task waits for. */
import { describe, expect, test } from "bun:test";
import { EventData } from "../../src/api/event-data.ts";
import type { Subscribers } from "../../src/api/subscribers.ts";
import { isSettled, Listener, turn } from "./listener.ts";
import { ID, subscribed } from "./subscribed.ts";

describe("a client that follows", () => {
  test("is told that it does, where it stands, and then each event once", () => {
    const { subscribers, publish } = subscribed(3);
    const [plain, placed] = [new Listener(), new Listener(true)];
    const follows: string[] = [];
    const asking = { follows: (event: string) => void follows.push(event) };
    for (const one of [plain, placed, plain, placed])
      subscribers.add(one, one.asking(asking), false);
    expect(follows).toEqual(Array(4).fill("p/x"));
    expect(placed.stood).toEqual([`${ID}:3`, `${ID}:3`]);
    expect([plain.handlers, placed.handlers]).toEqual([1, 1]);
    void publish();
    // Numbers are for who began with what was before.
    expect([plain.heard, plain.places]).toEqual([[{ n: 4 }], [undefined]]);
    expect([placed.heard, placed.places]).toEqual([[{ n: 4 }], [`${ID}:4`]]);
    for (const one of [plain, placed]) subscribers.remove(one);
    void publish();
    expect([plain.heard.length, placed.heard.length]).toEqual([1, 1]);
    expect([plain.handlers, placed.handlers]).toEqual([0, 0]);
  });

  test("is none once it has gone", async () => {
    const { subscribers, publish } = subscribed(1);
    const gone = new Listener();
    const follows: string[] = [];
    const asking = gone.asking({ follows: (event: string) => void follows.push(event) });
    gone.disconnect();
    subscribers.add(gone, asking, false);
    subscribers.replay(gone, asking, false, 1);
    await turn();
    void publish();
    expect([gone.heard, gone.handlers, subscribers.requests]).toEqual([[], 0, []]);
    expect([subscribers.replaying, follows]).toEqual([false, ["p/x", "p/x"]]);
    const going = new Listener();
    subscribers.add(going, going.asking(), true);
    going.disconnect();
    void publish();
    expect([going.heard, subscribers.requests]).toEqual([[], []]);
  });

  test("has asked for it by its last request", async () => {
    const { subscribers } = subscribed(1);
    const [now, late] = [new Listener(), new Listener(true)];
    const [first, second] = [now.asking({ args: 1 }), now.asking({ args: 2 })];
    const asked = () => subscribers.requests.map(([, { args }]) => args);
    subscribers.add(now, first, false);
    expect(subscribers.requests).toEqual([[now, first]]);
    subscribers.add(now, second, false);
    expect(asked()).toEqual([2]);
    subscribers.replay(late, late.asking({ args: 3 }), false, 1);
    expect(asked()).toEqual([2, 3]);
    // Still on its way: it goes on where it is.
    subscribers.add(late, late.asking({ args: 4 }), false);
    expect([asked(), late.stood]).toEqual([[2, 4], [`${ID}:0`]]);
    await turn();
    await turn();
    expect([subscribers.replaying, late.kinds, asked()]).toEqual([false, [1], [2, 4]]);
  });
});

describe("one that begins with what was before", () => {
  const caughtUp = async (subscribers: Subscribers) => {
    while (subscribers.replaying) await turn();
  };

  test("gets that, then what comes, with numbers or by places", async () => {
    const { subscribers, publish } = subscribed(3);
    const [numbered, placed] = [new Listener(), new Listener(true)];
    for (const one of [numbered, placed]) {
      subscribers.add(one, one.asking(), false);
      subscribers.replay(one, one.asking(), false, 2);
      expect(one.handlers).toBe(1);
    }
    expect([subscribers.replaying, numbered.heard]).toEqual([true, []]);
    await caughtUp(subscribers);
    void publish();
    const all = [2, 3, 4];
    expect(numbered.heard).toEqual(all.map((n) => ({ n, seq: n })));
    expect(placed.heard).toEqual(all.map((n) => ({ n })));
    expect(placed.places).toEqual(all.map((n) => `${ID}:${n}`));
    expect(numbered.places).toEqual(all.map(() => undefined));
    expect([numbered.handlers, placed.handlers]).toEqual([1, 1]);
  });

  test("gets nothing behind the end, and who waits for the last of them hears of it", async () => {
    const { ring, subscribers } = subscribed(2);
    const [one, other] = [new Listener(), new Listener()];
    let idle = 0;
    subscribers.idle = () => void idle++;
    subscribers.replay(one, one.asking(), false, 1);
    subscribers.replay(other, other.asking(), false, 1);
    ring.end(EventData.of({ n: 3 }));
    const release = other.hold();
    while (one.heard.length < 3) await turn();
    await turn();
    expect([one.handlers, idle, subscribers.replaying]).toEqual([0, 0, true]);
    release();
    await caughtUp(subscribers);
    expect([other.kinds, other.handlers, idle]).toEqual([[1, 2, 3], 0, 1]);
    expect(subscribers.requests).toEqual([]);
  });

  test("asks once more from another place: it goes on from there alone", async () => {
    const { subscribers } = subscribed(4);
    const client = new Listener();
    subscribers.replay(client, client.asking(), false, 1);
    const last = client.asking();
    subscribers.replay(client, last, false, 3);
    expect(client.handlers).toBe(1);
    await caughtUp(subscribers);
    expect(client.kinds).toEqual([3, 4]);
    expect(subscribers.requests).toEqual([[client, last]]);
  });

  test("goes on its way: the task neither waits for it, nor sends it anything more", async () => {
    const { subscribers, publish } = subscribed(2);
    const client = new Listener();
    client.hold();
    subscribers.replay(client, client.asking(), true, 1);
    await turn();
    const sending = publish();
    expect(await isSettled(sending)).toBe(false);
    client.disconnect();
    await sending;
    await turn();
    expect([client.kinds, subscribers.replaying, client.handlers]).toEqual([[1], false, 0]);
  });

  test("is waited for where it is to miss nothing, and no others are", async () => {
    const { ring, subscribers, publish } = subscribed(2);
    const [follower, owner] = [new Listener(), new Listener()];
    const [readFollower, readOwner] = [follower.hold(), owner.hold()];
    subscribers.replay(follower, follower.asking(), false, 1);
    await turn();
    expect(publish()).toBeUndefined();
    subscribers.replay(owner, owner.asking(), true, 1);
    await turn();
    const sending = publish();
    expect(await isSettled(sending)).toBe(false);
    readOwner();
    await sending;
    expect(owner.kinds).toEqual([1, 2, 3, 4]);
    // It has caught up, and still is one that misses nothing.
    const readMore = owner.hold();
    const next = publish();
    expect(await isSettled(next)).toBe(false);
    readMore();
    await next;
    const final = EventData.of({ type: "final" });
    ring.end(final);
    expect(subscribers.finish(final)).toBeUndefined();
    readFollower();
    await caughtUp(subscribers);
    expect(follower.kinds).toEqual([1, 2, 3, 4, 5, "final"]);
  });

  test("and is to miss nothing has had all of it before the end is", async () => {
    const { ring, subscribers } = subscribed(1);
    const owner = new Listener();
    const read = owner.hold();
    subscribers.replay(owner, owner.asking(), true, 1);
    await turn();
    const final = EventData.of({ type: "final" });
    ring.end(final);
    const finishing = subscribers.finish(final);
    expect(await isSettled(finishing)).toBe(false);
    read();
    await finishing;
    expect(owner.kinds).toEqual([1, "final"]);
  });

  test("alone is told what others have by a reply", async () => {
    const { ring, subscribers } = subscribed(1);
    const [usual, late, placed] = [new Listener(), new Listener(), new Listener(true)];
    subscribers.add(usual, usual.asking(), false);
    for (const one of [late, placed]) subscribers.replay(one, one.asking(), false, 1);
    await caughtUp(subscribers);
    const data = EventData.of({ type: "reply" });
    ring.push(data);
    subscribers.tellLate(data);
    expect([usual.heard, late.heard[1], placed.heard[1]]).toEqual([
      [],
      { type: "reply", seq: 2 },
      { type: "reply" },
    ]);
    expect([late.places[1], placed.places[1]]).toEqual([undefined, `${ID}:2`]);
  });
});

describe("the task waits", () => {
  test("for all of those that are to miss nothing, until they have taken it or are gone", async () => {
    const { subscribers, publish } = subscribed();
    const owners = [new Listener(), new Listener(), new Listener()] as const;
    for (const one of owners) subscribers.add(one, one.asking(), true);
    expect(publish()).toBeUndefined();
    const read = owners.map((one) => one.hold());
    const sending = publish();
    read[0]?.();
    expect(await isSettled(sending)).toBe(false);
    owners[1].disconnect();
    expect(await isSettled(sending)).toBe(false);
    subscribers.remove(owners[2]);
    await sending;
    expect(owners.map(({ kinds }) => kinds)).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
  });

  test("for both of two", async () => {
    const { subscribers, publish } = subscribed();
    const owners = [new Listener(), new Listener()];
    for (const one of owners) subscribers.add(one, one.asking(), true);
    const [first, second] = owners.map((one) => one.hold());
    const sending = publish();
    first?.();
    await turn();
    expect(await isSettled(sending)).toBe(false);
    second?.();
    await sending;
  });

  test("for one of them that is alone, too", async () => {
    const { subscribers, publish } = subscribed();
    const owner = new Listener();
    subscribers.add(owner, owner.asking(), true);
    const read = owner.hold();
    const sending = publish();
    await turn();
    expect(await isSettled(sending)).toBe(false);
    read();
    await sending;
  });

  test("one turn for others that do not take it at once, and not each time", async () => {
    const { subscribers, publish } = subscribed();
    const follower = new Listener();
    subscribers.add(follower, follower.asking(), false);
    expect(publish()).toBeUndefined();
    const read = follower.hold();
    const sending = publish();
    expect(await isSettled(sending)).toBe(false);
    await sending;
    expect(publish()).toBeUndefined();
    read();
    await turn();
    follower.hold();
    expect(publish()).toBeInstanceOf(Promise);
    expect(follower.kinds).toEqual([1, 2, 3, 4]);
  });

  test.each([1, 2])("a turn after each 2048 events that it has sent, to %d", async (many) => {
    const { subscribers, publish } = subscribed();
    const followers = Array.from({ length: many }, () => new Listener());
    for (const one of followers) subscribers.add(one, one.asking(), false);
    for (const round of [1, 2]) {
      for (let n = 1; n < 2048 / many; n++)
        expect([round, n, publish()]).toEqual([round, n, undefined]);
      const sending = publish();
      expect(await isSettled(sending)).toBe(false);
      await sending;
    }
  });

  test("in such a turn for its owner, too", async () => {
    const { subscribers, publish } = subscribed();
    const owner = new Listener();
    subscribers.add(owner, owner.asking(), true);
    for (let n = 1; n < 2048; n++) void publish();
    const read = owner.hold();
    const sending = publish();
    for (let i = 0; i < 5; i++) await turn();
    expect(await isSettled(sending)).toBe(false);
    read();
    await sending;
  });

  test("at the end for those alone that are to miss nothing", async () => {
    for (const lossless of [true, false]) {
      const { ring, subscribers } = subscribed(1);
      const [client, placed, late] = [new Listener(), new Listener(true), new Listener()];
      subscribers.add(placed, placed.asking(), lossless);
      subscribers.replay(late, late.asking(), lossless, 2);
      while (subscribers.replaying) await turn();
      subscribers.add(client, client.asking(), lossless);
      const final = EventData.of({ type: "final" });
      ring.end(final);
      const read = client.hold();
      const finishing = subscribers.finish(final);
      if (lossless) expect(await isSettled(finishing)).toBe(false);
      else expect(finishing).toBeUndefined();
      read();
      await finishing;
      expect([client.heard, client.places]).toEqual([[{ type: "final" }], [undefined]]);
      expect([placed.heard, placed.places]).toEqual([[{ type: "final" }], [`${ID}:2`]]);
      expect(late.heard).toEqual([{ type: "final", seq: 2 }]);
      expect(subscribers.finish(final)).toBeUndefined();
    }
  });

  test("at the end no longer for one that goes", async () => {
    const { subscribers } = subscribed(1);
    const owner = new Listener();
    subscribers.add(owner, owner.asking(), true);
    owner.hold();
    const finishing = subscribers.finish(EventData.of({ type: "final" }));
    expect(await isSettled(finishing)).toBe(false);
    owner.disconnect();
    await finishing;
  });
});

test("one that is to miss nothing from now on is waited for, and one that need not is not any more", async () => {
  const { subscribers, publish } = subscribed();
  const client = new Listener();
  subscribers.add(client, client.asking(), false);
  subscribers.add(client, client.asking(), true);
  const read = client.hold();
  const sending = publish();
  await turn();
  expect(await isSettled(sending)).toBe(false);
  read();
  await sending;
  subscribers.add(client, client.asking(), false);
  client.hold();
  await publish();
  expect(publish()).toBeUndefined();
});

describe("events are taken away", () => {
  const withdrawn = {
    ...{ type: "unsubscribed", pid: 7 },
    info: "the privilege to follow this task was withdrawn",
  };

  test("from those that may not have them any more, at once or once somebody has answered", async () => {
    const { subscribers, publish } = subscribed(1);
    const [may, mayNot, maybe, late] = [0, 1, 2, 3].map(() => new Listener()) as [
      Listener,
      Listener,
      Listener,
      Listener,
    ];
    for (const one of [may, mayNot, maybe]) subscribers.add(one, one.asking(), false);
    late.hold();
    subscribers.replay(late, late.asking(), false, 1);
    await turn();
    const answer = Promise.withResolvers<boolean>();
    const asked: unknown[] = [];
    subscribers.recheck(({ client }) => {
      asked.push(client);
      return client === maybe ? answer.promise : client === may;
    });
    expect(asked).toEqual([may, mayNot, maybe, late]);
    expect([mayNot.heard, maybe.heard, may.heard]).toEqual([[withdrawn], [], []]);
    expect(late.heard).toEqual([{ n: 1, seq: 1 }, withdrawn]);
    expect([late.handlers, subscribers.replaying]).toEqual([0, false]);
    answer.resolve(false);
    await turn();
    void publish();
    expect([mayNot.heard, maybe.heard]).toEqual([[withdrawn], [withdrawn]]);
    expect(may.heard).toEqual([{ n: 2 }]);
  });

  test("but not what it has asked for anew meanwhile", async () => {
    const { subscribers, publish } = subscribed(1);
    const client = new Listener();
    subscribers.add(client, client.asking(), false);
    const answer = Promise.withResolvers<boolean>();
    subscribers.recheck(() => answer.promise);
    subscribers.add(client, client.asking(), false);
    answer.resolve(false);
    await turn();
    void publish();
    expect(client.heard).toEqual([{ n: 2 }]);
  });

  test("with a last one, whose sending may end the connection", () => {
    const { subscribers } = subscribed(1);
    const client = new Listener();
    const request = client.asking();
    subscribers.add(client, request, false);
    const { send } = client;
    client.send = (...given) => {
      client.disconnect();
      return send.apply(client, given);
    };
    subscribers.dismiss(client, request, { type: "bye" });
    expect([client.heard, client.handlers]).toEqual([[{ type: "bye" }], 0]);
  });

  test.each([
    ["clear", [1, 2]],
    ["drop", [1]],
  ] as const)("from all by %s", async (how, taken) => {
    const { subscribers, publish } = subscribed(2);
    const [now, late] = [new Listener(), new Listener()];
    subscribers.add(now, now.asking(), true);
    const read = late.hold();
    subscribers.replay(late, late.asking(), false, 1);
    await turn();
    subscribers[how]();
    expect([now.handlers, late.handlers, subscribers.replaying]).toEqual([
      0,
      2 - taken.length === 1 ? 0 : 1,
      how === "clear",
    ]);
    read();
    await turn();
    await turn();
    expect([now.heard, late.kinds]).toEqual([[], [...taken]]);
    void publish();
    expect(now.heard).toEqual([]);
  });
});
