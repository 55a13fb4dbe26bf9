/** `spawnbox call`: calls one verb and prints the reply, and the events of the task it started until its end. */
import { parseArgs } from "node:util";
import { connect, ConnectionError, type AfbClient } from "../client.ts";
import type { Reply } from "../api/reply.ts";
import { jsonErrorAt } from "./json-error.ts";

export const help = `Usage: spawnbox call [OPTIONS] API/VERB [JSON]

Calls a verb of a running server and prints the reply as JSON. If that started a task, prints its events too, until
the task ends. Ctrl-C stops the task.

Options:
  --url URL      where the server is (default: ws://localhost:1234/api)
  --token TOKEN  token to present
  --raw          one line of JSON per reply or event; the default when output is not a terminal
  -h, --help     this text

Exit status: 0 success; 1 the reply is an error, or the task failed; 2 wrong usage; 3 no connection; 130 interrupted.

Examples:
  spawnbox call simple/ping
  spawnbox call simple/hello '{"action":"start","args":{"name":"World"}}'
`;

/** Milliseconds to wait for the reply to the stop of Ctrl-C. */
const STOP_TIMEOUT = 2000;

interface Invocation {
  url: string;
  token: string | undefined;
  raw: boolean;
  method: string;
  args: unknown;
}

class UsageError extends Error {}

/** @param argv What follows `call` on the command line. */
export async function run(argv: string[]): Promise<number> {
  try {
    const invocation = parse(argv);
    if (invocation === "help") {
      process.stdout.write(help);
      return 0;
    }
    const { url, token } = invocation;
    const client = await connect(url, token === undefined ? {} : { token });
    try {
      return await new Session(client, invocation).run();
    } finally {
      await client.close();
    }
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`spawnbox call: ${error.message}\n`);
      return 2;
    }
    if (error instanceof ConnectionError) {
      process.stderr.write(`spawnbox call: ${error.message}\n`);
      return 3;
    }
    throw error;
  }
}

/** One call and the task it started. */
class Session {
  #pid: number | undefined;
  /** Events before the reply told which task is ours. */
  #early: unknown[] = [];
  readonly #final = Promise.withResolvers<number>();

  constructor(
    readonly client: AfbClient,
    readonly invocation: Invocation,
  ) {}

  async run(): Promise<number> {
    const { client, invocation } = this;
    const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<void>();
    process.on("SIGINT", interrupt);
    const lost = new Promise<never>((_, reject) => {
      client.on("close", (reason) =>
        reject(new ConnectionError(`${invocation.url}: the connection was lost: ${reason}`)),
      );
    });
    try {
      return await Promise.race([this.#toTheEnd(), lost, interrupted.then(() => this.#stop())]);
    } finally {
      process.off("SIGINT", interrupt);
      // Closing the connection on purpose is no loss.
      lost.catch(() => undefined);
    }
  }

  async #toTheEnd(): Promise<number> {
    const { client, invocation } = this;
    const name = invocation.method.toLowerCase();
    client.on("event", (event, data) => {
      if (event.toLowerCase() === name) this.#event(data);
    });
    const reply = await client.call(invocation.method, invocation.args);
    this.#print(reply);
    if (reply.request.status !== "success") return 1;
    const task = startedTask(reply);
    if (!task) return 0;
    if (task.status !== undefined) return exitCode(task.status);
    this.#pid = task.pid;
    for (const data of this.#early.splice(0)) this.#event(data);
    return this.#final.promise;
  }

  #event(data: unknown): void {
    if (!isObject(data)) return;
    // A synchronous encoder names the task before the reply.
    if (this.#pid === undefined && data.type === "initial-event" && typeof data.pid === "number") {
      this.#pid = data.pid;
    }
    if (this.#pid === undefined) {
      this.#early.push(data);
      return;
    }
    if (data.pid !== this.#pid) return;
    this.#print(data);
    if (data.type === "final-event") this.#final.resolve(exitCode(data.status));
  }

  async #stop(): Promise<number> {
    if (this.#pid !== undefined) {
      const stop = { action: "stop", args: { pid: this.#pid } };
      await Promise.race([
        this.client.call(this.invocation.method, stop),
        new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT)),
      ]);
    }
    return 130;
  }

  #print(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value, null, this.invocation.raw ? 0 : 2)}\n`);
  }
}

function parse(argv: string[]): Invocation | "help" {
  const { values, positionals } = parseOptions(argv);
  if (values.help) return "help";
  const [method, json, ...rest] = positionals;
  if (method === undefined) throw new UsageError("say which verb: API/VERB");
  if (!/^[^/]+\/./.test(method)) throw new UsageError(`"${method}" is not API/VERB`);
  if (rest.length > 0) throw new UsageError(`too many arguments: quote the JSON`);
  return {
    url: completeUrl(values.url ?? "ws://localhost:1234/api"),
    token: values.token,
    raw: (values.raw ?? false) || !process.stdout.isTTY,
    method,
    args: json === undefined ? null : parseJson(json),
  };
}

function parseOptions(argv: string[]) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        url: { type: "string" },
        token: { type: "string" },
        raw: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Takes `http://host:1234` too, and adds the path. */
function completeUrl(text: string): string {
  const url = URL.parse(text.replace(/^http/i, "ws"));
  if (!url || !/^wss?:$/.test(url.protocol) || url.host === "") {
    throw new UsageError(`"${text}" is not a URL such as ws://localhost:1234/api`);
  }
  if (url.pathname === "/") url.pathname = "/api";
  return url.href;
}

function parseJson(text: string): unknown {
  const offset = jsonErrorAt(text);
  if (offset === undefined) return JSON.parse(text);
  const rest = text.slice(offset, offset + 20);
  const found = rest === "" ? "it ends too early" : `unexpected ${rest}`;
  throw new UsageError(`the argument is not JSON: at character ${offset + 1}: ${found}`);
}

/** The task a reply is about: an object with a pid and the command it runs. With a status it has ended already. */
function startedTask({ response }: Reply): { pid: number; status: unknown } | undefined {
  if (!isObject(response) || typeof response.pid !== "number" || !("command" in response)) {
    return undefined;
  }
  return { pid: response.pid, status: response.status };
}

function exitCode(status: unknown): number {
  return isObject(status) && status.exit === 0 ? 0 : 1;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
