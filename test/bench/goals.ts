/**
 * What this program is to be as fast as: each row with its baseline, measured in the same rounds, the ratio of the medians, and what
 * that should be. All calls go over one WebSocket or one connection, some milliseconds apart.
 */
import { join } from "node:path";
import { connect } from "../../src/client.ts";
import { linesOf, overRest, overWebSocket } from "./calls.ts";
import { type Contender, interleave, type Pace } from "./interleave.ts";
import { type Kernel, startKernel } from "./kernel.ts";
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
  runtime: "the runtime alone",
  kernelCold: "the kernel alone, cold",
  kernelWarm: "the kernel alone, warm",
} as const;

/**
 * What is compared with what, and what the ratio should be at most. Where that is less than the kernel takes for the sandbox and the
 * runtime for the call, each alone, it is to be near to both together.
 */
const LAUNCHES: readonly (readonly [name: string, baseline: string, goal: number])[] = [
  [NAME.none, NAME.spawn, 1.4],
  [NAME.cold, NAME.bwrap, 0.42],
  [NAME.warm, NAME.spawn, 1.0],
  [NAME.warmWith, NAME.spawnWith, 1.4],
];
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
  const least = join(import.meta.dir, "runtime.ts");
  const runtime = await startServer([process.execPath, least], scratch);
  const kernel = startKernel(scratch);
  const client = await connect(`${url.replace("http", "ws")}/api`);
  const bare = await connect(`${runtime.url.replace("http", "ws")}/api`);
  try {
    const ws = overWebSocket(client);
    const rest = overRest(url);
    for (const verb of ["full/probe", "warm/probe"]) requirePrivate(verb, linesOf(await ws(verb)));
    const settled = () => Bun.sleep(GAP);
    const runs: Readonly<Record<string, () => Promise<unknown> | void>> = {
      [NAME.spawn]: () => spawned(),
      [NAME.spawnWith]: () => spawned(true),
      [NAME.runtime]: () => bare.call("x"),
      [NAME.kernelCold]: () => kernel.once("cold"),
      [NAME.kernelWarm]: () => kernel.once("warm"),
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
    return [...launchGoals(samples, bwrap), ...(await rateGoals(ws, () => bare.call("x"), kernel))];
  } finally {
    kernel.stop();
    await Promise.all([client.close(), bare.close()]);
    await runtime.stop();
  }
}

function launchGoals(
  samples: ReadonlyMap<string, readonly number[]>,
  bwrap: Bwrap | string,
): Goal[] {
  const of = (name: string) => samples.get(name) ?? [];
  const p50 = (name: string) => median(of(name));
  /** What the runtime takes for a call besides the process that it starts. */
  const call = p50(NAME.runtime) - p50(NAME.spawn);
  const floors: Readonly<Record<string, number>> = {
    [NAME.none]: p50(NAME.runtime),
    [NAME.cold]: p50(NAME.kernelCold) + call,
    [NAME.warm]: p50(NAME.kernelWarm) + call,
    [NAME.warmWith]: p50(NAME.kernelWarm) + call,
  };
  const rows = LAUNCHES.map(([name, baseline, wanted]): Goal => {
    const floor = (floors[name] ?? 0) / p50(baseline);
    const goal = floor > 0 ? Math.max(wanted, floor * NEAR) : wanted;
    if (!samples.has(baseline))
      return { name, baseline: `none: bwrap ${String(bwrap)}`, ...quantiles(of(name)), goal };
    const ratio = p50(name) / p50(baseline);
    const reached = ratio <= goal;
    return { name, baseline, ...quantiles(of(name)), ratio, goal, reached };
  });
  const baselines = [NAME.spawn, NAME.bwrap].filter((name) => samples.has(name));
  const over = median(of(NAME.rest)) - median(of(NAME.none));
  return [
    ...baselines.map((name) => ({ name, baseline: "", ...quantiles(of(name)), goal: Number.NaN })),
    ...[NAME.runtime, NAME.kernelCold, NAME.kernelWarm].map((name) => ({
      ...{ name, baseline: NAME.spawn, ...quantiles(of(name)) },
      ...{ ratio: p50(name) / p50(NAME.spawn), goal: Number.NaN },
    })),
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

/** Calls a second, `AT_ONCE` of them at a time. @param took gets the ms of each */
async function rateOf(call: () => Promise<unknown>, took: number[] = []): Promise<number> {
  const begin = performance.now();
  let count = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - begin < TRY) {
      const since = performance.now();
      await call();
      took.push(performance.now() - since);
      count++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  return count / ((performance.now() - begin) / 1000);
}

/** Rates, in turn with those of posix_spawn, of the runtime and of the kernel: medians of a few tries. */
async function rateGoals(
  call: (verb: string) => Promise<unknown>,
  bare: () => Promise<unknown>,
  kernel: Kernel,
): Promise<Goal[]> {
  const [spawns, bares, kernels]: [number[], number[], number[]] = [[], [], []];
  const rates = new Map<string, number[]>(RATES.map(([, verb]) => [verb, []]));
  const times = new Map<string, number[]>(RATES.map(([, verb]) => [verb, []]));
  for (let i = 0; i < TRIES; i++) {
    progress(`${AT_ONCE} outstanding, ${i + 1} of ${TRIES}`);
    spawns.push(spawnRate(AT_ONCE, TRY));
    bares.push(await rateOf(bare));
    kernels.push(await kernel.rate(AT_ONCE, TRY));
    for (const [, verb] of RATES)
      rates.get(verb)?.push(await rateOf(() => call(verb), times.get(verb)));
  }
  progress("");
  const spawn = median(spawns);
  const baseline = `posix_spawn, ${AT_ONCE} at a time: ${spawn.toFixed(0)}/s`;
  /** For a warm one that is taken, another is made. */
  const sandboxed = 1 / (1 / median(kernels) + 1 / median(bares) - 1 / spawn);
  const rows = RATES.map(([name, verb, wanted]): Goal => {
    const rate = median(rates.get(verb) ?? []);
    const ratio = rate / spawn;
    const most = (name === NAME.none ? median(bares) : sandboxed) / spawn;
    const goal = Math.min(wanted, most / NEAR);
    const reached = ratio >= goal;
    return { name: `${name}, ${AT_ONCE} outstanding`, baseline, rate, ratio, goal, reached };
  });
  const floors = [
    [NAME.runtime, median(bares)],
    [NAME.kernelCold, median(kernels)],
  ] as const;
  const cold = quantiles(times.get("full/true") ?? []);
  const ratio = cold.p99 / cold.p50;
  return [
    ...floors.map(([name, rate]): Goal => ({
      ...{ name: `${name}, ${AT_ONCE} outstanding`, baseline, rate },
      ...{ ratio: rate / spawn, goal: Number.NaN },
    })),
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
