/**
 * Measures contenders side by side. Each round runs every one once, in an order of its own: what one leaves to the kernel
 * after its end (taking mounts and networks apart) then falls on all alike, and so does the weather of the machine.
 */
import { progress } from "./progress.ts";

export interface Contender {
  readonly name: string;
  /** One run, and ms of it where it has measured itself. Rejects when it did not do what it should: a failure is not a fast run. */
  readonly run: () => Promise<unknown>;
  /** What it does behind a run, which is not of the next one. */
  readonly settled?: () => Promise<unknown>;
}

export interface Pace {
  readonly rounds: number;
  readonly warmUp: number;
  /** Milliseconds after which no further round begins, for machines much slower than ours. */
  readonly budget: number;
}

/** Durations by name, in milliseconds. */
export async function interleave(
  contenders: readonly Contender[],
  { rounds, warmUp, budget }: Pace,
): Promise<Map<string, number[]>> {
  const samples = new Map(contenders.map(({ name }): [string, number[]] => [name, []]));
  const random = generator(1);
  const deadline = performance.now() + budget;
  for (let round = -warmUp; round < rounds; round++) {
    if (round > 0 && performance.now() > deadline) break;
    if (round % 10 === 0) progress(round < 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const { name, run, settled } of shuffled(contenders, random)) {
      const begin = performance.now();
      const own = await run();
      const took = typeof own === "number" ? own : performance.now() - begin;
      if (round >= 0) samples.get(name)?.push(took);
      await settled?.();
    }
  }
  progress("");
  return samples;
}

/** Sorted by random keys. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const order = items.map((item) => ({ item, key: random() }));
  return order.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Park and Miller's minimal standard: the same orders in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}
