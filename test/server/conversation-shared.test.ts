/** A connection of messages among others: what it holds of the memory for all, and how long it may take. */
import { afterEach, describe, expect, jest, test } from "bun:test";
import { LONG } from "../../src/json.ts";
import type { Conversation } from "../../src/server/conversation.ts";
import { Share } from "../../src/share.ts";
import { turns, turnsUntil } from "../launch/turns.ts";
import { until } from "../served.ts";
import { talking } from "./talking.ts";

describe("with what is shared", () => {
  afterEach(() => void jest.useRealTimers());
  const BUSY = "1013 the server is busy, and others need the memory: try again later";
  /** Of 1000 bytes one has most, so that two are too many. */
  async function crowded(favour: number, message: number) {
    const share = new Share(1000, 0, favour);
    const [hog, part] = [share.part(), share.part()];
    hog.set(999);
    const talk = await talking(() => {}, { part });
    talk.reader.message = message;
    return { ...talk, hog, part };
  }

  test("what has come of a message counts, until it is handled and what it has charged is given back", async () => {
    const part = new Share(1000).part();
    const { of } = await talking((_, one) => one.charge(10), { part });
    of.start(Buffer.from("a"));
    expect(part.held).toBe(10);
    of.charge(-10);
    expect(part.held).toBe(0);
    const other = await talking(() => {}, { part });
    other.of.start(Buffer.from("?rest"));
    expect(part.held).toBe(5);
  });

  test("what comes behind the goodbye counts, too", async () => {
    const part = new Share(1000).part();
    const { of, client, heard } = await talking(() => {}, { part });
    of.start(new Uint8Array());
    of.close(1000, "over");
    await until("it is told", () => heard() === "1000 over");
    client.write("?rest");
    await until("it is counted", () => part.held === 5);
  });

  test("who has begun a message is favoured for a time, and then makes room", async () => {
    jest.useFakeTimers();
    const { of, heard } = await crowded(50, 1);
    of.start(Buffer.from("?x"));
    expect(of.heard).toBeUndefined();
    jest.advanceTimersByTime(49);
    await turns(5);
    expect(of.open).toBe(true);
    jest.advanceTimersByTime(1);
    expect(of.open).toBe(false);
    await turnsUntil("it is told why", () => heard() === BUSY);
  });

  test("what is done for who is favoured is part of it, and what is done with is its end", async () => {
    jest.useFakeTimers();
    const { of, part } = await crowded(50, 1);
    of.start(Buffer.from("?x"));
    await turns(5);
    expect(part.favoured).toBe(true);
    of.charge(10);
    expect(part.favoured).toBe(true);
    of.charge(-10);
    expect(part.favoured).toBe(false);
    // Nobody ends it then.
    jest.advanceTimersByTime(60);
    expect(of.open).toBe(true);
  });

  test("who has done what it had begun is favoured no longer", async () => {
    jest.useFakeTimers();
    const { of, part, reader, said, client } = await crowded(50, 1);
    of.start(Buffer.from("?x"));
    await turns(5);
    expect(part.favoured).toBe(true);
    reader.complete();
    client.write("y");
    await turnsUntil("it is handled", () => said.includes("/x"));
    expect(part.favoured).toBe(false);
    expect(of.open).toBe(true);
  });

  test("who goes is favoured no longer", async () => {
    jest.useFakeTimers();
    const { of, part } = await crowded(50, 1);
    of.start(Buffer.from("?x"));
    await turns(5);
    expect(part.favoured).toBe(true);
    of.close(1000, "over");
    expect(part.favoured).toBe(false);
  });

  test("who has it all has only the server to wait for", async () => {
    jest.useFakeTimers();
    const { of, said } = await crowded(50, 0);
    of.start(Buffer.from("?x"));
    jest.advanceTimersByTime(60);
    await turns(5);
    expect([of.open, said]).toEqual([true, []]);
  });

  test("who waits behind one that is favoured goes on when there is room, or goes in the end", async () => {
    for (const isRoom of [true, false]) {
      jest.useFakeTimers();
      const { of, heard, hog, said, client } = await crowded(1 << 30, 0);
      hog.onRoom(
        () => {},
        () => {},
      );
      of.start(Buffer.from("?x"));
      of.hold(false);
      jest.advanceTimersByTime(29_999);
      await turns(5);
      expect([of.open, of.heard, said]).toEqual([true, undefined, []]);
      if (isRoom) {
        hog.set(0);
        await turns(5);
        expect(of.heard).toBeNumber();
        jest.advanceTimersByTime(40_000);
        expect(of.open).toBe(true);
      } else {
        jest.advanceTimersByTime(1);
        expect(of.open).toBe(false);
        await turnsUntil("it is told why", () => heard() === BUSY);
      }
      jest.useRealTimers();
      client.destroy();
    }
  });
});

describe("in time", () => {
  afterEach(() => void jest.useRealTimers());

  test("a long message comes to its end, or ends it", async () => {
    for (const comes of [true, false]) {
      jest.useFakeTimers();
      const { of, reader, heard, client } = await talking(() => {});
      reader.message = LONG + 1;
      of.start(Buffer.from("?"));
      // Nobody is called silent amid such a message.
      expect(of.heard).toBeUndefined();
      jest.advanceTimersByTime(29_999);
      expect(of.open).toBe(true);
      if (comes) {
        reader.message = LONG;
        of.hold(false);
        expect(of.heard).toBeNumber();
      }
      jest.advanceTimersByTime(1);
      expect(of.open).toBe(comes);
      if (!comes)
        await turnsUntil("it is told why", () =>
          heard().startsWith("1013 the rest of a message did not come in time"),
        );
      jest.useRealTimers();
      client.destroy();
    }
  });

  test("a peer that does not end is left, sooner where it has to make room", async () => {
    for (const [limits, act, time] of [
      [{}, (of: Conversation<string>) => of.close(1000, "over"), 3000],
      [{ closing: 70 }, (of: Conversation<string>) => of.close(1000, "over"), 70],
      [{}, (of: Conversation<string>) => of.finish(), 3000],
      [{}, (of: Conversation<string>) => of.evict("others"), 250],
    ] as const) {
      const { raw, of, client, said } = await talking(() => {}, limits);
      // Another end that ends with ours would be none.
      client.allowHalfOpen = true;
      jest.useFakeTimers();
      of.start(new Uint8Array());
      act(of);
      expect(said).toEqual(["gone"]);
      jest.advanceTimersByTime(time - 1);
      expect([time, raw.destroyed]).toEqual([time, false]);
      jest.advanceTimersByTime(1);
      expect([time, raw.destroyed]).toEqual([time, true]);
      await turnsUntil("no timer is left", () => jest.getTimerCount() === 0);
      jest.useRealTimers();
      client.destroy();
    }
  });

  test("who is to go for others and is going already goes at once", async () => {
    const { raw, of, heard } = await talking(() => {});
    of.start(new Uint8Array());
    of.close(1000, "over");
    of.evict("others");
    expect(raw.destroyed).toBe(true);
    const other = await talking(() => {});
    other.of.start(new Uint8Array());
    other.of.evict("others");
    await until("it is told why", () => other.heard() === "1013 others");
    expect(heard()).not.toContain("others");
  });
});
