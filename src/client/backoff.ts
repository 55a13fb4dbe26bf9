/** When to try again: soon at first, then ever more rarely. */

export interface Backoff {
  /** Milliseconds before the first attempt (default 250). */
  readonly first?: number;
  /** Most milliseconds between two (default 15 000). */
  readonly most?: number;
  /** Attempts before giving up (default: no limit). */
  readonly attempts?: number;
}

/**
 * Milliseconds before each attempt: doubled each time, and cut by up to half at random, so that the clients of a server
 * that restarts do not all come at once.
 */
export function* backoff(
  { first = 250, most = 15_000, attempts = Infinity }: Backoff,
  random: () => number = Math.random,
): Generator<number, void, void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const delay = Math.min(most, first * 2 ** attempt);
    yield delay * (1 - random() / 2);
  }
}
