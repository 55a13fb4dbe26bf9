/**
 * The server: one node:http listener. REST requests go to the Elysia app, WebSocket upgrades to our own engine on the
 * raw socket, since AFB's C client sends unmasked frames, which Bun's WebSocket server refuses.
 */
import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Registry } from "../api/registry.ts";
import { answer } from "./bridge.ts";
import { listen, urlHost } from "./listen.ts";
import { isLoopback } from "./origin.ts";
import { createRest } from "./rest.ts";
import { Sessions } from "./session.ts";
import { upgrade } from "./upgrade.ts";
import type { WebSocketConnection } from "./websocket.ts";

export interface ServerOptions {
  registry: Registry;
  /** Address or name to listen on, such as `127.0.0.1`, `0.0.0.0` or `::`. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Origins of web pages that may call, besides our own; `*` is any. */
  origins?: readonly string[];
  /** Names this server is called by; checked if given, and on loopback addresses. */
  hosts?: readonly string[];
  version: string;
  /** Most open connections; further ones are closed at once. */
  connections?: number;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Stops listening, says goodbye to WebSockets (1001), and resolves once all connections are gone. */
  close(): Promise<void>;
}

/** Milliseconds. Slow clients are cut off so that they cannot use up the connections. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 } as const;
/** Milliseconds that open connections have when the server closes. */
const GRACE = 2_000;

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const most = options.connections ?? 512;
  // Sessions outnumber connections, so there is always one that can be forgotten.
  const sessions = new Sessions(Math.max(4096, most * 2));
  const policy = { ...options, loopback: isLoopback(options.host) };
  let port = options.port;
  const app = createRest({ ...options, sessions, policy, port: () => port });
  const sockets = new Set<Socket>();
  const webSockets = new Set<WebSocketConnection>();

  const server = createServer(
    {
      ...LIMITS,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 16 * 1024,
      // Without this, curl's offer of HTTP/2 (Upgrade: h2c) would be taken for a WebSocket.
      shouldUpgradeCallback: (request) =>
        request.headers.upgrade?.toLowerCase().includes("websocket") ?? false,
    },
    (request, response) => void answer(request, response, (it) => app.fetch(it)),
  );
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // Its errors are those of the request or of the WebSocket; unheard, one would end the process.
    socket.on("error", () => socket.destroy());
    if (sockets.size > most) socket.destroy();
  });
  server.on("upgrade", (request, socket, head) => {
    // node:http types it as a Duplex, and hands over the net.Socket of the connection.
    upgrade(request, socket as Socket, head, {
      registry: options.registry,
      sessions,
      policy,
      port,
      webSockets,
    });
  });

  port = await listen(server, options);
  return {
    url: `http://${urlHost(options.host)}:${port}`,
    port,
    close: () => shutDown(server, sockets, webSockets),
  };
}

async function shutDown(
  server: Server,
  sockets: ReadonlySet<Socket>,
  webSockets: ReadonlySet<WebSocketConnection>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const webSocket of [...webSockets]) webSocket.close(1001, "server is closing");
  server.closeIdleConnections();
  const timer = setTimeout(() => {
    for (const socket of [...sockets]) socket.destroy();
    server.closeAllConnections();
  }, GRACE);
  await closed;
  await Promise.all(
    [...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve))),
  );
  clearTimeout(timer);
}
