/**
 * Time and memory to compile a config: `bun compiling.ts CONFIG` prints them as JSON. A process of its own each time: boot
 * compiles once, with cold code, and the memory of others must not be in the picture.
 */
import { heapStats } from "bun:jsc";
import { compileConfigs } from "../../src/command-line/apis.ts";
import { manyCommands } from "./configs.ts";
import { captured } from "./processes.ts";
import type { Scratch } from "./scratch.ts";
import { median } from "./statistics.ts";
import { kib, ms, type Row, table } from "./table.ts";

export interface Compiling {
  readonly name: string;
  readonly commands: number;
  /** Milliseconds from the file to plans, the median of a few processes. */
  readonly time: number;
  /** Bytes of the heap that the plans keep. */
  readonly heap: number;
  /** Bytes by which the resident set grew, with what the parser and the compiler left. */
  readonly rss: number;
}

type Measurement = Pick<Compiling, "time" | "heap" | "rss">;

const COMMANDS = 1000;
const PROCESSES = 5;

export async function measureCompiling(scratch: Scratch): Promise<Compiling[]> {
  const results: Compiling[] = [];
  for (const sandboxes of [1, 50]) {
    const config = scratch.json(`many-${sandboxes}.json`, manyCommands(COMMANDS, sandboxes));
    const all: Measurement[] = [];
    for (let i = 0; i < PROCESSES; i++) {
      const printed: unknown = JSON.parse(
        await captured([process.execPath, import.meta.path, config]),
      );
      if (isMeasurement(printed)) all.push(printed);
    }
    const of = (key: keyof Measurement) => median(all.map((one) => one[key]));
    const name = `${COMMANDS} commands in ${sandboxes} sandbox${sandboxes > 1 ? "es" : ""}`;
    results.push({ name, commands: COMMANDS, time: of("time"), heap: of("heap"), rss: of("rss") });
  }
  return results;
}

function isMeasurement(value: unknown): value is Measurement {
  return typeof value === "object" && value !== null && "time" in value && "rss" in value;
}

export function printCompiling(results: readonly Compiling[]): string {
  const rows = results.map(({ name, commands, time, heap, rss }): Row => {
    return [name, ms(time), kib(heap / commands), kib(rss / commands)];
  });
  return table("load and compile", ["time", "heap/command", "RSS/command"], rows);
}

function measureHere(config: string): Measurement {
  const heap = () => {
    Bun.gc(true);
    return heapStats().heapSize + heapStats().extraMemorySize;
  };
  const before = { heap: heap(), rss: process.memoryUsage.rss() };
  const begin = performance.now();
  const plans = compileConfigs(config);
  const time = performance.now() - begin;
  const rss = process.memoryUsage.rss() - before.rss;
  const kept = heap() - before.heap;
  // Still in use here, so that they could not be collected above.
  if (plans.length !== 1) throw new Error("expected one API");
  return { time, heap: kept, rss };
}

if (import.meta.main) console.log(JSON.stringify(measureHere(process.argv[2] ?? "")));
