/** Turns a connection that asks for it into an AFB WebSocket. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { AfbError } from "../errors.ts";
import type { Registry } from "../api/registry.ts";
import { AfbConnection } from "./afb.ts";
import { handshake, refuse } from "./handshake.ts";
import type { OriginPolicy } from "./origin.ts";
import type { Peer } from "./peer.ts";
import { parseQuery } from "./query.ts";
import { callerOf, readCredentials, type Credentials, type Sessions } from "./session.ts";
import { WebSocketConnection } from "./websocket.ts";

export interface UpgradeContext {
  registry: Registry;
  sessions: Sessions;
  policy: OriginPolicy;
  /** The port listened on: it names the cookie. */
  port: number;
  /** Who connected, over a unix socket. */
  peer: Peer | undefined;
  /** The open ones; kept up to date here. */
  webSockets: Set<WebSocketConnection>;
}

/** Milliseconds a refused client has to read the refusal. */
const REFUSAL_TIMEOUT = 2_000;

export function upgrade(
  request: IncomingMessage,
  socket: Socket,
  head: Uint8Array,
  { registry, sessions, policy, port, peer, webSockets }: UpgradeContext,
): void {
  const shaken = handshake(request, policy);
  if (!shaken.accepted) {
    reject(socket, shaken.response);
    return;
  }
  const credentials = credentialsOf(request, port);
  if (credentials instanceof AfbError) {
    reject(socket, refuse(400, credentials).response);
    return;
  }
  const client = new AfbConnection(
    registry,
    sessions.open(credentials, peer),
    callerOf(credentials, peer),
  );
  const connection: WebSocketConnection = new WebSocketConnection(socket, {
    text: (text) => client.text(text),
    gone: () => {
      webSockets.delete(connection);
      client.gone();
    },
  });
  webSockets.add(connection);
  client.attach(connection);
  socket.write(shaken.response);
  connection.start(head);
}

function reject(socket: Socket, response: string): void {
  // Read and drop what comes behind the request: closing over unread data would reset the connection.
  socket.resume();
  socket.end(response);
  const timer = setTimeout(() => socket.destroy(), REFUSAL_TIMEOUT);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => clearTimeout(timer));
}

/** Session and token as header, parameter or cookie; an error for a query string that cannot be decoded. */
function credentialsOf(request: IncomingMessage, port: number): Credentials | AfbError {
  const [, query = ""] = /\?(.*)$/s.exec(request.url ?? "") ?? [];
  try {
    const parameters = parseQuery(query, "query string");
    const header = (name: string): string | undefined => {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    return readCredentials(header, (name) => parameters.get(name), port);
  } catch (error) {
    if (error instanceof AfbError) return error;
    throw error;
  }
}
