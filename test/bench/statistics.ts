/** Samples of durations, in milliseconds → the few numbers that are printed. */
export interface Summary {
  readonly p50: number;
  readonly p95: number;
  readonly samples: number;
}

/** Nearest rank: a value that was really measured. */
export function percentile(samples: readonly number[], part: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(part * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

export function summarize(samples: readonly number[]): Summary {
  return { p50: median(samples), p95: percentile(samples, 0.95), samples: samples.length };
}
