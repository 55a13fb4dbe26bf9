/** Calls for as long as is wanted: whether memory, descriptors, processes, groups and latency stay what they are. */
import { readdirSync } from "node:fs";
import { connect } from "../../src/client.ts";
import { progress } from "./progress.ts";
import { descendantsOf, descriptorsOf, residentOf } from "./resident.ts";
import { median } from "./statistics.ts";
import type { ServerProcess } from "./server.ts";
import { mib, ms, type Row, table } from "./table.ts";

const VERBS = ["plain/true", "full/true", "warm/true", "full/echo"];
const AT_ONCE = 4;
/** Samples of the whole time; those of the first part are its warm-up. */
const SAMPLES = 12;
const WARM_UP = 4;
/** Parts of growth that are taken for chance: garbage comes and goes, and so does other work on the machine. */
const CHANCE = { memory: 0.15, latency: 0.5 };
/** ms without calls in which what ended is taken apart. */
const REST = 1_000;

export interface Sample {
  /** Seconds since the begin, and calls until then. */
  readonly at: number;
  readonly calls: number;
  readonly rss: number;
  readonly descriptors: number;
  readonly processes: number;
  /** Control groups of the server; undefined where there are none. */
  readonly groups: number | undefined;
  /** ms of a call, median since the last sample. */
  readonly latency: number;
}

export interface Soak {
  readonly samples: readonly Sample[];
  /** What has grown; none: it is flat. */
  readonly grown: readonly string[];
}

export async function measureSoak(server: ServerProcess, seconds: number): Promise<Soak> {
  const client = await connect(`${server.url.replace("http", "ws")}/api`);
  const begin = performance.now();
  const samples: Sample[] = [];
  let calls = 0;
  try {
    for (let n = 1; n <= SAMPLES; n++) {
      const until = begin + (seconds * 1000 * n) / SAMPLES - REST;
      const times: number[] = [];
      const caller = async (): Promise<void> => {
        do {
          const since = performance.now();
          const verb = VERBS[calls++ % VERBS.length] ?? "";
          const { request } = await client.call(`bench/${verb}`, { text: "x" });
          if (request.status !== "success") throw new Error(`${verb}: ${request.info}`);
          times.push(performance.now() - since);
        } while (performance.now() < until);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, caller));
      await Bun.sleep(REST);
      samples.push(look(server.pid, (performance.now() - begin) / 1000, calls, median(times)));
      progress(`soak: ${Math.round((performance.now() - begin) / 1000)} of ${seconds} s`);
    }
  } finally {
    progress("");
    await client.close();
  }
  return { samples, grown: grownOf(samples) };
}

function look(pid: number, at: number, calls: number, latency: number): Sample {
  return {
    ...{ at, calls, latency, rss: residentOf(pid), descriptors: descriptorsOf(pid) },
    ...{ processes: descendantsOf(pid).length, groups: groupsOf(pid) },
  };
}

/** Directories of the groups that are named after the server. */
function groupsOf(pid: number): number | undefined {
  const find = Bun.spawnSync([
    "find",
    "/sys/fs/cgroup",
    "-type",
    "d",
    "-path",
    `*/spawnbox/${pid}-*`,
  ]);
  const count = find.stdout.toString().split("\n").length - 1;
  return count === 0 && readdirSync("/sys/fs/cgroup").length === 0 ? undefined : count;
}

/** Compares the half after the warm-up with the one after that. */
function grownOf(samples: readonly Sample[]): string[] {
  const settled = samples.slice(WARM_UP);
  const half = settled.length >> 1;
  const halves = (key: keyof Sample) =>
    [settled.slice(0, half), settled.slice(half)].map((some) =>
      median(some.map((one) => one[key] ?? 0)),
    );
  const grown: string[] = [];
  const compare = (key: keyof Sample, chance: number) => {
    const [before = 0, after = 0] = halves(key);
    if (after > before * (1 + chance))
      grown.push(`${key}: ${before.toFixed(1)} → ${after.toFixed(1)}`);
  };
  compare("rss", CHANCE.memory);
  for (const key of ["descriptors", "processes", "groups"] as const) compare(key, 0);
  compare("latency", CHANCE.latency);
  return grown;
}

export function printSoak({ samples, grown }: Soak): string {
  const rows = samples.map(({ at, calls, rss, descriptors, processes, groups, latency }): Row => [
    `${at.toFixed(0)} s, ${calls} calls`,
    ...[mib(rss), `${descriptors}`, `${processes}`, `${groups ?? "none"}`, ms(latency)],
  ]);
  return [
    table("soak", ["RSS", "descriptors", "processes", "groups", "p50"], rows),
    grown.length === 0 ? "flat" : `GROWN: ${grown.join("; ")}`,
  ].join("\n");
}
