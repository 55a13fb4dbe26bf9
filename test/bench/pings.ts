/** A ping of another server's API: asked of that server, and of one that imports it. One call after the other, and many at once. */
import { join } from "node:path";
import { connect } from "../../src/client.ts";
import { progress } from "./progress.ts";
import type { Scratch } from "./scratch.ts";
import { serveCommand, startServer } from "./server.ts";
import { median, percentile } from "./statistics.ts";
import { ms, type Row, table } from "./table.ts";

export interface Pings {
  readonly way: string;
  /** Milliseconds of one call. */
  readonly p50: number;
  readonly p99: number;
  /** Calls a second, {@link AT_ONCE} of them at a time. */
  readonly rate: number;
}

const AT_ONCE = 64;
const WARM_UP = 200;

export async function measurePings(
  executable: string,
  scratch: Scratch,
  calls: number,
): Promise<Pings[]> {
  const [rpc, ws] = ["rpc", "ws"].map((name) => join(scratch.directory, `${name}.socket`));
  const far = await startServer(
    [
      ...serveCommand(
        executable,
        scratch.json("far.json", { metadata: { uid: "far", api: "far" }, sandboxes: [] }),
      ),
      ...["--rpc-server", `unix:${rpc}?as-api=far`, "--ws-server", `unix:${ws}?as-api=far`],
    ],
    scratch,
  );
  const near = await startServer(
    serveCommand(
      executable,
      scratch.json("near.json", {
        metadata: { uid: "near", api: "near" },
        imports: [
          { uri: `unix:${rpc}`, as: "by-rpc", api: "far", verbs: ["ping"] },
          { uri: `unix:${ws}`, as: "by-ws", protocol: "ws", verbs: ["ping"] },
        ],
        sandboxes: [],
      }),
    ),
    scratch,
  );
  const results = [
    await pings("direct", far.url, "far/ping", calls),
    await pings("imported by RPC v3", near.url, "by-rpc/ping", calls),
    await pings("imported by WSAPI", near.url, "by-ws/ping", calls),
  ];
  progress("");
  await near.stop();
  await far.stop();
  return results;
}

async function pings(way: string, url: string, verb: string, calls: number): Promise<Pings> {
  progress(`${calls} pings, ${way}`);
  const client = await connect(`${url.replace("http", "ws")}/api`);
  const ping = async (): Promise<void> => {
    const { request } = await client.call(verb, null);
    if (request.status !== "success")
      throw new Error(`${verb}: ${request.status}: ${request.info}`);
  };
  for (let i = 0; i < WARM_UP; i++) await ping();
  const times: number[] = [];
  for (let i = 0; i < calls; i++) {
    const begin = performance.now();
    await ping();
    times.push(performance.now() - begin);
  }
  let left = calls * 4;
  const begin = performance.now();
  const caller = async (): Promise<void> => {
    while (left-- > 0) await ping();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  const rate = (calls * 4) / ((performance.now() - begin) / 1000);
  await client.close();
  return { way, p50: median(times), p99: percentile(times, 0.99), rate };
}

export function printPings(pings: readonly Pings[]): string {
  const rows = pings.map(({ way, p50, p99, rate }): Row => [
    way,
    ms(p50),
    ms(p99),
    `${rate.toFixed(0)}/s`,
  ]);
  return table("ping of another server", ["p50", "p99", `${AT_ONCE} at once`], rows);
}
