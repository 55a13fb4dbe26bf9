/** Orders to end: of a few at once, of hundreds in turns. */
import { expect, test } from "bun:test";
import { type Stoppable, Stops } from "../../src/api/stops.ts";
import type { Asker } from "../../src/api/turns.ts";

const asker = (peer: string): Asker => ({ peer, connection: {} });

class Fake implements Stoppable {
  over = false;
  readonly #ended = new Set<() => void>();
  onEnd(ended: () => void): () => void {
    this.#ended.add(ended);
    return () => this.#ended.delete(ended);
  }
  end(): void {
    this.over = true;
    for (const tell of this.#ended) tell();
  }
  get heard(): number {
    return this.#ended.size;
  }
}

/** So many tasks are to be told; who was, so far. */
function tasks(stops: Stops, from: Asker, count: number): Fake[] {
  const told: Fake[] = [];
  for (let i = 0; i < count; i++) {
    const task = new Fake();
    stops.enter(from, task, () => told.push(task));
  }
  return told;
}

test("one is told at once, of hundreds some, and the others as these end", () => {
  const stops = new Stops();
  const told = tasks(stops, asker("a"), 100);
  expect(told.length).toBeWithin(1, 33);
  for (let i = 0; i < told.length; i++) told[i]?.end();
  expect(told.length).toBe(100);
  expect(tasks(stops, asker("a"), 1).length).toBe(1);
});

test("those that ignore it keep nobody waiting for long, and another client is next", async () => {
  const stops = new Stops();
  const greedy = tasks(stops, asker("a"), 400);
  const modest = tasks(stops, asker("b"), 1);
  expect(modest.length).toBe(0);
  while (modest.length === 0) await Bun.sleep(1);
  expect(greedy.length).toBeLessThan(100);
  while (greedy.length < 400) await Bun.sleep(1);
  await Bun.sleep(100);
  // Nothing of it is left in a task that goes on.
  expect(greedy.filter(({ heard }) => heard > 0).length).toBe(0);
});

test("who has ended meanwhile takes no turn", () => {
  const stops = new Stops();
  const first = tasks(stops, asker("a"), 16);
  const ended = new Fake();
  for (let i = 0; i < 100; i++) stops.enter(asker("a"), ended, () => {});
  const last = tasks(stops, asker("a"), 1);
  ended.end();
  first[0]?.end();
  expect(last.length).toBe(1);
});
