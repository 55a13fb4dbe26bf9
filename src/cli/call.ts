/** `spawnbox call`: calls one verb and prints the reply, and the events of the task it started until its end. */
import { resolve } from "node:path";
import { connect, ConnectionError, type TlsOptions } from "../client.ts";
import { indented } from "../visible.ts";
import { CallSession, type Invocation, RAW } from "../command-line/call-session.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { TRUST, trustOf } from "../command-line/trust-option.ts";
import { TOKEN, tokenOf } from "../command-line/token-option.ts";
import { parseCall, UsageError, withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  url: {
    argument: "URL",
    text:
      "where the server is (default http://localhost:1234); https: for one with TLS; unix:/PATH for a unix socket, " +
      "unix:/PATH:/BASE for one of a server with --base",
  },
  ...TRUST,
  ...TOKEN,
  ...RAW,
} as const;

export const manual: Manual = {
  name: "spawnbox call",
  synopsis: ["[OPTIONS] API/VERB [JSON]"],
  about: `Calls a verb of a running server and prints the reply as JSON. If that started a task, prints its events too, until
the task ends. Ctrl-C stops the task. A subscription to one task prints its events as well, and what of them is missing
on standard error; Ctrl-C then leaves the task alone.`,
  options: OPTIONS,
  exit: "0 success; 1 the reply is an error, or the task failed; 2 wrong usage; 3 no connection; 130 interrupted.",
  examples: [
    "spawnbox call simple/ping",
    `spawnbox call simple/hello '{"action":"start","args":{"name":"World"}}'`,
    `spawnbox call simple/hello '{"action":"subscribe","args":{"pid":4711,"lossless":true}}'`,
  ],
};

interface Options extends Invocation {
  url: string;
  token: string | undefined;
  tls: TlsOptions | undefined;
}

/** @param argv What follows `call` on the command line. */
export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, call);

async function call({ url, token, tls, ...invocation }: Options): Promise<number> {
  try {
    const client = await connect(url, {
      exactNumbers: true,
      ...(token !== undefined && { token }),
      ...(tls && { tls }),
    });
    try {
      return await new CallSession(client, invocation).run();
    } finally {
      await client.close();
    }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // The server may have said why it closed the connection.
    console.error(`spawnbox call: ${indented(error.message)}`);
    return 3;
  }
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const url = completeUrl(values.url ?? "ws://localhost:1234/api");
  return {
    url,
    tls: trustOf(values, url),
    token: tokenOf(values.token, values["token-file"], process.env),
    raw: values.raw || !process.stdout.isTTY,
    ...parseCall(positionals),
  };
}

/** Takes `http://host:1234` and `unix:/run/spawnbox.sock` too, and adds the path. */
function completeUrl(text: string): string {
  const [, unix] = /^(?:ws\+)?unix:(?:\/\/)?(.+)$/i.exec(text) ?? [];
  if (unix !== undefined) return unixUrl(unix);
  const url = URL.parse(text.replace(/^http/i, "ws"));
  if (!url || !/^wss?:$/.test(url.protocol) || url.host === "") {
    throw new UsageError(`"${text}" is not a URL such as ws://localhost:1234/api`);
  }
  // Who names a WebSocket by its path means that; a server of --base is named as it names itself.
  if (/^http/i.test(text)) url.pathname = toApi(url.pathname);
  else if (url.pathname === "/") url.pathname = "/api";
  return url.href;
}

/** The path of the WebSocket of a server at this one. */
const toApi = (path: string): string => path.replace(/(\/api)?\/*$/, "/api");

/** As Bun's WebSocket wants it: the path of the socket, and behind a colon that of the request. */
function unixUrl(text: string): string {
  const [path = "", request = "", ...rest] = text.split(":");
  if (path === "" || rest.length > 0) {
    throw new UsageError(`"unix:${text}" is not a URL such as unix:/run/spawnbox.sock`);
  }
  return `ws+unix://${resolve(path)}:${toApi(request)}`;
}
