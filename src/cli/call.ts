/** `spawnbox call`: calls one verb and prints the reply, and the events of the task it started until its end. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { connect, ConnectionError } from "../client.ts";
import { CallSession, type Invocation } from "./call-session.ts";
import { tokenOf } from "./token-option.ts";
import { parseCall, UsageError } from "./usage.ts";

export const help = `Usage: spawnbox call [OPTIONS] API/VERB [JSON]

Calls a verb of a running server and prints the reply as JSON. If that started a task, prints its events too, until
the task ends. Ctrl-C stops the task.

Options:
  --url URL          where the server is (default: ws://localhost:1234/api); unix:/PATH for a unix socket
  --token-file FILE  presents the token in the first line of a file; without it, that of SPAWNBOX_TOKEN, if set
  --token TOKEN      presents this token; other users can see it, as all of a command line
  --raw              one line of JSON per reply or event; the default when output is not a terminal
  -h, --help         this text

Exit status: 0 success; 1 the reply is an error, or the task failed; 2 wrong usage; 3 no connection; 130 interrupted.

Examples:
  spawnbox call simple/ping
  spawnbox call simple/hello '{"action":"start","args":{"name":"World"}}'
`;

interface Options extends Invocation {
  url: string;
  token: string | undefined;
}

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
      return await new CallSession(client, invocation).run();
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

function parse(argv: string[]): Options | "help" {
  const { values, positionals } = parseOptions(argv);
  if (values.help) return "help";
  return {
    url: completeUrl(values.url ?? "ws://localhost:1234/api"),
    token: tokenOf(values.token, values["token-file"], process.env),
    raw: (values.raw ?? false) || !process.stdout.isTTY,
    ...parseCall(positionals),
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
        "token-file": { type: "string" },
        raw: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Takes `http://host:1234` and `unix:/run/spawnbox.sock` too, and adds the path. */
function completeUrl(text: string): string {
  const [, unix] = /^(?:ws\+)?unix:(?:\/\/)?(.+)$/i.exec(text) ?? [];
  if (unix !== undefined) return unixUrl(unix);
  const url = URL.parse(text.replace(/^http/i, "ws"));
  if (!url || !/^wss?:$/.test(url.protocol) || url.host === "") {
    throw new UsageError(`"${text}" is not a URL such as ws://localhost:1234/api`);
  }
  if (url.pathname === "/") url.pathname = "/api";
  return url.href;
}

/** As Bun's WebSocket wants it: the path of the socket, and behind a colon that of the request. */
function unixUrl(text: string): string {
  const [path = "", request = "/api", ...rest] = text.split(":");
  if (path === "" || rest.length > 0) {
    throw new UsageError(`"unix:${text}" is not a URL such as unix:/run/spawnbox.sock`);
  }
  return `ws+unix://${resolve(path)}:${request}`;
}
