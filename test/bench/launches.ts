/** The main table: one command, started in every way there is. */
import { createRegistry } from "../../src/api/registry.ts";
import { compileConfigs } from "../../src/command-line/apis.ts";
import { connect } from "../../src/client.ts";
import { Launching } from "../../src/launch/launching.ts";
import { inProcess, linesOf, overRest, overWebSocket } from "./calls.ts";
import { type Contender, interleave, type Pace } from "./interleave.ts";
import { type Bwrap, captured, plain, requirePrivate } from "./processes.ts";
import { median, type Summary, summarize } from "./statistics.ts";
import { ms, type Row, table } from "./table.ts";

const NAME = {
  plain: "plain spawn",
  captured: "plain spawn, output captured",
  verb: "verb, no sandbox",
  full: "verb, full sandbox",
  warm: "verb, full sandbox, from a pool",
  bwrap: "bwrap, same policy, captured",
  ws: "verb, full sandbox, over WebSocket",
  rest: "verb, full sandbox, over REST",
  wsPing: "ping over WebSocket",
  restPing: "ping over REST",
} as const;

/** The ratio that matters most, and what it should be at most. */
const HEADLINE = "full sandbox / bwrap";
const GOAL = 0.5;
/** ms in which another sandbox is ready. */
const REFILLED = 25;

export interface Launches {
  readonly durations: Readonly<Record<string, Summary>>;
  /** Of medians. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Milliseconds that a call over the WebSocket takes beyond the same call in process. */
  readonly webSocketOverhead: number;
}

export async function measureLaunches(
  { config, url, bwrap }: { config: string; url: string; bwrap: Bwrap | undefined },
  pace: Pace,
): Promise<Launches> {
  const apis = compileConfigs(config);
  const launching = new Launching();
  const registry = createRegistry({ apis, launch: launching.launch });
  launching.keepReady(apis);
  const client = await connect(`${url.replace("http", "ws")}/api`);
  try {
    const here = inProcess(registry);
    const ws = overWebSocket(client);
    const rest = overRest(url);
    for (const call of [here, ws, rest]) {
      requirePrivate("the full sandbox", linesOf(await call("full/probe")));
      requirePrivate("the warm sandbox", linesOf(await call("warm/probe")));
    }
    const contenders: Contender[] = [
      { name: NAME.plain, run: plain },
      { name: NAME.captured, run: () => captured(["/bin/true"]) },
      { name: NAME.verb, run: () => here("plain/true") },
      { name: NAME.full, run: () => here("full/true") },
      {
        name: NAME.warm,
        run: () => here("warm/true"),
        settled: () => Bun.sleep(REFILLED),
      },
      { name: NAME.ws, run: () => ws("full/true") },
      { name: NAME.rest, run: () => rest("full/true") },
      { name: NAME.wsPing, run: () => ws("ping") },
      { name: NAME.restPing, run: () => rest("ping") },
    ];
    if (bwrap) {
      const command = [...bwrap.command, "/bin/true"];
      contenders.splice(5, 0, { name: NAME.bwrap, run: () => captured(command) });
    }
    return evaluate(await interleave(contenders, pace));
  } finally {
    await Promise.all([client.close(), registry.close()]);
    await launching.close();
  }
}

function evaluate(samples: ReadonlyMap<string, readonly number[]>): Launches {
  const p50 = (name: string) => median(samples.get(name) ?? []);
  const ratios: Record<string, number> = {
    "verb without sandbox / plain captured": p50(NAME.verb) / p50(NAME.captured),
    "full sandbox / plain captured": p50(NAME.full) / p50(NAME.captured),
    "from a pool / plain captured": p50(NAME.warm) / p50(NAME.captured),
    "from a pool / verb without sandbox": p50(NAME.warm) / p50(NAME.verb),
  };
  if (samples.has(NAME.bwrap)) ratios[HEADLINE] = p50(NAME.full) / p50(NAME.bwrap);
  return {
    durations: Object.fromEntries([...samples].map(([name, all]) => [name, summarize(all)])),
    ratios,
    webSocketOverhead: p50(NAME.ws) - p50(NAME.full),
  };
}

export function printLaunches({ durations, ratios, webSocketOverhead }: Launches): string {
  const rows = Object.entries(durations).map(([name, { p50, p95 }]): Row => [
    name,
    ms(p50),
    ms(p95),
  ]);
  const count = Math.min(...Object.values(durations).map(({ samples }) => samples));
  const ratioRows = Object.entries(ratios).map(([name, ratio]): Row => {
    const verdict = ratio <= GOAL ? "reached" : "missed";
    const goal = name === HEADLINE ? `goal ${GOAL}: ${verdict}` : "";
    return [name, ratio.toFixed(2), goal];
  });
  return [
    table(`/bin/true, ${count} rounds, interleaved`, ["p50", "p95"], rows),
    table(
      "ratios of medians",
      ["", ""],
      [...ratioRows, ["full sandbox over WebSocket − in process", ms(webSocketOverhead), ""]],
    ),
  ].join("\n\n");
}
