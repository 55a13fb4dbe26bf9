/** From exec to the first answer, beside the least that any executable of this runtime could need; with 1,000 commands, too. */
import { join } from "node:path";
import { manyCommands } from "./configs.ts";
import { buildEmpty } from "./empty.ts";
import { captured } from "./processes.ts";
import { progress } from "./progress.ts";
import { residentOf } from "./resident.ts";
import type { Scratch } from "./scratch.ts";
import { serveCommand, startServer } from "./server.ts";
import { median } from "./statistics.ts";
import { mib, ms, type Row, table } from "./table.ts";

export interface Booting {
  readonly name: string;
  /** Milliseconds until it says where it serves, and until the first answer; medians. */
  readonly banner: number;
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
  /** ms after the first answer when its memory is looked at. */
  readonly rest?: number;
}

const ROUNDS = 10;
/** ms in which a server that nobody calls comes to rest. */
const REST = 2_000;
/** ms to the first answer, and to the banner with 1,000 commands; MiB of that one at rest. */
const GOALS = { config: 20, plan: 15, banner: 120, rss: 65 };
const NAMES = {
  config: "spawnbox serve",
  plan: "spawnbox serve --plan",
  mcp: "spawnbox serve --mcp",
  bare: "spawnbox serve --no-console",
  many: "1,000 commands, full sandboxes",
  empty: "empty Bun.serve, compiled alike",
};

export async function measureBooting(
  executable: string,
  config: string,
  scratch: Scratch,
): Promise<Booting[]> {
  progress("booting");
  const empty = join(scratch.directory, "empty");
  await buildEmpty(empty, process.arch === "arm64" ? "arm64" : "x64");
  const plan = join(scratch.directory, "bench.plan");
  await captured([executable, "compile", config, "-o", plan]);
  const many = scratch.json("many.json", manyCommands(1000, 50));
  const [, ...rest] = serveCommand(executable, config);
  const withPlan = [
    executable,
    ...rest.map((word) => ({ "--config": "--plan", [config]: plan })[word] ?? word),
  ];
  const [own, least] = bootsBeside(executable, config, empty);
  if (!own || !least) throw new Error("there are two");
  const measured = await boots(
    [
      own,
      { name: NAMES.plan, cmd: withPlan, path: own.path },
      // What nobody has asked for yet costs nothing.
      { name: NAMES.mcp, cmd: [...own.cmd, "--mcp"], path: own.path },
      { name: NAMES.bare, cmd: [...own.cmd, "--no-console"], path: own.path },
      least,
    ],
    ROUNDS,
    scratch,
  );
  const large = { name: NAMES.many, cmd: serveCommand(executable, many), path: "/api/many/ping" };
  measured.push(...(await boots([{ ...large, rest: REST }], 3, scratch)));
  progress("");
  return measured;
}

/** What is compared. The config is of an API called `bench`. */
export function bootsBeside(executable: string, config: string, empty: string): Boots[] {
  return [
    { name: NAMES.config, cmd: serveCommand(executable, config), path: "/api/bench/ping" },
    { name: NAMES.empty, cmd: [empty], path: "/" },
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
    for (const [s, server] of servers.entries()) {
      measured[s]?.push(await boot(server, scratch));
    }
  }
  return servers.map(({ name }, s) => {
    const of = (key: keyof Omit<Booting, "name">) => median((measured[s] ?? []).map((b) => b[key]));
    return {
      name,
      banner: of("banner"),
      time: of("time"),
      rss: of("rss"),
      anonymous: of("anonymous"),
    };
  });
}

async function boot({ cmd, path, rest = 0 }: Boots, scratch: Scratch) {
  const begin = performance.now();
  const server = await startServer(cmd, scratch);
  const banner = performance.now() - begin;
  const response = await fetch(new URL(path, server.url), { keepalive: false });
  const body = await response.text();
  const time = performance.now() - begin;
  if (!body.includes("pong")) throw new Error(`${cmd.join(" ")}: ${response.status}: ${body}`);
  await Bun.sleep(rest);
  const memory = { rss: residentOf(server.pid), anonymous: residentOf(server.pid, "RssAnon") };
  await server.stop();
  return { banner, time, ...memory };
}

/** The figure that has a goal, and that. */
function verdict({ name, banner, time, rss }: Booting): string {
  const told = (value: number, goal: number, unit: string): string =>
    `≤ ${goal} ${unit}: ${value <= goal ? "reached" : "missed"}`;
  if (name === NAMES.config) return told(time, GOALS.config, "ms");
  if (name === NAMES.plan) return told(time, GOALS.plan, "ms");
  if (name !== NAMES.many) return "";
  return `${told(banner, GOALS.banner, "ms")}, ${told(rss / 2 ** 20, GOALS.rss, "MiB")}`;
}

export function printBooting(results: readonly Booting[]): string {
  const least = results.find(({ name }) => name === NAMES.empty)?.time ?? Number.NaN;
  const rows = results.map((result): Row => {
    const { name, banner, time, rss, anonymous } = result;
    const ratio = (time / least).toFixed(2);
    return [name, ms(banner), ms(time), ratio, mib(rss), mib(anonymous), verdict(result)];
  });
  return table(
    `exec to banner, and to first reply, ${ROUNDS} boots, interleaved`,
    ["banner", "reply", "/ empty", "RSS", "anonymous", "goal"],
    rows,
  );
}
