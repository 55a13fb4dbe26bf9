/**
 * What this program is to be as fast as: each row with its baseline, measured in the same rounds, the ratio of the medians, and what
 * that should be. All calls go over one WebSocket or one connection, some milliseconds apart.
 */
import { join } from "node:path";
import { connect } from "../../src/client.ts";
import { linesOf, overRest, overWebSocket } from "./calls.ts";
import { type Contender, interleave, type Pace } from "./interleave.ts";
import { type Bwrap, captured, requirePrivate } from "./processes.ts";
import { progress } from "./progress.ts";
import type { Scratch } from "./scratch.ts";
import { startServer } from "./server.ts";
import { spawned, spawnRate } from "./spawning.ts";
import { median, percentile } from "./statistics.ts";
import { ms, type Row, table } from "./table.ts";

/** ms from one call to the next, in which what the last one left is taken apart, and the pool filled. */
const GAP = 8;

const NAME = {
  spawn: "posix_spawn",
  spawnWith: "posix_spawn, an argument",
  bwrap: "bwrap, same policy",
  none: "no sandbox",
  cold: "full sandbox, cold",
  warm: "full sandbox, warm",
  warmWith: "full sandbox, warm, an argument",
  rest: "no sandbox, over REST",
  floor: "the runtime alone",
} as const;

/** What is compared with what, and what the ratio should be at most. */
const LAUNCHES: readonly (readonly [name: string, baseline: string, goal: number])[] = [
  [NAME.none, NAME.spawn, 1.4],
  [NAME.cold, NAME.bwrap, 0.42],
  [NAME.warm, NAME.spawn, 1.0],
  [NAME.warmWith, NAME.spawnWith, 1.4],
];
/** Of what the runtime alone takes: as near as that. */
const NEAR = 1.15;
/** ms that a call over REST may take longer than over the WebSocket. */
const REST_GOAL = 0.15;

/** Outstanding calls of the rates; ms of each try, and tries: in turn with those of posix_spawn. */
const AT_ONCE = 8;
const TRY = 1_500;
const TRIES = 3;
/** Verb, and which part of the rate of posix_spawn it should reach. */
const RATES: readonly (readonly [name: string, verb: string, goal: number])[] = [
  [NAME.none, "plain/true", 0.6],
  [NAME.cold, "full/true", 0.4],
  [NAME.warm, "warm/true", 0.5],
];
const TAIL_GOAL = 2.5;

export interface Goal {
  readonly name: string;
  /** What it is compared with; why there is none. */
  readonly baseline: string;
  /** ms; undefined for rates. */
  readonly p50?: number;
  readonly p95?: number;
  readonly p99?: number;
  /** Of the baseline's median, or rate; undefined without a baseline. */
  readonly ratio?: number;
  readonly goal: number;
  readonly reached?: boolean;
  /** Of rates: more is better. */
  readonly rate?: number;
}

export async function measureGoals(
  { url, bwrap }: { readonly url: string; readonly bwrap: Bwrap | string },
  pace: Pace,
  scratch: Scratch,
): Promise<Goal[]> {
  const least = join(import.meta.dir, "floor-server.ts");
  const floor = await startServer([process.execPath, least], scratch);
  const client = await connect(`${url.replace("http", "ws")}/api`);
  const bare = await connect(`${floor.url.replace("http", "ws")}/api`);
  try {
    const ws = overWebSocket(client);
    const rest = overRest(url);
    for (const verb of ["full/probe", "warm/probe"]) requirePrivate(verb, linesOf(await ws(verb)));
    const settled = () => Bun.sleep(GAP);
    const runs: Readonly<Record<string, () => Promise<unknown> | void>> = {
      [NAME.spawn]: () => spawned(),
      [NAME.spawnWith]: () => spawned(true),
      [NAME.floor]: () => bare.call("x"),
      [NAME.none]: () => ws("plain/true"),
      [NAME.cold]: () => ws("full/true"),
      [NAME.warm]: () => ws("warm/true"),
      [NAME.warmWith]: () => ws("warm/echo", { text: "x" }),
      [NAME.rest]: () => rest("plain/true"),
      ...(typeof bwrap === "object" && {
        [NAME.bwrap]: () => captured([...bwrap.command, "/bin/true"]),
      }),
    };
    const contenders = Object.entries(runs).map(([name, run]): Contender => ({
      name,
      settled,
      run: async () => run(),
    }));
    const samples = await interleave(contenders, pace);
    return [...launchGoals(samples, bwrap), ...(await rateGoals(ws))];
  } finally {
    await Promise.all([client.close(), bare.close()]);
    await floor.stop();
  }
}

function launchGoals(
  samples: ReadonlyMap<string, readonly number[]>,
  bwrap: Bwrap | string,
): Goal[] {
  const of = (name: string) => samples.get(name) ?? [];
  const least = median(of(NAME.floor)) / median(of(NAME.spawn));
  const rows = LAUNCHES.map(([name, baseline, wanted]): Goal => {
    // Where that is less than the runtime alone takes, it is to be near to that.
    const goal = name === NAME.none ? Math.max(wanted, least * NEAR) : wanted;
    if (!samples.has(baseline))
      return { name, baseline: `none: bwrap ${String(bwrap)}`, ...quantiles(of(name)), goal };
    const ratio = median(of(name)) / median(of(baseline));
    const reached = ratio <= goal;
    return { name, baseline, ...quantiles(of(name)), ratio, goal, reached };
  });
  const baselines = [NAME.spawn, NAME.bwrap].filter((name) => samples.has(name));
  const over = median(of(NAME.rest)) - median(of(NAME.none));
  return [
    ...baselines.map((name) => ({ name, baseline: "", ...quantiles(of(name)), goal: Number.NaN })),
    {
      ...{ name: NAME.floor, baseline: NAME.spawn, ...quantiles(of(NAME.floor)) },
      ...{ ratio: least, goal: Number.NaN },
    },
    ...rows,
    {
      ...{ name: `${NAME.rest}: ${ms(over)} more`, baseline: `${NAME.none}, over WebSocket` },
      ...{ ...quantiles(of(NAME.rest)), ratio: over, goal: REST_GOAL, reached: over <= REST_GOAL },
    },
  ];
}

const quantiles = (times: readonly number[]) => ({
  p50: median(times),
  p95: percentile(times, 0.95),
  p99: percentile(times, 0.99),
});

/** Rates, in turn with those of posix_spawn, medians of a few tries. */
async function rateGoals(call: (verb: string) => Promise<unknown>): Promise<Goal[]> {
  const spawns: number[] = [];
  const rates = new Map<string, number[]>(RATES.map(([, verb]) => [verb, []]));
  const times = new Map<string, number[]>(RATES.map(([, verb]) => [verb, []]));
  for (let i = 0; i < TRIES; i++) {
    progress(`${AT_ONCE} outstanding, ${i + 1} of ${TRIES}`);
    spawns.push(spawnRate(AT_ONCE, TRY));
    for (const [, verb] of RATES) {
      const begin = performance.now();
      const taken = times.get(verb) ?? [];
      let count = 0;
      const caller = async (): Promise<void> => {
        while (performance.now() - begin < TRY) {
          const since = performance.now();
          await call(verb);
          taken.push(performance.now() - since);
          count++;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, caller));
      rates.get(verb)?.push(count / ((performance.now() - begin) / 1000));
    }
  }
  progress("");
  const spawn = median(spawns);
  const baseline = `posix_spawn, ${AT_ONCE} at a time: ${spawn.toFixed(0)}/s`;
  const rows = RATES.map(([name, verb, goal]): Goal => {
    const rate = median(rates.get(verb) ?? []);
    const ratio = rate / spawn;
    const reached = ratio >= goal;
    return { name: `${name}, ${AT_ONCE} outstanding`, baseline, rate, ratio, goal, reached };
  });
  const cold = quantiles(times.get("full/true") ?? []);
  const ratio = cold.p99 / cold.p50;
  return [
    ...rows,
    {
      ...{ name: `p99 of cold, ${AT_ONCE} outstanding`, baseline: "its p50", ...cold, ratio },
      ...{ goal: TAIL_GOAL, reached: ratio <= TAIL_GOAL },
    },
  ];
}

const figure = (value: number | undefined): string => (value === undefined ? "" : ms(value));

/** The goal of one row, and whether it is reached. */
function verdict({ goal, rate, reached }: Goal): string {
  if (Number.isNaN(goal)) return "";
  const sign = rate === undefined ? "≤" : "≥";
  return `${sign} ${Number(goal.toFixed(2))}${reached === undefined ? ": not known" : reached ? ": reached" : ": missed"}`;
}

export function printGoals(goals: readonly Goal[]): string {
  const rows = goals.map((goal): Row => {
    const { name, baseline, p50, p95, p99, ratio, rate } = goal;
    return [
      ...[
        name,
        rate === undefined ? figure(p50) : `${rate.toFixed(0)}/s`,
        figure(p95),
        figure(p99),
      ],
      ...[ratio?.toFixed(2) ?? "", verdict(goal), baseline && `/ ${baseline}`],
    ];
  });
  const columns = ["p50, rate", "p95", "p99", "ratio", "goal", "baseline"];
  return table(`goals, over one WebSocket, calls ${GAP} ms apart, interleaved`, columns, rows);
}
