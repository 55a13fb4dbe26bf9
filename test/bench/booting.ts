/** From exec to the first answer, beside the least that any executable of this runtime could need. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
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

const BOOTS = 10;

const EMPTY = `const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("pong") });
console.log(server.url.href);
`;

export async function measureBooting(
  executable: string,
  config: string,
  scratch: Scratch,
): Promise<Booting[]> {
  progress("booting");
  const empty = await buildEmpty(scratch);
  const servers = [
    { name: "spawnbox serve", cmd: serveCommand(executable, config), path: "/api/bench/ping" },
    { name: "empty Bun.serve, compiled alike", cmd: [empty], path: "/" },
  ];
  const boots = servers.map((): Omit<Booting, "name">[] => []);
  for (let i = 0; i < BOOTS; i++) {
    for (const [s, { cmd, path }] of servers.entries()) {
      boots[s]?.push(await boot(cmd, path, scratch));
    }
  }
  progress("");
  return servers.map(({ name }, s) => {
    const of = (key: keyof Omit<Booting, "name">) => median((boots[s] ?? []).map((b) => b[key]));
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

/** With the flags of src/build.ts. */
async function buildEmpty(scratch: Scratch): Promise<string> {
  const source = join(scratch.directory, "empty.ts");
  const outfile = join(scratch.directory, "empty");
  await Bun.write(source, EMPTY);
  await Bun.build({
    entrypoints: [source],
    minify: true,
    bytecode: true,
    format: "esm",
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
  });
  return outfile;
}

export function printBooting(results: readonly Booting[]): string {
  const rows = results.map(({ name, time, rss, anonymous }): Row => {
    return [name, ms(time), mib(rss), mib(anonymous)];
  });
  return table(`exec to first reply, ${BOOTS} boots`, ["p50", "RSS", "anonymous"], rows);
}
