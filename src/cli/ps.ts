/** `spawnbox ps`: the tasks of a running server. */
import type { AfbClient } from "../client.ts";
import {
  connected,
  type Connection,
  CONNECTION,
  connectionOf,
} from "../command-line/connection.ts";
import { printJson, printText } from "../command-line/print.ts";
import { tableOf, tasksOf } from "../command-line/tasks.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";
import type { TaskRecord } from "../api/record.ts";
import { AfbError } from "../errors.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions } from "../manual/options.ts";
import { isObject } from "../object.ts";
import { indented } from "../visible.ts";

const OPTIONS = {
  all: { short: "a", text: "those that have ended, too" },
  json: { text: "one line of JSON per task, with all that is known of it" },
  watch: { short: "w", text: "go on: a line for each task that begins or ends, until Ctrl-C" },
  limit: { argument: "N", text: "at most so many, the last ones (default 100, at most 1000)" },
  ...CONNECTION,
} as const;

export const manual: Manual = {
  name: "spawnbox ps",
  synopsis: ["[OPTIONS]"],
  about: `Shows the tasks of a running server that wait or run, the last first, as far as you may follow them. The ID stays theirs
for good; spawnbox watch shows what a task prints and has printed, spawnbox stop ends it.`,
  options: OPTIONS,
  exit: "0 success; 1 the server refuses to tell; 2 wrong usage; 3 no connection; 130 interrupted.",
  examples: ["spawnbox ps", "spawnbox ps --all --limit 20", "spawnbox ps --watch --json"],
};

interface Options {
  readonly connection: Connection;
  readonly all: boolean;
  readonly json: boolean;
  readonly watch: boolean;
  readonly limit: number;
}

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, (options) =>
    connected(manual.name, options.connection, (client) => show(client, options)),
  );

async function show(client: AfbClient, options: Options): Promise<number> {
  const { all, json, watch, limit } = options;
  const { promise: done, resolve: end } = Promise.withResolvers<number>();
  const early: TaskRecord[] = [];
  let tell = (task: TaskRecord): void => void early.push(task);
  client.on("event", (name, data) => {
    if (name !== "monitor/tasks" || !isObject(data)) return;
    if (typeof data["dropped"] === "number")
      console.error(`${manual.name}: ${data["dropped"]} changes are missing here`);
    else if (isObject(data["task"])) {
      const task = data["task"] as unknown as TaskRecord;
      // It has waited in vain.
      tell(data["type"] === "dropped" ? { ...task, state: "ended" } : task);
    }
  });
  const hear = client.on("close", (reason) => {
    console.error(`${manual.name}: the connection was lost: ${reason}`);
    end(3);
  });
  const seen = (printed: boolean): void => {
    if (!printed) end(0);
  };
  try {
    const states = all ? ["all"] : ["waiting", "running"];
    const lists: TaskRecord[][] = [];
    for (const state of states)
      lists.push(await tasksOf(client, { state, limit, ...(watch && { follow: true }) }));
    const tasks = lists
      .flat()
      .sort((a, b) => (a.id < b.id ? 1 : -1))
      .slice(0, limit);
    if (json) for (const task of tasks) seen(printJson(JSON.stringify(task)));
    else seen(printText(`${tableOf(tasks).join("\n")}\n`));
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    console.error(`${manual.name}: ${indented(error.message)}`);
    end(1);
  }
  if (!watch) end(0);
  tell = (task) =>
    seen(json ? printJson(JSON.stringify(task)) : printText(`${tableOf([task])[1] ?? ""}\n`));
  for (const task of early) tell(task);
  process.once("SIGINT", () => end(130));
  const code = await done;
  // Closing the connection on purpose is no loss.
  hear();
  return code;
}

function parse(argv: string[]): Options | undefined {
  const values = readOptions(OPTIONS, argv);
  if (!values) return undefined;
  const { all, json, watch, limit = "100" } = values;
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > 1000)
    throw new UsageError(`--limit ${limit}: expected a number from 1 to 1000`);
  return { connection: connectionOf(values), all, json, watch, limit: Number(limit) };
}
