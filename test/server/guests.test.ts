/** Who is connected: shares of peers, and who goes first. */
import { expect, test } from "bun:test";
import { Guests } from "../../src/server/guests.ts";
import type { Guest } from "../../src/server/idleness.ts";

class Visitor implements Guest {
  evicted = false;
  constructor(
    readonly idleSince: number | undefined,
    readonly unread = false,
  ) {}
  evict(): void {
    this.evicted = true;
  }
}
const busy = () => new Visitor(undefined);

test("one peer may have most, never all: there is room for another", () => {
  const guests = new Guests(40, () => 1000);
  const admitted = Array.from({ length: 100 }, busy).filter((one) => guests.admit("a", one));
  expect(admitted.length).toBeWithin(28, 32);
  expect(guests.admit("b", busy())).toBe(true);
  for (const one of admitted) guests.leave("a", one);
  expect(guests.admit("a", busy())).toBe(true);
});

test("beyond its share the one of its own that is idle for longest makes room", () => {
  const guests = new Guests(4, () => 1000);
  const mine = [new Visitor(3), busy(), new Visitor(1)];
  const other = new Visitor(0);
  expect(guests.admit("b", other)).toBe(true);
  for (const one of mine) guests.admit("a", one);
  const next = new Visitor(9);
  expect(guests.admit("a", next)).toBe(true);
  expect([...mine, other].map(({ evicted }) => evicted)).toEqual([false, false, true, false]);
});

test("who has said something that was not heard yet is not idle", () => {
  const guests = new Guests(4, () => 1000);
  const [unheard, quiet] = [new Visitor(1, true), new Visitor(2)];
  for (const one of [unheard, quiet, busy()]) guests.admit("a", one);
  expect(guests.admit("a", busy())).toBe(true);
  expect([unheard.evicted, quiet.evicted]).toEqual([false, true]);
  expect(guests.admit("a", busy())).toBe(false);
});

test("a full door: who has most gives way, and where none is idle the next is refused", () => {
  const guests = new Guests(3, () => 1000);
  const many = [busy(), new Visitor(5)];
  guests.admit("a", many[0]!);
  guests.admit("b", busy());
  guests.admit("a", many[1]!);
  expect(guests.admit("c", busy())).toBe(true);
  expect(many[1]?.evicted).toBe(true);
  expect(guests.admit("d", busy())).toBe(false);
});

test("who has most is known, whoever came first", () => {
  const guests = new Guests(4, () => 1000);
  const all = ["few", "many", "many", "others"].map((peer) => ({ peer, one: new Visitor(5) }));
  for (const { peer, one } of all) expect(guests.admit(peer, one)).toBe(true);
  expect(guests.admit("next", busy())).toBe(true);
  expect(all.filter(({ one }) => one.evicted).map(({ peer }) => peer)).toEqual(["many"]);
});

test("who stays whose it is needs no place anew, however full it is by now", () => {
  const guests = new Guests(8, () => 1000);
  const mine = Array.from({ length: 6 }, busy);
  for (const one of mine) expect(guests.admit("a", one)).toBe(true);
  for (const one of [busy(), busy()]) expect(guests.admit("b", one)).toBe(true);
  expect(guests.move("a", "a", mine[0]!)).toBe(true);
});

test("a full door: where who has most is never idle, the next who is makes room", () => {
  const guests = new Guests(4, () => 1000);
  guests.admit("a", busy());
  guests.admit("a", busy());
  guests.admit("b", busy());
  const idle = new Visitor(7);
  guests.admit("c", idle);
  expect(guests.admit("d", busy())).toBe(true);
  expect(idle.evicted).toBe(true);
  expect(guests.admit("e", busy())).toBe(false);
});

test("the one that is idle for longest is found, also where they come and go, and without looking at all", () => {
  let now = 1000;
  let looks = 0;
  class Moody implements Guest {
    since: number | undefined = now;
    here = true;
    readonly unread = false;
    get idleSince(): number | undefined {
      looks++;
      return this.since;
    }
    evict(): void {
      this.here = false;
    }
  }
  const guests = new Guests(1000, () => now);
  let crowd: Moody[] = [];
  let evicted = 0;
  let mistakes = 0;
  for (let i = 0; i < 5000; i++) {
    now += 1;
    // One is heard of, one becomes busy, one that was is idle from now on, and one leaves.
    const pick = (step: number): Moody | undefined => crowd[(i * step) % crowd.length];
    const heard = pick(7);
    if (heard?.since !== undefined) heard.since = now;
    const busied = i % 3 === 0 ? pick(11) : undefined;
    if (busied) busied.since = undefined;
    for (const ready of crowd) if (ready.since === undefined && i % 50 === 0) ready.since = now;
    const leaving = i % 10 === 0 ? pick(13) : undefined;
    if (leaving) guests.leave("a", leaving);
    crowd = crowd.filter((one) => one !== leaving);
    const next = new Moody();
    const idle = crowd.filter(({ since = Infinity }) => since < now - 500);
    const longest = Math.min(...idle.map(({ since = Infinity }) => since));
    if (!guests.admit("a", next)) continue;
    const gone = crowd.find(({ here }) => !here);
    if (gone) evicted++;
    if (gone && gone.since !== longest) mistakes++;
    crowd = [...crowd.filter(({ here }) => here), next];
  }
  expect(mistakes).toBe(0);
  expect(evicted).toBeGreaterThan(1000);
  expect(crowd.length).toBeGreaterThan(700);
  expect(looks).toBeLessThan(50_000);
});
