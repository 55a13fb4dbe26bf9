/** From exec to the first answer, beside the least that any executable of this runtime could need. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildEmpty } from "./empty.ts";
import { progress } from "./progress.ts";
import type { Scratch } from "./scratch.ts";
import { serveCommand, startServer } from "./server.ts";
import { median } from "./statistics.ts";
import { mib, ms, type Row, table } from "./table.ts";

export interface Booting {
  readonly name: string;
  /** Milliseconds, medians. */
  readonly time: number;
  /** Bytes. Anonymous memory is what it costs where the executable's pages are shared or can be dropped. */
  readonly rss: number;
  readonly anonymous: number;
}

/** An executable that prints where it serves, and what answers `pong`. */
export interface Boots {
  readonly name: string;
  readonly cmd: string[];
  readonly path: string;
}

const ROUNDS = 10;

export async function measureBooting(
  executable: string,
  config: string,
  scratch: Scratch,
): Promise<Booting[]> {
  progress("booting");
  const empty = join(scratch.directory, "empty");
  await buildEmpty(empty, process.arch === "arm64" ? "arm64" : "x64");
  const measured = await boots(bootsBeside(executable, config, empty), ROUNDS, scratch);
  progress("");
  return measured;
}

/** What is compared. The config is of an API called `bench`. */
export function bootsBeside(executable: string, config: string, empty: string): Boots[] {
  return [
    { name: "spawnbox serve", cmd: serveCommand(executable, config), path: "/api/bench/ping" },
    { name: "empty Bun.serve, compiled alike", cmd: [empty], path: "/" },
  ];
}

/** Interleaved, from exec to the first answer; medians. */
export async function boots(
  servers: readonly Boots[],
  rounds: number,
  scratch: Scratch,
): Promise<Booting[]> {
  const measured = servers.map((): Omit<Booting, "name">[] => []);
  for (let i = 0; i < rounds; i++) {
    for (const [s, { cmd, path }] of servers.entries()) {
      measured[s]?.push(await boot(cmd, path, scratch));
    }
  }
  return servers.map(({ name }, s) => {
    const of = (key: keyof Omit<Booting, "name">) => median((measured[s] ?? []).map((b) => b[key]));
    return { name, time: of("time"), rss: of("rss"), anonymous: of("anonymous") };
  });
}

async function boot(cmd: string[], path: string, scratch: Scratch) {
  const begin = performance.now();
  const server = await startServer(cmd, scratch);
  const response = await fetch(new URL(path, server.url), { keepalive: false });
  const body = await response.text();
  const time = performance.now() - begin;
  if (!body.includes("pong")) throw new Error(`${cmd.join(" ")}: ${response.status}: ${body}`);
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  const field = (name: string) => {
    const [, kilobytes] = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status) ?? [];
    return Number(kilobytes) * 1024;
  };
  const memory = { rss: field("VmRSS"), anonymous: field("RssAnon") };
  await server.stop();
  return { time, ...memory };
}

export function printBooting(results: readonly Booting[]): string {
  const rows = results.map(({ name, time, rss, anonymous }): Row => {
    return [name, ms(time), mib(rss), mib(anonymous)];
  });
  return table(`exec to first reply, ${ROUNDS} boots`, ["p50", "RSS", "anonymous"], rows);
}
