/** Orders to end: of a few at once, of hundreds in turns. */
import { expect, test } from "bun:test";
import { Stops } from "../../src/api/stops.ts";
import type { Asker } from "../../src/api/turns.ts";

const asker = (peer: string): Asker => ({ peer, connection: {} });

/** Tasks that end when they are told to, or do not care. */
function tasks(stops: Stops, from: Asker, count: number, obedient: boolean) {
  const told: (() => void)[] = [];
  for (let i = 0; i < count; i++) {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    stops.enter(from, ended, () => told.push(resolve));
  }
  const end = (): void => {
    for (const resolve of told.splice(0)) if (obedient) resolve();
  };
  return { told, end };
}

test("one is told at once, of hundreds some, and the others as these end", async () => {
  const stops = new Stops();
  const { told, end } = tasks(stops, asker("a"), 100, true);
  expect(told.length).toBeWithin(1, 33);
  let all = 0;
  for (let round = 0; round < 100 && all < 100; round++) {
    all += told.length;
    end();
    await Promise.resolve();
    await Promise.resolve();
  }
  expect(all).toBe(100);
  const [one] = [tasks(stops, asker("a"), 1, true)];
  expect(one.told.length).toBe(1);
});

test("those that ignore it keep nobody else waiting for long, and another client is next", async () => {
  const stops = new Stops();
  const greedy = tasks(stops, asker("a"), 400, false);
  const modest = tasks(stops, asker("b"), 1, false);
  expect(modest.told.length).toBe(0);
  while (modest.told.length === 0) await Bun.sleep(1);
  expect(greedy.told.length).toBeLessThan(100);
  while (greedy.told.length < 400) await Bun.sleep(1);
});

test("one that has ended meanwhile is told nothing", async () => {
  const stops = new Stops();
  tasks(stops, asker("a"), 100, false);
  let told = false;
  stops.enter(asker("a"), Promise.resolve(), () => (told = true));
  let last = false;
  stops.enter(asker("a"), new Promise(() => {}), () => (last = true));
  while (!last) await Bun.sleep(1);
  expect(told).toBe(false);
});
