/** `spawnbox call`: calls one verb and prints the reply, and the events of the task it started until its end. */
import { CallSession, type Invocation, RAW } from "../command-line/call-session.ts";
import {
  connected,
  type Connection,
  CONNECTION,
  connectionOf,
} from "../command-line/connection.ts";
import { forward } from "../command-line/forwarding.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { parseCall, withOptions } from "../command-line/usage.ts";

const OPTIONS = { ...CONNECTION, ...RAW } as const;

export const manual: Manual = {
  name: "spawnbox call",
  synopsis: ["[OPTIONS] API/VERB [JSON]"],
  about: `Calls a verb of a running server and prints the reply as JSON. If that started a task, prints its events too, until
the task ends. Ctrl-C stops the task. A subscription to one task prints its events as well, and what of them is missing
on standard error; Ctrl-C then leaves the task alone.
A command with "stdin": "body" that it has started gets the standard input, unless that is a terminal.`,
  options: OPTIONS,
  exit: "0 success; 1 the reply is an error, or the task failed; 2 wrong usage; 3 no connection; 130 interrupted.",
  examples: [
    "spawnbox call simple/ping",
    `spawnbox call simple/hello '{"action":"start","args":{"name":"World"}}'`,
    "spawnbox call upload/check < firmware.img",
    `spawnbox call simple/hello '{"action":"subscribe","args":{"pid":4711,"lossless":true}}'`,
  ],
};

interface Options extends Invocation {
  readonly connection: Connection;
}

/** @param argv What follows `call` on the command line. */
export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, call);

const call = ({ connection, ...invocation }: Options): Promise<number> =>
  connected(manual.name, connection, (client) => {
    const feed = (method: string, pid: number) => forward((args) => client.call(method, args), pid);
    const isTyped = process.stdin.isTTY === true;
    return new CallSession(client, invocation, isTyped ? undefined : feed).run();
  });

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  return {
    connection: connectionOf(values),
    raw: values.raw || !process.stdout.isTTY,
    ...parseCall(positionals),
  };
}
