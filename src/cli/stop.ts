/** `spawnbox stop`: ends a task of a running server. */
import { signalNames, signalNumber } from "../config/signals.ts";
import {
  connected,
  type Connection,
  CONNECTION,
  connectionOf,
} from "../command-line/connection.ts";
import { type Named, outcome, parseTask, taskOf } from "../command-line/tasks.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";
import type { AfbClient } from "../client.ts";
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { indented } from "../visible.ts";

const OPTIONS = {
  signal: {
    argument: "SIGNAL",
    short: "s",
    text: "send this signal, a name or a number, and nothing else (default: what stop of its config says, else SIGINT, and after 5 s the end of all that is left)",
    words: signalNames,
  },
  ...CONNECTION,
} as const;

export const manual: Manual = {
  name: "spawnbox stop",
  synopsis: ["[OPTIONS] ID"],
  about:
    "Tells a task of a running server to end, or sends it a signal. One that waits for its turn does not begin.",
  options: OPTIONS,
  notes: "The ID is that of spawnbox ps; the pid will do too while the task runs.",
  exit: "0 it was told; 1 there is none, or the server refuses; 2 wrong usage; 3 no connection.",
  examples: ["spawnbox stop 1m8j538rr6v0jkc", "spawnbox stop 1m8j538rr6v0jkc --signal SIGHUP"],
};

interface Options {
  readonly connection: Connection;
  readonly named: Named;
  readonly signal: number | undefined;
}

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, (options) =>
    connected(manual.name, options.connection, (client) => stop(client, options)),
  );

async function stop(client: AfbClient, { named, signal }: Options): Promise<number> {
  try {
    const { id, api, verb, state, status } = await taskOf(client, named);
    if (state === "ended")
      throw new AfbError("bad-state", `task ${id} has ended already: ${outcome(status)}`);
    const args = { id, ...(signal !== undefined && { signal }) };
    const { request } = await client.call(`${api}/${verb}`, { action: "stop", args });
    if (request.status === "success") return 0;
    console.error(`${manual.name}: ${request.status}: ${indented(request.info ?? "")}`);
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    console.error(`${manual.name}: ${indented(error.message)}`);
  }
  return 1;
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const signal = values.signal === undefined ? undefined : signalNumber(values.signal);
  if (values.signal !== undefined && signal === undefined) {
    const near = suggestion(values.signal, signalNames);
    throw new UsageError(`--signal ${values.signal}: no such signal${near}`);
  }
  return { connection: connectionOf(values), named: parseTask(positionals), signal };
}
