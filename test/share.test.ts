import { expect, test } from "bun:test";
import { type Part, Share } from "../src/share.ts";
import { seeded } from "./config/random.ts";

test("one takes half, two a third each, and something is left for the next", () => {
  const share = new Share(1200);
  const greedy = [share.part(), share.part(), share.part()];
  const grab = (some: typeof greedy): void => {
    for (let before = -1; before !== share.free;) {
      before = share.free;
      for (const part of some) if (!part.full) part.add(1);
    }
  };
  grab(greedy.slice(0, 1));
  expect(share.free).toBeWithin(598, 602);
  grab(greedy.slice(0, 2));
  expect(greedy[1]?.held).toBeWithin(298, 402);
  grab(greedy);
  expect(share.free).toBeGreaterThan(100);
  for (const part of greedy) part.close();
  expect(share.free).toBe(1200);
});

test("who waits goes on when there is room again, and gives nothing back twice", async () => {
  const share = new Share(100);
  const [first, second] = [share.part(), share.part()];
  first.add(90);
  second.add(20);
  const gone: string[] = [];
  second.onRoom(() => gone.push("second"));
  await Bun.sleep(0);
  expect(gone).toEqual([]);
  first.close();
  first.add(-90);
  await Bun.sleep(0);
  expect(gone).toEqual(["second"]);
  expect(share.free).toBe(80);
});

test("of those that wait for one another, one at a time finishes", async () => {
  const share = new Share(100);
  const parts = Array.from({ length: 5 }, () => share.part());
  for (const part of parts) part.add(30);
  const finished: number[] = [];
  parts.forEach((part, i) =>
    part.onRoom(
      () => {
        finished.push(i);
        // It holds more for a moment, then nothing.
        part.add(10);
        setTimeout(() => {
          part.add(-40);
          part.finished();
        });
      },
      () => finished.push(-1),
    ),
  );
  while (finished.length < 5 || share.free < 100) await Bun.sleep(1);
  expect(new Set(finished).size).toBe(5);
  expect(finished[0]).toBe(0);
  expect(share.free).toBe(100);
});

test("a trifle is free, whatever others hold; who does not finish is told so", async () => {
  const share = new Share(100, 10, 50);
  const [greedy, modest, slow] = [share.part(), share.part(), share.part()];
  greedy.add(120);
  modest.add(10);
  expect([greedy.full, modest.full]).toEqual([true, false]);
  modest.add(1);
  expect(modest.full).toBe(true);
  slow.add(20);
  const late = Promise.withResolvers<void>();
  await new Promise<void>((resolve) => slow.onRoom(resolve, late.resolve));
  expect(slow.favoured).toBe(true);
  await late.promise;
  slow.close();
  expect(slow.favoured).toBe(false);
});

test("whatever is taken, given back and waited for: who may go on does, and who may not waits", async () => {
  const random = seeded(7);
  const below = (n: number): number => Math.floor(random() * n);
  for (let round = 0; round < 100; round++) {
    const share = new Share(100, below(2) * 5, 1_000_000);
    const parts = Array.from({ length: 8 }, () => share.part());
    const waits: { readonly part: Part; on: boolean }[] = [];
    for (let step = 0; step < 60; step++) {
      const part = parts[below(parts.length)];
      if (!part) throw new Error("there are eight");
      const what = below(8);
      if (what < 3) part.add(below(30));
      else if (what < 6) part.add(-below(part.held + 1));
      else if (part.full) {
        const wait = { part, on: false };
        waits.push(wait);
        part.onRoom(
          () => {
            wait.on = true;
          },
          what === 6 ? () => {} : undefined,
        );
      } else if (part.favoured) part.finished();
      // As they had room at some moment, they may be full again.
      for (let i = 0; i < 3; i++) await Promise.resolve();
      const left = waits.filter(({ on }) => !on);
      // What was taken only now makes no difference to who goes on; what was given back does.
      if (what >= 3) expect(left.every(({ part }) => part.full)).toBe(true);
    }
    for (const part of parts) part.close();
    await Promise.resolve();
    expect(waits.every(({ on }) => on)).toBe(true);
  }
});
