/** Turns a connection that asks for it into an AFB WebSocket. */
import type { Socket } from "node:net";
import { AfbError } from "../errors.ts";
import type { Registry } from "../api/registry.ts";
import type { Asker } from "../api/turns.ts";
import type { Part } from "../share.ts";
import { AfbConnection } from "./afb.ts";
import type { Base } from "./base.ts";
import { handshake, refuse } from "./handshake.ts";
import type { RequestHead } from "./http/head.ts";
import type { GetHeader, OriginPolicy } from "./origin.ts";
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
  base: Base;
  /** The open ones; kept up to date here. */
  webSockets: Set<WebSocketConnection>;
  /** What the connection holds of the memory for all. */
  part: Part;
  from: Asker;
}

/** A WebSocket, as one of the connections of a door. */
export interface Upgraded {
  /** See Guest. */
  readonly idleSince: number | undefined;
  evict(): void;
}

/** Milliseconds a refused client has to read the refusal. */
const REFUSAL_TIMEOUT = 2_000;

/** undefined where it is refused, and ends. @param behind what came behind the request */
export function upgrade(
  head: RequestHead,
  socket: Socket,
  behind: Uint8Array,
  { registry, sessions, policy, port, peer, base, webSockets, part, from }: UpgradeContext,
): Upgraded | undefined {
  const header = (name: string): string | undefined => head.headers.get(name);
  const { method, target } = head;
  const shaken = handshake({ method, url: target, header }, policy, base);
  if (!shaken.accepted) return reject(socket, shaken.response);
  const credentials = credentialsOf(target, header, port);
  if (credentials instanceof AfbError) return reject(socket, refuse(400, credentials).response);
  const session = sessions.open(credentials, peer);
  const client = new AfbConnection(registry, session, callerOf(credentials, peer), from);
  const events = {
    text: (text: string) => client.text(text),
    gone: () => {
      webSockets.delete(connection);
      client.gone();
    },
  };
  const connection: WebSocketConnection = new WebSocketConnection(socket, events, { part });
  webSockets.add(connection);
  client.attach(connection);
  socket.write(shaken.response);
  connection.start(behind);
  return {
    get idleSince() {
      return client.idleSince;
    },
    evict: () => connection.evict("there are too many connections: idle ones go first"),
  };
}

function reject(socket: Socket, response: string): undefined {
  // Read and drop what comes behind the request: closing over unread data would reset the connection.
  socket.resume();
  socket.end(response);
  const timer = setTimeout(() => socket.destroy(), REFUSAL_TIMEOUT);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => clearTimeout(timer));
}

/** Session and token as header, parameter or cookie; an error for a query string that cannot be decoded. */
function credentialsOf(target: string, header: GetHeader, port: number): Credentials | AfbError {
  const [, query = ""] = /\?(.*)$/s.exec(target) ?? [];
  try {
    const parameters = parseQuery(query, "query string");
    return readCredentials(header, (name) => parameters.get(name), port);
  } catch (error) {
    if (error instanceof AfbError) return error;
    throw error;
  }
}
