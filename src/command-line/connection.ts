/** How a subcommand reaches a running server: where it is, and as whom. */
import { resolve } from "node:path";
import { type AfbClient, connect, ConnectionError, type TlsOptions } from "../client.ts";
import type { Options, Values } from "../manual/options.ts";
import { indented } from "../visible.ts";
import { TOKEN, tokenOf } from "./token-option.ts";
import { TRUST, trustOf } from "./trust-option.ts";
import { UsageError } from "./usage.ts";

export const CONNECTION = {
  url: {
    argument: "URL",
    text:
      "where the server is (default http://localhost:1234); https: for one with TLS; unix:/PATH for a unix socket, " +
      "unix:/PATH:/BASE for one of a server with --base",
  },
  ...TRUST,
  ...TOKEN,
} as const satisfies Options;

export interface Connection {
  readonly url: string;
  readonly token: string | undefined;
  readonly tls: TlsOptions | undefined;
}

/** Throws UsageError. */
export function connectionOf(values: Values<typeof CONNECTION>): Connection {
  const url = completeUrl(values.url ?? "ws://localhost:1234/api");
  return {
    url,
    token: tokenOf(values.token, values["token-file"], process.env),
    tls: trustOf(values, url),
  };
}

/**
 * Works with a connection, and closes it. Without one, or when it breaks, says so and returns 3.
 * @param name of the subcommand, such as `spawnbox call`
 */
export async function connected(
  name: string,
  { url, token, tls }: Connection,
  work: (client: AfbClient) => Promise<number>,
): Promise<number> {
  try {
    const client = await connect(url, {
      exactNumbers: true,
      ...(token !== undefined && { token }),
      ...(tls && { tls }),
    });
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // The server may have said why it closed the connection.
    console.error(`${name}: ${indented(error.message)}`);
    return 3;
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
