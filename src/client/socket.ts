/** Opens a WebSocket for the sub-protocol. */
import { ConnectionError } from "./errors.ts";

const PROTOCOL = "x-afb-ws-json1";

/** For `wss:`, all of it PEM; not in browsers, which ask their user. */
export interface TlsOptions {
  /** Authorities that are believed instead of those of the system. */
  readonly ca?: string;
  /** What this client shows, and its key. */
  readonly cert?: string;
  readonly key?: string;
}

export interface SocketOptions {
  /** Sent where headers can be. */
  readonly token?: string;
  readonly tls?: TlsOptions;
}

/** Rejects with a {@link ConnectionError} that says what to look at. */
export function openSocket(url: string, options: SocketOptions): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = create(url, options);
    socket.onopen = () => {
      socket.onerror = null;
      socket.onclose = null;
      resolve(socket);
    };
    const fail = (reason: string): void => {
      const advice = adviceFor(reason) ?? "is the server running there, and is the path /api?";
      reject(new ConnectionError(`cannot connect to ${url}: ${reason}; ${advice}`));
    };
    socket.onerror = (event) => {
      fail(event instanceof ErrorEvent && event.message ? event.message : "connection failed");
    };
    socket.onclose = ({ reason }) => fail(reason || "connection closed");
  });
}

/** By words of OpenSSL, which are those of the runtime. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /status code: 40[13]$/,
    "it refuses who is calling: for one with TLS, does it believe this client's certificate?",
  ],
  [
    /Connection ended|closed unexpectedly/i,
    "is it a server of this kind, and does it speak TLS there (https:)?",
  ],
  [/altname/i, "its certificate is for other names: call it by one of them"],
  [/has expired/i, "by the clock here: is that right, and does the server need a new certificate?"],
  [/not yet valid/i, "by the clock here: is that right?"],
  [
    /certificate|issuer|self.signed|verify/i,
    "nobody who is believed here has signed its certificate: give the authority's (spawnbox call: --ca FILE)",
  ],
  [/TLS handshake|wrong version|SSL/i, "does it speak TLS there? Without, the URL is ws: or http:"],
];

/** What to look at, where a connection has failed for that; undefined where the words do not tell. */
export function adviceFor(reason: string): string | undefined {
  const [, found] = ADVICE.find(([words]) => words.test(reason)) ?? [];
  return found;
}

/** Browsers have no headers here, and take the second argument for names of protocols only. */
function create(url: string, { token, tls }: SocketOptions): WebSocket {
  const isTls = /^wss:/i.test(url);
  if (!("Bun" in globalThis) || (token === undefined && !isTls))
    return new WebSocket(url, [PROTOCOL]);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  // Whatever NODE_TLS_REJECT_UNAUTHORIZED says, which is set for something else: a token is for who is believed.
  const believed = isTls ? { tls: { ...tls, rejectUnauthorized: true } } : {};
  return new WebSocket(url, { protocols: [PROTOCOL], headers, ...believed });
}
