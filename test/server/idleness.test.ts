/** Which of the connections of a peer has been idle for longest, among any that come, are heard of, and go. */
import { describe, expect, test } from "bun:test";
import { type Guest, Idleness } from "../../src/server/idleness.ts";

class Visitor implements Guest {
  unread = false;
  constructor(public idleSince: number | undefined) {}
  evict(): void {}
}

const LATE = 1e9;

describe("of some", () => {
  const of = (...since: (number | undefined)[]) => {
    const idleness = new Idleness();
    const guests = since.map((one) => new Visitor(one));
    for (const guest of guests) idleness.add(guest);
    const longest = (before = LATE, now = LATE) => {
      const found = idleness.longest(before, now);
      return found && guests.indexOf(found as Visitor);
    };
    return { idleness, guests, longest };
  };

  test("the one that is idle since the earliest, and was so then already", () => {
    const { longest, idleness } = of(5, 3, 9);
    expect([longest(), longest(3), longest(4), idleness.size]).toEqual([1, undefined, 1, 3]);
    expect([of().longest(), of(undefined).longest()]).toEqual([undefined, undefined]);
  });

  test("who is heard of is less idle from then on; who is busy is not at all", () => {
    const { longest, guests } = of(5, 3, 9);
    expect(longest()).toBe(1);
    if (guests[1]) guests[1].idleSince = 7;
    expect(longest()).toBe(0);
    if (guests[0]) guests[0].idleSince = undefined;
    expect(longest(10, 10)).toBe(1);
    if (guests[0]) guests[0].idleSince = 12;
    expect([longest(10, 11), longest(20, 20)]).toEqual([1, 1]);
  });

  test("not one that has said something which nobody has read; it is asked again later", () => {
    const { longest, guests } = of(1, 2, 3);
    for (const guest of guests.slice(0, 2)) guest.unread = true;
    expect([longest(), longest()]).toEqual([2, 2]);
    if (guests[0]) guests[0].unread = false;
    expect(longest()).toBe(0);
  });

  test("not beyond sixteen that have", () => {
    for (const [count, found] of [
      [15, 15],
      [16, undefined],
    ] as const) {
      const { longest, guests } = of(...Array.from({ length: 20 }, (_, i) => i));
      for (const guest of guests.slice(0, count)) guest.unread = true;
      expect(longest()).toBe(found);
    }
  });

  test("none that has gone", () => {
    const { longest, guests, idleness } = of(1, 2, 3);
    const [first, second] = guests as [Visitor, Visitor];
    expect([idleness.delete(first), idleness.delete(first), longest()]).toEqual([true, false, 1]);
    expect([idleness.delete(second), longest(), idleness.size]).toEqual([true, 2, 1]);
  });
});

test("whatever comes, is heard of, and goes", () => {
  // A generator of its own, so that each run is the same.
  let seed = 7;
  const random = (most: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
    return Math.floor((seed / 0x80000000) * most);
  };
  const idleness = new Idleness();
  const all: Visitor[] = [];
  for (let now = 1; now < 5000; now++) {
    const what = random(10);
    const one = all[random(Math.max(all.length, 1))];
    if (what < 4 || !one) {
      const guest = new Visitor(now);
      all.push(guest);
      idleness.add(guest);
    } else if (what < 6) {
      one.idleSince = now;
    } else if (what < 9 && all.length > 60) {
      expect(idleness.delete(one)).toBe(true);
      all.splice(all.indexOf(one), 1);
    }
    expect(idleness.size).toBe(all.length);
    const before = now - random(200);
    const since = Math.min(...all.map(({ idleSince = Infinity }) => idleSince));
    const found = idleness.longest(before, now);
    expect([now, found?.idleSince]).toEqual([now, since < before ? since : undefined]);
  }
});
