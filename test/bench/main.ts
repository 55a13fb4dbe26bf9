/** `npm run bench`: what a launch costs, beside a plain process and bwrap. Exit code 1 when a call or its output was lost. */
import { existsSync } from "node:fs";
import { cpus, release } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { commandLine, UsageError } from "../../src/command-line/usage.ts";
import { measureBooting, printBooting } from "./booting.ts";
import { measureCompiling, printCompiling } from "./compiling.ts";
import { benchConfig, uid } from "./configs.ts";
import { measureEchoes, printEchoes } from "./echoes.ts";
import { measureFleet, printFleet } from "./fleet.ts";
import { measureGoals, printGoals } from "./goals.ts";
import { measureLaunches, printLaunches } from "./launches.ts";
import { measurePings, printPings } from "./pings.ts";
import { measureMemory, printMemory } from "./memory.ts";
import { findBwrap } from "./processes.ts";
import { measureRates, printRates } from "./rates.ts";
import { Scratch } from "./scratch.ts";
import { measureSoak, printSoak } from "./soak.ts";
import { measureTold, printTold } from "./told.ts";
import { serveCommand, startServer } from "./server.ts";

/** Not among them: it needs a broker. */
const FLEET = "fleet";
const TABLES = [
  "goals",
  "launches",
  "echoes",
  "rates",
  "pings",
  "compiling",
  "told",
  "booting",
  "memory",
];

const help = `usage: npm run bench -- [OPTIONS]

  --rounds N      rounds of the launch table (default 300)
  --calls N       echo calls of each kind (default 1000)
  --json FILE     write the numbers there too
  --spawnbox FILE the executable (default dist/spawnbox)
  --against FILE  another executable, such as that of an earlier commit, for the rates of output
  --soak SECONDS  only calls for so long, and whether anything of the server grows by them
  --fleet         only what a fleet does, with a broker (mosquitto)
  --table NAME    only this one of ${TABLES.join(", ")}
  -h, --help      this text`;

/** Seconds of a soak that tells anything. */
const LEAST = 30;

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "300" },
      calls: { type: "string", default: "1000" },
      json: { type: "string" },
      spawnbox: { type: "string", default: join(import.meta.dir, "../../dist/spawnbox") },
      against: { type: "string" },
      soak: { type: "string" },
      table: { type: "string" },
      fleet: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const rounds = Number(values.rounds);
  const calls = Number(values.calls);
  if (!(Number.isInteger(rounds) && rounds > 0 && Number.isInteger(calls) && calls > 0))
    throw new UsageError("--rounds and --calls: expected numbers from 1 on");
  const table = values.fleet ? FLEET : values.table;
  if (table !== undefined && !values.fleet && !TABLES.includes(table))
    throw new UsageError(`--table ${table}: expected one of ${TABLES.join(", ")}`);
  const soak = Number(values.soak ?? 0);
  if (!(Number.isInteger(soak) && (soak === 0 || soak >= LEAST)))
    throw new UsageError(`--soak ${values.soak}: expected seconds from ${LEAST} on`);
  return { ...values, table, rounds, calls, soak };
}

const { rounds, calls, soak, ...options } = commandLine({ name: "npm run bench", help, parse });
const executable = resolve(options.spawnbox);
if (!existsSync(executable)) {
  console.error(`${executable} does not exist: npm run build`);
  process.exit(1);
}

const WARM_UP = 20;
/** Milliseconds: rounds stop early at the first, everything at the second. */
const BUDGET = 25_000;
const LIMIT = 480_000;
const RATES = { rounds: 15, warmUp: 2, budget: BUDGET };

const watchdog = setTimeout(
  () => {
    console.error("bench: it hangs");
    process.exit(1);
  },
  LIMIT + soak * 2000,
);
const scratch = new Scratch();
const [cpu] = cpus();
const machine = {
  cpu: `${cpus().length} × ${cpu?.model.trim() ?? process.arch}`,
  kernel: release(),
  bun: Bun.version,
  user: process.getuid?.() === 0 ? `root, commands as uid ${uid}` : `uid ${uid}`,
};
const bwrap = await findBwrap();
console.log(
  [
    ...Object.entries(machine).map(([name, value]) => `${name.padEnd(8)}${value}`),
    `bwrap   ${typeof bwrap === "string" ? bwrap : bwrap.version}`,
  ].join("\n"),
);

const config = scratch.json("bench.json", benchConfig);
const server = await startServer(serveCommand(executable, config), scratch);
const { url } = server;
if (soak > 0) {
  const soaked = await measureSoak(server, soak);
  console.log(`\n${printSoak(soaked)}`);
  if (options.json)
    await Bun.write(options.json, `${JSON.stringify({ machine, soak: soaked }, null, 2)}\n`);
  process.exit(soaked.grown.length > 0 ? 1 : 0);
}
/** Measures and prints one of {@link TABLES}, unless another is all that is wanted. */
async function tabled<T>(
  name: string,
  measure: () => Promise<T>,
  print: (measured: T) => string,
): Promise<T | undefined> {
  if (options.table !== undefined && options.table !== name) return undefined;
  const measured = await measure();
  console.log(`\n${print(measured)}`);
  return measured;
}

const pace = { rounds, warmUp: WARM_UP, budget: BUDGET };
const beside = { config, url, bwrap: typeof bwrap === "string" ? undefined : bwrap };
const goals = await tabled("goals", () => measureGoals({ url, bwrap }, pace, scratch), printGoals);
const launches = await tabled("launches", () => measureLaunches(beside, pace), printLaunches);
const echoes = await tabled("echoes", () => measureEchoes(url, calls), printEchoes);
await server.stop();
const both = { now: executable, against: options.against && resolve(options.against) };
const rates = await tabled("rates", () => measureRates(both, scratch, RATES), printRates);
const pinged = () => measurePings(executable, scratch, calls);
const pings = await tabled("pings", pinged, printPings);
const compiling = await tabled("compiling", () => measureCompiling(scratch), printCompiling);
const witnessed = () => measureTold(executable, config, scratch);
const told = await tabled("told", witnessed, printTold);
const fleet = options.fleet
  ? await tabled(FLEET, () => measureFleet(executable, scratch, calls), printFleet)
  : undefined;
const booted = () => measureBooting(executable, config, scratch);
const booting = await tabled("booting", booted, printBooting);
const weighed = () => measureMemory(executable, scratch);
const memory = await tabled("memory", weighed, printMemory);

if (options.json) {
  const numbers = {
    machine,
    bwrap,
    goals,
    launches,
    echoes,
    rates,
    pings,
    compiling,
    told,
    booting,
    memory,
    fleet,
  };
  await Bun.write(options.json, `${JSON.stringify(numbers, null, 2)}\n`);
}
clearTimeout(watchdog);
process.exit(echoes?.some(({ lost }) => lost > 0) ? 1 : 0);
