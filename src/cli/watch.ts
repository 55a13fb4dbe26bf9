/** `spawnbox watch`: what a task of a running server prints, and has printed. */
import { CallSession, RAW } from "../command-line/call-session.ts";
import {
  connected,
  type Connection,
  CONNECTION,
  connectionOf,
} from "../command-line/connection.ts";
import { type Named, parseTask, taskOf } from "../command-line/tasks.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";
import type { AfbClient } from "../client.ts";
import { AfbError } from "../errors.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { indented } from "../visible.ts";

const OPTIONS = {
  from: {
    argument: "N",
    text: "begin with the event of that number (default 1: with all that is kept of it)",
  },
  ...RAW,
  ...CONNECTION,
} as const;

export const manual: Manual = {
  name: "spawnbox watch",
  synopsis: ["[OPTIONS] ID"],
  about: `Prints the events of a task of a running server as JSON: first those that the server keeps of it, then, until its end, those
that come. Each has its number, seq; what is gone is told on standard error. Ctrl-C leaves the task alone.`,
  options: OPTIONS,
  notes: "The ID is that of spawnbox ps; the pid will do too while the task runs.",
  exit: "0 the task ended well; 1 it did not, or there is none; 2 wrong usage; 3 no connection; 130 interrupted.",
  examples: ["spawnbox watch 1m8j538rr6v0jkc", "spawnbox watch 1m8j538rr6v0jkc --from 100"],
};

interface Options {
  readonly connection: Connection;
  readonly named: Named;
  readonly from: number;
  readonly raw: boolean;
}

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, (options) =>
    connected(manual.name, options.connection, (client) => watch(client, options)),
  );

async function watch(client: AfbClient, { named, from, raw }: Options): Promise<number> {
  try {
    const { id, api, verb } = await taskOf(client, named);
    const args = { action: "subscribe", args: { id, from } };
    return await new CallSession(client, { method: `${api}/${verb}`, args, raw }).run();
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    console.error(`${manual.name}: ${indented(error.message)}`);
    return 1;
  }
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const { from = "1", raw } = values;
  if (!/^\d{1,15}$/.test(from))
    throw new UsageError(`--from ${from}: expected the number of an event`);
  return {
    connection: connectionOf(values),
    named: parseTask(positionals),
    from: Number(from),
    raw: raw || !process.stdout.isTTY,
  };
}
