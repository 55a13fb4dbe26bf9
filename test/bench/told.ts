/**
 * What it costs that calls are told: 10,000 short tasks with an audit, and with metrics that are asked for in between, and with a
 * history besides, beside as many without, a few hundred of each in turn.
 */
import { join } from "node:path";
import { connect } from "../../src/client.ts";
import { processorTime } from "./rates.ts";
import { type Contender, interleave } from "./interleave.ts";
import type { Scratch } from "./scratch.ts";
import { residentOf } from "./resident.ts";
import { serveCommand, startServer } from "./server.ts";
import { median } from "./statistics.ts";
import { mib, type Row, table } from "./table.ts";

/** Tasks of one run, and at a time. */
const TASKS = 400;
const AT_ONCE = 8;
const ROUNDS = 25;
/** ms. */
const BUDGET = 60_000;

export interface Told {
  readonly way: string;
  /** Tasks a second. */
  readonly rate: number;
  /** ms of the server's processor time for each. */
  readonly processor: number;
  /** Bytes that it has, in the second half of the rounds: median, since a moment tells mostly how long ago garbage was collected. */
  readonly memory: number;
  /** Parts of those without, of the same round: median. */
  readonly ratio: number;
}

/** Options of a server, by what is on. */
const waysOf = (scratch: Scratch): Readonly<Record<string, readonly string[]>> => ({
  without: [],
  "audit and metrics": ["--audit", join(scratch.directory, "audit.log")],
  "these and history": [
    ...["--audit", join(scratch.directory, "other.log")],
    ...["--history", join(scratch.directory, "history.db")],
  ],
});

export async function measureTold(
  executable: string,
  config: string,
  scratch: Scratch,
): Promise<Told[]> {
  const ends: (() => Promise<void>)[] = [];
  const contenders: Contender[] = [];
  const processor = new Map<string, number[]>();
  const memory = new Map<string, number[]>();
  try {
    for (const [way, options] of Object.entries(waysOf(scratch))) {
      const server = await startServer([...serveCommand(executable, config), ...options], scratch);
      ends.push(() => server.stop());
      const client = await connect(`${server.url.replace("http", "ws")}/api`);
      const caller = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          const { request } = await client.call("bench/plain/true", null);
          if (request.status !== "success") throw new Error(`${way}: ${request.info}`);
        }
      };
      const spent: number[] = [];
      processor.set(way, spent);
      const resident: number[] = [];
      memory.set(way, resident);
      contenders.push({
        name: way,
        async run() {
          const before = processorTime(server.pid);
          await Promise.all(Array.from({ length: AT_ONCE }, () => caller(TASKS / AT_ONCE)));
          // What a request over REST costs at all is no part of what metrics cost.
          const asked = options.length > 0 ? "/metrics" : "/api/bench/ping";
          await (await fetch(`${server.url}${asked}`)).text();
          spent.push((processorTime(server.pid) - before) / TASKS);
          resident.push(residentOf(server.pid));
        },
      });
    }
    const warmUp = 2;
    const times = await interleave(contenders, { rounds: ROUNDS, warmUp, budget: BUDGET });
    const [plain = []] = times.values();
    return [...times].map(([way, wall]) => ({
      way,
      rate: TASKS / (median(wall) / 1000),
      processor: median(processor.get(way)?.slice(warmUp) ?? []),
      memory: median(laterHalf(memory.get(way) ?? [])),
      ratio: median(wall.map((one, i) => (plain[i] ?? Number.NaN) / one)),
    }));
  } finally {
    for (const end of ends) await end();
  }
}

const laterHalf = (list: readonly number[]): number[] => list.slice(list.length >> 1);

export function printTold(told: readonly Told[]): string {
  const rows = told.map(({ way, rate, processor, memory, ratio }): Row => [
    way,
    `${rate.toFixed(0)}/s`,
    `× ${ratio.toFixed(3)}`,
    `${processor.toFixed(3)} ms`,
    mib(memory),
  ]);
  return table(
    `${ROUNDS * TASKS} short tasks, ${AT_ONCE} at a time`,
    ["rate", "of without", "processor each", "memory"],
    rows,
  );
}
