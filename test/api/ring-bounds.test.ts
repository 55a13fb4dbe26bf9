/** How much a ring keeps, to the byte: of its own, of all together, and for how long. */
import { describe, expect, test } from "bun:test";
import { totalmem } from "node:os";
import { EventData } from "../../src/api/event-data.ts";
import { Ring, RING, RINGS, Rings, sizeOf } from "../../src/api/ring.ts";

/** An event that takes so many bytes in all, of which 32 are for itself. */
const of = (size: number, digit = 1) => EventData.written(`${digit}`.repeat(size - 32));
const fill = (ring: Ring, count: number, size = 33) => {
  for (let n = 0; n < count; n++) ring.push(of(size));
};

test("bounds where nobody says otherwise", () => {
  expect([RING, RINGS]).toEqual([262144, Math.min(8388608, Math.floor(totalmem() / 64))]);
  expect(new Rings().most).toBe(RINGS);
  expect(sizeOf("12345")).toBe(37);
});

describe("a ring", () => {
  test("keeps as many bytes as it may, and beyond lets a sixteenth go", () => {
    const ring = new Ring(3300, new Rings());
    fill(ring, 100);
    expect([ring.first, ring.last, ring.bytes]).toEqual([1, 100, 3300]);
    fill(ring, 1);
    expect([ring.first, ring.last, ring.bytes]).toEqual([9, 101, 93 * 33]);
    fill(ring, 7);
    expect([ring.first, ring.bytes]).toEqual([9, 3300]);
  });

  test("keeps an event that is as large as itself, and none that is larger", () => {
    const ring = new Ring(100, new Rings());
    ring.push(of(100));
    expect([ring.first, ring.last, ring.bytes]).toEqual([1, 1, 100]);
    ring.push(of(101));
    expect([ring.first, ring.last, ring.bytes, ring.at(1)]).toEqual([3, 2, 0, undefined]);
    expect(ring.goneSince(0, 0)).toEqual({ events: 2, bytes: 201 });
  });

  test("of no size does not even write its events", () => {
    let isWritten = false;
    const ring = new Ring(0, new Rings());
    ring.push(EventData.of({ toJSON: () => (isWritten = true) }));
    expect(isWritten).toBe(false);
    expect([ring.last, ring.goneSince(0, 0)]).toEqual([1, { events: 1 }]);
    const small = new Ring(1, new Rings());
    small.push(EventData.of({ a: 1 }));
    expect(small.goneSince(0, 0)).toEqual({ events: 1, bytes: 39 });
  });

  test("has what it keeps by its numbers, and nothing else", () => {
    const ring = new Ring(33 * 20, new Rings(), 5);
    expect([ring.first, ring.last, ring.at(5), ring.at(6)]).toEqual([6, 5, undefined, undefined]);
    const digits = Array.from({ length: 40 }, (_, i) => i % 10);
    for (const digit of digits) ring.push(of(33, digit));
    const { first, last } = ring;
    expect([last, first > 25]).toEqual([45, true]);
    for (let number = -70; number < 150; number++) {
      const expected = number < first || number > last ? undefined : `${digits[number - 6]}`;
      expect([number, ring.jsonAt(number)]).toEqual([number, expected]);
      expect(ring.at(number)?.json).toEqual(expected);
    }
  });

  test("knows how many bytes went before, as far as that is still there", () => {
    const ring = new Ring(200, new Rings());
    for (const size of [40, 50, 60]) ring.push(of(size));
    expect([-1, 0, 1, 2, 3, 9].map((number) => ring.sumAt(number))).toEqual([
      ...[0, 0, 40, 90, 150, 150],
    ]);
    ring.push(of(55));
    // Down to 187 bytes: the first has gone.
    expect([ring.first, ring.bytes]).toEqual([2, 165]);
    ring.push(of(36));
    expect([ring.first, ring.bytes]).toEqual([3, 151]);
    expect([0, 1, 2, 3, 4, 5].map((number) => ring.sumAt(number))).toEqual([
      ...[0, undefined, 90, 150, 205, 241],
    ]);
    expect(ring.goneSince(0, 0)).toEqual({ events: 2, bytes: 90 });
    expect(ring.goneSince(1, 40)).toEqual({ events: 1, bytes: 50 });
    expect(ring.goneSince(1, undefined)).toEqual({ events: 1 });
    expect([ring.goneSince(2, 90), ring.goneSince(5, 241)]).toEqual([undefined, undefined]);
    expect(ring.over).toBe(false);
    ring.end(of(99));
    // Of the end, which stays, no bytes are counted.
    expect([ring.over, ring.last, ring.bytes, ring.sumAt(6)]).toEqual([true, 6, 151, 241]);
    ring.shed(Infinity);
    expect([ring.first, ring.bytes, ring.jsonAt(6)]).toEqual([6, 0, of(99).json]);
    expect([4, 5, 6].map((number) => ring.sumAt(number))).toEqual([undefined, 241, 241]);
  });

  test("lets go as many bytes as it is told to, at least", () => {
    const ring = new Ring(1000, new Rings());
    fill(ring, 10, 50);
    ring.shed(100);
    expect([ring.first, ring.bytes]).toEqual([3, 400]);
    ring.shed(101);
    expect([ring.first, ring.bytes]).toEqual([6, 250]);
    ring.skip(7);
    expect([ring.first, ring.last, ring.bytes]).toEqual([12, 11, 0]);
    expect(ring.goneSince(0, 0)).toEqual({ events: 11, bytes: 507 });
  });
});

describe("all rings", () => {
  test("hear of four kibibytes at a time, and of the end", () => {
    const rings = new Rings();
    const ring = new Ring(1 << 20, rings);
    ring.push(of(4096));
    expect([ring.bytes, rings.bytes]).toEqual([4096, 0]);
    fill(ring, 1, 64);
    expect(rings.bytes).toBe(4160);
    const other = new Rings();
    new Ring(1 << 20, other).push(of(4097));
    expect(other.bytes).toBe(4097);
    fill(ring, 1, 64);
    expect(rings.bytes).toBe(4160);
    ring.end(of(64));
    expect(rings.bytes).toBe(4224);
  });

  test("hear of as many that have gone", () => {
    for (const [events, known] of [
      [65, 4160],
      [66, 64],
    ] as const) {
      const rings = new Rings();
      const ring = new Ring(1 << 20, rings);
      fill(ring, events, 64);
      if (events > 65) ring.shed(0);
      ring.skip(1);
      fill(ring, 1, 64);
      // 4160 that have gone and 64 that have come are 4096; 4224 and 64 are more.
      expect(rings.bytes).toBe(known);
    }
  });

  test("beyond what they may: of the largest an eighth goes, or as much as is too much", () => {
    for (const [most, events, first] of [
      // 8250 bytes: an eighth is 1031.
      [8000, 250, 33],
      // As much as there may be.
      [4125, 125, 1],
    ] as const) {
      const ring = new Ring(1 << 20, new Rings(most));
      fill(ring, events);
      expect(ring.first).toBe(first);
    }
    const rings = new Rings(4000);
    const ring = new Ring(1 << 20, rings);
    ring.push(of(1000));
    fill(ring, 1, 5000);
    expect([ring.first, ring.bytes, rings.bytes]).toEqual([3, 0, 0]);
  });

  test("of two that are as large, the one that was there first", () => {
    const rings = new Rings(9000);
    const [one, other, third] = [0, 1, 2].map(() => new Ring(1 << 20, rings));
    fill(one as Ring, 125);
    fill(other as Ring, 125);
    expect(rings.bytes).toBe(8250);
    third?.push(of(1000));
    third?.end(of(40));
    expect([one, other, third].map((ring) => (ring?.first ?? 0) > 1)).toEqual([true, false, false]);
  });

  test("do without one that is closed, once nobody takes from it", () => {
    const make = () => {
      const rings = new Rings();
      const ring = new Ring(1 << 20, rings);
      fill(ring, 10);
      ring.end(of(40));
      return { rings, ring };
    };
    const free = make();
    free.ring.close();
    expect([free.ring.bytes, free.rings.bytes, free.ring.at(10)]).toEqual([0, 0, undefined]);
    const once = make();
    once.ring.hold();
    once.ring.close();
    expect(once.ring.bytes).toBe(330);
    once.ring.letGo();
    expect(once.ring.bytes).toBe(0);
    const { rings, ring } = make();
    ring.hold();
    ring.letGo();
    expect(ring.bytes).toBe(330);
    ring.hold();
    ring.hold();
    ring.close();
    ring.letGo();
    expect([ring.bytes, rings.bytes, ring.at(10)?.json]).toEqual([330, 330, "1"]);
    ring.letGo();
    expect([ring.bytes, rings.bytes, ring.at(10)]).toEqual([0, 0, undefined]);
    expect(ring.at(11)?.json).toBe(of(40).json);
  });
});
