/**
 * The node:http server of one listener: REST requests go to the Elysia app, WebSocket upgrades to our own engine on the raw
 * socket, since AFB's C client sends unmasked frames, which Bun's WebSocket server refuses.
 */
import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Registry } from "../api/registry.ts";
import { answer } from "./bridge.ts";
import type { OriginPolicy } from "./origin.ts";
import type { Pages } from "./pages.ts";
import type { Peer } from "./peer.ts";
import { createRest } from "./rest.ts";
import type { Sessions } from "./session.ts";
import { upgrade } from "./upgrade.ts";
import type { WebSocketConnection } from "./websocket.ts";

/** What all listeners of a server share. */
export interface Shared {
  readonly registry: Registry;
  readonly sessions: Sessions;
  readonly version: string;
  /** Who may call from a browser, see OriginPolicy; they change when the server becomes a service. */
  origins?: readonly string[] | undefined;
  hosts?: readonly string[] | undefined;
  pages?: Pages | undefined;
  /** Most open connections, over all listeners. */
  readonly most: number;
  readonly sockets: Set<Socket>;
  readonly webSockets: Set<WebSocketConnection>;
}

/** What is only known once the socket is bound. */
export interface Place {
  port: number;
  readonly policy: OriginPolicy;
}

/** Milliseconds. Slow clients are cut off so that they cannot use up the connections. */
export const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
} as const;

export function createHttp(
  shared: Shared,
  place: Place,
  peerOf: (socket: Socket) => Peer | undefined,
): Server {
  const { registry, sessions, version, sockets, webSockets } = shared;
  const rest = createRest({
    registry,
    sessions,
    version,
    pages: () => shared.pages,
    policy: () => place.policy,
    port: () => place.port,
  });
  const server = createServer({
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
