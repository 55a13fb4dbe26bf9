/** Milliseconds before the next try to connect: 0.2 s at first, then twice as long each time, 32 s at most. */
export const delayOf = (tries: number): number => Math.min(200 * 2 ** tries, 32_000);
