/** Several machines at a time: each keeps hardly more than one processor busy, as it is emulated or waits. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** KiB that one machine takes on the host, with some to spare. */
const MEMORY = 2 << 20;
/** More would only wait for the disk. */
const MOST = 4;

/** How many machines this host can have at a time. */
export function lanesHere(): number {
  const [, free] = /^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
  const room = Math.floor(Number(free ?? 0) / MEMORY);
  return Math.max(1, Math.min(availableParallelism(), room, MOST));
}

/** Works through the jobs in their order, so many at a time. When one fails, none is begun any more. */
export async function inLanes<T>(
  count: number,
  jobs: readonly T[],
  work: (job: T) => Promise<void>,
): Promise<void> {
  const waiting = [...jobs];
  const lane = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      try {
        await work(job);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: count }, lane));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
}
