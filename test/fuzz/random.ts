/** Randomness that a seed repeats: one generator for each input, so that any of them can be made again alone. */
import { pick, seeded } from "../config/random.ts";
import type { Random } from "./target.ts";

/** The generator of input `index` of a run. */
export function randomOf(seed: number, name: string, index: number): Random {
  const next = seeded(Bun.hash.xxHash32(`${seed} ${name} ${index}`));
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    pick: (choices) => pick(next, choices),
    once: (times) => below(times) === 0,
    list: (most, make) => Array.from({ length: below(most + 1) }, make),
  };
}

/** Some bytes changed, removed, doubled or put in. */
export function spoil(random: Random, bytes: Uint8Array, most: number): Uint8Array {
  let spoilt = Buffer.from(bytes);
  for (let i = random.below(most + 1); i > 0; i--) {
    const at = random.below(spoilt.length + 1);
    const length = random.below(8);
    switch (random.below(4)) {
      case 0:
        if (at < spoilt.length) spoilt[at] = random.pick([0, 0xff, 0x7f, 0x80, random.below(256)]);
        break;
      case 1:
        spoilt = Buffer.concat([spoilt.subarray(0, at), spoilt.subarray(at + length)]);
        break;
      case 2:
        spoilt = Buffer.concat([spoilt.subarray(0, at + length), spoilt.subarray(at)]);
        break;
      default: {
        const put = Buffer.from(random.list(4, () => random.below(256)));
        spoilt = Buffer.concat([spoilt.subarray(0, at), put, spoilt.subarray(at)]);
      }
    }
  }
  return spoilt;
}
