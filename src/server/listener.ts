/**
 * One place where the server listens. Each has a node:http server of its own, since what is allowed depends on where a
 * request came in.
 *
 * node:http accepts TCP connections itself. It hides the descriptor of a connection, and ignores one to listen on; so unix
 * and inherited sockets are accepted by node:net, and handed to node:http as its "connection".
 */
import type { Server as HttpServer } from "node:http";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { unixPath } from "../../ffi/sockets.ts";
import { holdDeadlines } from "./deadlines.ts";
import type { Endpoint } from "./endpoint.ts";
import { createHttp, LIMITS, type Shared } from "./http.ts";
import { listen, urlHost } from "./listen.ts";
import { isLoopback } from "./origin.ts";
import { type Peer, peerOf } from "./peer.ts";
import { listenUnix } from "./unix.ts";

export interface Listener {
  /** `http://host:port`, or `unix:/path` */
  readonly url: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** Resolves once nothing listens, and all connections are gone. */
  close(): Promise<void>;
  closeIdle(): void;
  closeAll(): void;
}

/** Throws an Error that says what to do when that is not possible. */
export async function openListener(endpoint: Endpoint, shared: Shared): Promise<Listener> {
  let loopback = true;
  const place = {
    port: 0,
    get policy() {
      const { origins, hosts } = shared;
      return { loopback, ...(origins && { origins }), ...(hosts && { hosts }) };
    },
  };
  const setPlace = (host: string | undefined, port: number): void => {
    place.port = port;
    loopback = host !== undefined && isLoopback(host);
  };
  const peers = new WeakMap<Socket, Peer>();
  const http = createHttp(shared, place, (socket) => peers.get(socket));
  if (endpoint.kind === "tcp") {
    const { host } = endpoint;
    setPlace(host, endpoint.port);
    setPlace(host, await listen(http, endpoint));
    return running(http, undefined, `http://${urlHost(host)}:${place.port}`, place.port);
  }
  holdDeadlines(http, LIMITS);
  const inherited = endpoint.kind === "fd" ? unixPath(endpoint.fd) : undefined;
  const isUnix = endpoint.kind === "unix" || inherited !== undefined;
  const front = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const peer = isUnix ? peerOf(socket) : undefined;
    if (peer) peers.set(socket, peer);
    http.emit("connection", socket);
  });
  if (endpoint.kind === "unix") {
    setPlace(undefined, 0);
    await listenUnix(front, endpoint.path, endpoint.mode);
    return running(http, front, `unix:${endpoint.path}`, 0);
  }
  await listenOn(front, endpoint.fd);
  const address = front.address();
  if (inherited !== undefined || address === null || typeof address === "string") {
    setPlace(undefined, 0);
    return running(http, front, `unix:${inherited}`, 0);
  }
  setPlace(address.address, address.port);
  return running(http, front, `http://${urlHost(address.address)}:${address.port}`, address.port);
}

function listenOn(server: NetServer, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`cannot listen on descriptor ${fd}: ${error.message}`, { cause: error })),
    );
    server.listen({ fd }, resolve);
  });
}

function running(
  http: HttpServer,
  front: NetServer | undefined,
  url: string,
  port: number,
): Listener {
  return {
    url,
    port,
    close: () => new Promise((resolve) => (front ?? http).close(() => resolve())),
    closeIdle: () => http.closeIdleConnections(),
    closeAll: () => http.closeAllConnections(),
  };
}
