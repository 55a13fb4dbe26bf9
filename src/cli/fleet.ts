/** `spawnbox fleet`: an operator of many boards, by the broker that they have in common. */
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { fleetCall, type FleetCall } from "../command-line/fleet-call.ts";
import { type FleetCerts, fleetCerts, TAKEN } from "../command-line/fleet-cert.ts";
import { listBoards, toldBoard, watchBoards } from "../command-line/fleet-list.ts";
import { Lines } from "../command-line/lines.ts";
import { TOKEN, tokenOf } from "../command-line/token-option.ts";
import { parseCall, UsageError, withOptions } from "../command-line/usage.ts";
import { ConfigError } from "../config/problem.ts";
import { asyncApi } from "../fleet/asyncapi.ts";
import { isMethod, parseTarget, parseTime, timesOf } from "../fleet/campaign.ts";
import { type Fleet, loadFleet, parseBroker } from "../fleet/load.ts";
import { parseAmount, parseStages } from "../fleet/stages.ts";
import { ALL, isName, PREFIX } from "../fleet/topics.ts";
import { Operator } from "../fleet/operator.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands, type Values } from "../manual/options.ts";
import { FLEET_FILE } from "../serve/fleet.ts";
import { indented } from "../visible.ts";

const OPTIONS = {
  fleet: {
    argument: "FILE",
    text: `the broker, and who calls: a fleet file with operator (default ${FLEET_FILE}, if it exists)`,
    path: "file",
  },
  broker: {
    argument: "URL",
    text: "the broker instead: mqtts://HOST[:PORT]; mqtt: only on this machine",
  },
  operator: { argument: "NAME", text: "who calls, as in the certificate" },
  ca: {
    argument: "FILE",
    text: "authorities that the broker's certificate is of (default: the system's)",
    path: "file",
  },
  cert: {
    argument: "FILE",
    text: "the certificate that is shown to the broker (PEM)",
    path: "file",
  },
  key: { argument: "FILE", text: "its key (PEM)", path: "file" },
  group: { argument: "NAME", text: "ls, watch: only boards of this group" },
  timeout: {
    argument: "TIME",
    text: "call: how long it may take in all, such as 30s or 5m (default: the first answer within 60s, then as long as it takes)",
  },
  queue: {
    argument: "TIME",
    text: "call: also boards that are offline, for so long as the broker keeps it; at most their expiry",
  },
  stages: {
    argument: "LIST",
    text: "call: not all boards at once, such as 1,10%,100%: the next ones when these are done",
  },
  "max-failed": {
    argument: "N",
    text: "call: go on to the next stage while no more have failed, a number or a percentage (default 0)",
  },
  detach: { text: "call: the tasks go on where this program ends, also by Ctrl-C" },
  ...TOKEN,
  host: {
    argument: "NAME",
    repeatable: true,
    text: "cert: a name or address that the broker is reached by; repeatable",
  },
  days: { argument: "N", text: "cert: how long they are valid (default 365)" },
  json: { text: "one line of JSON for each board, event and result" },
} as const;

const WORDS = ["ls", "call", "watch", "cert", "asyncapi"] as const;
type Word = (typeof WORDS)[number];

export const manual: Manual = {
  name: "spawnbox fleet",
  synopsis: [
    "ls [--group NAME] [OPTIONS]",
    "call BOARD|@GROUP API/VERB [JSON] [OPTIONS]",
    "watch [--group NAME] [OPTIONS]",
    "asyncapi BOARD [OPTIONS]",
    "cert DIR NAME... [--host NAME]... [--days N]",
  ],
  about: `Calls verbs of boards that are served with --fleet, over the MQTT broker that they have in common. A board is known by its
name, all boards are the group @all. call prints the events as they come, and what became of the call on each board: ok,
error, refused, timeout or offline. Ctrl-C stops what it has started.
ls tells which boards there are, watch when one comes or goes. cert makes an authority, and certificates of boards and
operators of these names, and with --host of a broker, to try it with; what is there already stays.`,
  options: OPTIONS,
  exit: "0 all went well on all boards; 1 not so; 2 wrong usage; 3 no connection to the broker; 130 interrupted.",
  examples: [
    "spawnbox fleet ls",
    "spawnbox fleet call boat-7 lights/on",
    `spawnbox fleet call @all update/check '{"channel":"stable"}' --timeout 5m`,
    "spawnbox fleet call @dock update/install --stages 1,10%,100% --max-failed 2%",
  ],
  operands: { words: WORDS },
};

interface Connected {
  readonly values: Values<typeof OPTIONS>;
}

type Options =
  | (Connected & { readonly word: "ls" | "watch"; readonly group: string })
  | (Connected & { readonly word: "asyncapi"; readonly board: string })
  | (Connected & { readonly word: "call"; readonly call: FleetCall })
  | { readonly word: "cert"; readonly certs: FleetCerts };

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, async (options) => {
    if (options.word === "cert") return cert(options.certs);
    try {
      return await connected(options);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      console.error(`${error.message}\nspawnbox fleet: ${error.problems.length} problem(s) above`);
      return 2;
    }
  });

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const [word, ...operands] = positionals;
  if (!isWord(word)) throw new UsageError(`say what: ${WORDS.join(", ")}`);
  const only = (name: keyof typeof OPTIONS, words: readonly Word[]): void => {
    const value = values[name];
    const isGiven = Array.isArray(value)
      ? value.length > 0
      : value !== undefined && value !== false;
    if (isGiven && !words.includes(word))
      throw new UsageError(`--${name} is for ${words.join(", ")}`);
  };
  for (const name of ["timeout", "queue", "stages", "max-failed", "detach"] as const)
    only(name, ["call"]);
  only("group", ["ls", "watch"]);
  for (const name of ["host", "days"] as const) only(name, ["cert"]);
  switch (word) {
    case "ls":
    case "watch":
      if (operands.length > 0) throw new UsageError(`unexpected argument ${operands[0]}`);
      return { word, values, group: named("--group", values.group ?? ALL) };
    case "asyncapi": {
      const [board = "", ...more] = operands;
      if (board === "" || more.length > 0) throw new UsageError("say which board");
      return { word, values, board: named("BOARD", board) };
    }
    case "call":
      return { word, values, call: callOf(values, operands) };
    case "cert":
      return { word, certs: certsOf(values, operands) };
  }
}

const isWord = (text: string | undefined): text is Word => WORDS.some((word) => word === text);

function named(what: string, text: string): string {
  if (isName(text)) return text;
  throw new UsageError(`${what} ${text}: expected ${NAMES}`);
}

const NAMES = "letters, digits and . _ -, at most 64";

function callOf(values: Values<typeof OPTIONS>, [to = "", ...rest]: readonly string[]): FleetCall {
  if (to === "") throw new UsageError("say which board, or which @GROUP");
  const target = parseTarget(to);
  if (!target) throw new UsageError(`${to}: expected BOARD or @GROUP, ${NAMES}`);
  const { method, args } = parseCall(rest);
  if (!isMethod(method)) throw new UsageError(`"${method}" is not API/VERB, without + and #`);
  const timeout = values.timeout === undefined ? undefined : time("--timeout", values.timeout);
  const queue = values.queue === undefined ? undefined : time("--queue", values.queue);
  const { stages, detach, json } = values;
  if (stages !== undefined && target.kind === "board")
    throw new UsageError("--stages is for a @GROUP");
  if (values["max-failed"] !== undefined && stages === undefined)
    throw new UsageError("--max-failed is for --stages");
  return {
    target,
    invocation: {
      ...{ method, args: rest.length > 1 ? JSON.stringify(args) : "" },
      ...timesOf({ timeout, queue }),
      detach,
      token: tokenOf(values.token, values["token-file"], process.env),
    },
    ...{ isQueued: queue !== undefined, detach, json },
    stages: stages === undefined ? undefined : parseStages(stages),
    mostFailed: parseAmount(values["max-failed"] ?? "0"),
  };
}

/** ms */
function time(option: string, text: string): number {
  const ms = parseTime(text);
  if (ms !== undefined) return ms;
  throw new UsageError(`${option} ${text}: expected a time such as 30s, 5m or 1h, at most 7d`);
}

const DAYS = 365;
const MOST_DAYS = 20 * 365 - 1;

function certsOf(
  { host, days = String(DAYS) }: Values<typeof OPTIONS>,
  [dir = "", ...names]: readonly string[],
): FleetCerts {
  if (dir === "") throw new UsageError("say which directory: DIR");
  if (names.length + host.length === 0)
    throw new UsageError("say names of boards and operators, or --host");
  if (!/^[1-9]\d{0,3}$/.test(days) || Number(days) > MOST_DAYS)
    throw new UsageError(`--days ${days}: expected days, from 1 to ${MOST_DAYS}`);
  for (const one of host)
    if (isIP(one) === 0 && !/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(one))
      throw new UsageError(`--host ${one}: expected a name such as broker.example, or an address`);
  for (const name of names)
    if (TAKEN.includes(named("NAME", name)))
      throw new UsageError(`${name}: the files of this name are others`);
  return { dir, names, hosts: host, days: Number(days) };
}

async function cert(certs: FleetCerts): Promise<number> {
  try {
    const made = await fleetCerts(certs);
    console.log(
      made.length > 0 ? `made, each with its .key:\n${made.join("\n")}` : "all are there",
    );
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`spawnbox fleet cert: ${error.message}`);
    return 1;
  }
}

type Talking = Exclude<Options, { readonly word: "cert" }>;

async function connected(options: Talking): Promise<number> {
  const { values, word } = options;
  const { fleet, operator: name } = await whoIs(values);
  const out = new Lines();
  const tell = (text: string) => console.error(`spawnbox fleet: ${indented(text)}`);
  const seen =
    word === "watch"
      ? (board: string, kind: string) =>
          toldBoard(operator, board, kind, options.group, values.json, out)
      : undefined;
  const operator: Operator = new Operator({ fleet, operator: name, tell, ...(seen && { seen }) });
  try {
    try {
      await operator.connect();
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
      return 3;
    }
    switch (options.word) {
      case "ls":
        return await listBoards(operator, options.group, values.json, out);
      case "watch":
        return await watchBoards(operator);
      case "asyncapi":
        return await describe(operator, options.board, fleet, out);
      case "call":
        return await fleetCall(operator, options.call, out);
    }
  } finally {
    await operator.close();
  }
}

/** @throws ConfigError of the file, UsageError */
async function whoIs(values: Values<typeof OPTIONS>): Promise<{
  fleet: Pick<Fleet, "broker" | "secrets" | "prefix">;
  operator: string;
}> {
  const { broker, ca, cert, key } = values;
  const file =
    values.fleet ?? (broker === undefined && existsSync(FLEET_FILE) ? FLEET_FILE : undefined);
  const told = file === undefined ? undefined : loadFleet(file);
  const problem = (message: string) =>
    new ConfigError([{ file: file ?? "command line", path: "", message }]);
  const operator = values.operator ?? told?.operator;
  if (operator === undefined || !isName(operator))
    throw problem("say who calls: --operator NAME, or operator in a fleet file");
  if ((cert === undefined) !== (key === undefined)) throw problem("--cert and --key go together");
  if (broker === undefined && !told)
    throw problem("say where the broker is: --broker URL, or --fleet FILE");
  try {
    const secrets = {
      ...told?.secrets,
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert, key }),
    };
    const where = broker === undefined ? told?.broker : parseBroker(broker);
    if (!where) throw new Error("say where the broker is");
    return { operator, fleet: { broker: where, secrets, prefix: told?.prefix ?? PREFIX } };
  } catch (error) {
    throw problem(error instanceof Error ? error.message : String(error));
  }
}

async function describe(
  operator: Operator,
  board: string,
  fleet: Pick<Fleet, "broker" | "prefix">,
  out: Lines,
): Promise<number> {
  await operator.look(board);
  if (!operator.presence.boards.get(board)?.about) {
    console.error(
      `spawnbox fleet asyncapi: no board ${board} was ever seen: see spawnbox fleet ls`,
    );
    return 1;
  }
  const apis = await operator.describe(board);
  await out.print(JSON.stringify(asyncApi(board, apis, fleet), null, 2));
  await out.flush();
  return 0;
}
