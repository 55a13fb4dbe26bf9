/** The text of Prometheus, as far as the page shows it. */

export interface Sample {
  /** Bytes. */
  readonly memory: number;
  readonly launches: number;
  readonly running: number;
}

export function sampleOf(text: string): Sample {
  const sums = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name !== undefined) sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  const sum = (name: string): number => sums.get(name) ?? 0;
  return {
    memory: sum("process_resident_memory_bytes"),
    launches: sum("spawnbox_launches_total"),
    running: sum("spawnbox_tasks_running"),
  };
}
