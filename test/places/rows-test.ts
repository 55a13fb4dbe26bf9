/** What the tests of places share: each place is looked into once, and what is seen is what is committed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { isRoot, type User, users } from "../served.ts";
import { keyOf, lookAll } from "./look.ts";
import type { Place } from "./place.ts";
import { Room } from "./room.ts";
import { type Known, readRows, WRITES, writeRows } from "./rows.ts";
import { isTried } from "../thinned.ts";
import type { Row } from "./seen.ts";

/** ms; a guard against hanging. */
const LIMIT = 120_000;

interface Around {
  /** What the places need, before they are looked into. */
  begin?(room: Room, places: readonly Place[]): Promise<void>;
  /** Undoes it, also where it failed. */
  end?(room: Room): Promise<void>;
}

/** A test of each place and user. @param make the places, in a room that need not exist yet */
export function testPlaces(
  make: (room: Room) => readonly Place[],
  { begin, end }: Around = {},
): void {
  const all = make(new Room("places", { bare: true }));
  const missing = new Map(
    all.map((place) => [place.name, isRoot ? place.missing?.() : "only root can make it"]),
  );
  const there = ({ name }: Place) => missing.get(name) === undefined;
  const rowOf = new Map(all.map(({ name }, row) => [name, row]));
  const usersOf = (place: Place): readonly User[] =>
    place.users ??
    users.filter((user) => WRITES || isTried(rowOf.get(place.name) ?? 0, user, users));
  const seen: Known[] = [];
  let room: Room | undefined;
  let rows: ReadonlyMap<string, Promise<Row>> = new Map();
  beforeAll(async () => {
    if (!all.some(there)) return;
    room = new Room("places");
    const places = make(room).filter(there);
    await begin?.(room, places);
    rows = lookAll(
      places.flatMap((place) => usersOf(place).map((user) => [place, user] as const)),
      room,
    );
  }, LIMIT);
  afterAll(async () => {
    await Promise.allSettled(rows.values());
    if (room) await end?.(room);
    room?.[Symbol.dispose]();
    if (WRITES)
      writeRows(
        seen,
        all.map(({ name }) => name),
        [...new Set(all.map(({ kind }) => kind))],
      );
  }, LIMIT);
  const kinds = new Set(all.map(({ kind }) => kind));
  const known = new Map(
    readRows()
      .filter(({ kind }) => kinds.has(kind))
      .map((row) => [keyOf(row.place, row.user), row]),
  );
  for (const place of all) {
    for (const user of usersOf(place)) {
      const name = keyOf(place.name, user);
      const why = missing.get(place.name);
      if (why !== undefined) {
        // Told even where only failures are.
        console.log(`skipped: ${name}: ${why}`);
        test.skip(`${name}: ${why}`, () => {});
        continue;
      }
      test(
        name,
        async () => {
          const row = await rows.get(name);
          if (!row) throw new Error("it was not looked into");
          seen.push({ ...row, kind: place.kind });
          if (WRITES) return;
          const expected = known.get(name);
          expect(expected, "npm run places writes what is seen").toBeDefined();
          if (expected) {
            const { cells, start } = expected;
            expect({ cells: row.cells, start: row.start }).toEqual({ cells, start });
          }
        },
        LIMIT,
      );
    }
  }
}
