/**
 * One place where the server listens. Each has a node:http server of its own, since what is allowed depends on where a
 * request came in: REST requests go to the Elysia app, WebSocket upgrades to our own engine on the raw socket.
 *
 * node:http accepts TCP connections itself. It hides the descriptor of a connection, and ignores one to listen on; so unix
 * and inherited sockets are accepted by node:net, and handed to node:http as its "connection".
 */
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { createServer as createNetServer, type Server as NetServer, type Socket } from "node:net";
import { peerCredentials, type Peer, unixPath } from "../../ffi/sockets.ts";
import type { Registry } from "../api/registry.ts";
import { answer } from "./bridge.ts";
import { holdDeadlines } from "./deadlines.ts";
import type { Endpoint } from "./endpoint.ts";
import { listen, urlHost } from "./listen.ts";
import { isLoopback, type OriginPolicy } from "./origin.ts";
import { createRest } from "./rest.ts";
import type { Sessions } from "./session.ts";
import { listenUnix } from "./unix.ts";
import { upgrade } from "./upgrade.ts";
import type { WebSocketConnection } from "./websocket.ts";

/** What all listeners of a server share. */
export interface Shared {
  readonly registry: Registry;
  readonly sessions: Sessions;
  readonly version: string;
  readonly origins?: readonly string[] | undefined;
  readonly hosts?: readonly string[] | undefined;
  /** Most open connections, over all listeners. */
  readonly most: number;
  readonly sockets: Set<Socket>;
  readonly webSockets: Set<WebSocketConnection>;
}

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

/** Milliseconds. Slow clients are cut off so that they cannot use up the connections. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 } as const;

/** What is only known once the socket is bound. */
interface Place {
  port: number;
  policy: OriginPolicy;
}

/** Throws an Error that says what to do when that is not possible. */
export async function openListener(endpoint: Endpoint, shared: Shared): Promise<Listener> {
  const { origins, hosts } = shared;
  const place: Place = { port: 0, policy: { loopback: false } };
  const setPlace = (host: string | undefined, port: number): void => {
    place.port = port;
    const loopback = host !== undefined && isLoopback(host);
    place.policy = { loopback, ...(origins && { origins }), ...(hosts && { hosts }) };
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
  const front = createNetServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const peer = peerOf(socket);
    if (peer) peers.set(socket, peer);
    http.emit("connection", socket);
  });
  if (endpoint.kind === "unix") {
    setPlace(undefined, 0);
    await listenUnix(front, endpoint.path, endpoint.mode);
    return running(http, front, `unix:${endpoint.path}`, 0);
  }
  const path = unixPath(endpoint.fd);
  setPlace(undefined, 0);
  await listenOn(front, endpoint.fd);
  const address = front.address();
  if (path === undefined && address !== null && typeof address === "object") {
    setPlace(address.address, address.port);
  }
  const host = path === undefined && typeof address === "object" ? (address?.address ?? "") : "";
  const url = path === undefined ? `http://${urlHost(host)}:${place.port}` : `unix:${path}`;
  return running(http, front, url, place.port);
}

function createHttp(
  shared: Shared,
  place: Place,
  peerOf: (socket: Socket) => Peer | undefined,
): HttpServer {
  const { registry, sessions, version, sockets, webSockets } = shared;
  const rest = createRest({
    registry,
    sessions,
    version,
    policy: () => place.policy,
    port: () => place.port,
  });
  const server = createHttpServer({
    ...LIMITS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16 * 1024,
    // Without this, curl's offer of HTTP/2 (Upgrade: h2c) would be taken for a WebSocket.
    shouldUpgradeCallback: (request) =>
      request.headers.upgrade?.toLowerCase().includes("websocket") ?? false,
  });
  server.on("request", (request, response) => {
    void answer(request, response, (it) => rest(it, peerOf(request.socket)));
  });
  // Without this listener, node:http asks for any body, also for one that is too long.
  server.on("checkContinue", (request, response) => {
    void answer(request, response, (it) => rest(it, peerOf(request.socket)), true);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // Its errors are those of the request or of the WebSocket; unheard, one would end the process.
    socket.on("error", () => socket.destroy());
    if (sockets.size > shared.most) socket.destroy();
  });
  server.on("upgrade", (request, duplex, head) => {
    // node:http types it as a Duplex, and hands over the net.Socket of the connection.
    const socket = duplex as Socket;
    const { policy, port } = place;
    const peer = peerOf(socket);
    upgrade(request, socket, head, { registry, sessions, policy, port, webSockets, peer });
  });
  return server;
}

/** Who is at the other end of a unix socket; undefined for TCP. */
function peerOf(socket: Socket): Peer | undefined {
  if (socket.remoteAddress !== undefined) return undefined;
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  if (typeof handle.fd !== "number" || handle.fd < 0) return undefined;
  try {
    return peerCredentials(handle.fd);
  } catch (error) {
    console.error("who connected is not known:", error);
    return undefined;
  }
}

function listenOn(server: NetServer, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new Error(`cannot listen on descriptor ${fd}: ${error.message}`, { cause: error })));
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
