/** Turns a connection that asks for it into an AFB WebSocket, or into one of another binder. */
import type { Wire } from "./wire.ts";
import { AfbError } from "../errors.ts";
import type { CertificateNames } from "../api/client.ts";
import type { Registry } from "../api/registry.ts";
import type { Asker } from "../api/turns.ts";
import type { Part } from "../share.ts";
import { AfbConnection } from "./afb.ts";
import type { Base } from "./base.ts";
import { beats } from "./beats.ts";
import { handshake, refuse } from "./handshake.ts";
import type { RequestHead } from "./http/head.ts";
import type { GetHeader, OriginPolicy } from "./origin.ts";
import type { Peer } from "./peer.ts";
import { once, parseQuery } from "./query.ts";
import { errorLine } from "../unexpected.ts";
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
  webSockets: Set<Open>;
  /** See Binders. */
  binders: Binders | undefined;
  /** What the connection holds of the memory for all. */
  part: Part;
  from: Asker;
  /** Verified by TLS. */
  certificate: CertificateNames | undefined;
  /** Where it comes from, over TCP. */
  address: string | undefined;
}

/** A WebSocket, as one of the connections of a door. */
export interface Upgraded {
  /** See Guest. */
  readonly idleSince: number | undefined;
  evict(): void;
  close(code: number, reason: string): void;
}

/** One of those that are open. */
export interface Open extends Pick<Upgraded, "close"> {
  /** Bytes that wait for the client; absent where nobody has counted. */
  readonly backlog?: number;
}

/** A connection that packets come over. */
export interface Packeted {
  readonly socket: Wire;
  /** What was read of it already. */
  readonly behind: Uint8Array;
  /** In the frames of a WebSocket, not bare. */
  readonly framed: boolean;
  readonly registry: Registry;
  readonly sessions: Sessions;
  /** What the request said of who is calling: for calls that do not tell. */
  readonly credentials: Credentials;
  readonly peer: Peer | undefined;
  readonly certificate: CertificateNames | undefined;
  readonly part: Part;
  readonly from: Asker;
  /** Where it comes from, over TCP. */
  readonly address: string | undefined;
  readonly gone: () => void;
}

/** What speaks with other binders. It lies above the server, and is only loaded once one of them comes. */
export type Binders = () => Promise<(connection: Packeted) => Upgraded>;

/** Milliseconds a refused client has to read the refusal. */
const REFUSAL_TIMEOUT = 2_000;

/** undefined where it is refused, and ends. @param behind what came behind the request */
export function upgrade(
  head: RequestHead,
  socket: Wire,
  behind: Uint8Array,
  context: UpgradeContext,
): Upgraded | undefined | Promise<Upgraded | undefined> {
  const header = (name: string): string | undefined => head.headers.get(name);
  const { method, target } = head;
  const { policy, base, port, binders } = context;
  const { accepted, response, speaks } = handshake({ method, url: target, header }, policy, base);
  if (!accepted) return reject(socket, response);
  const credentials = credentialsOf(target, header, port);
  if (credentials instanceof AfbError) return reject(socket, refuse(400, credentials).response);
  if (speaks === "json") return webSocket(socket, behind, response, credentials, context);
  if (!binders) {
    const none = new AfbError("not-available", "other binders are not served here");
    return reject(socket, refuse(503, none).response);
  }
  return packets({ socket, behind, framed: speaks === "framed packets" }, response, binders, {
    ...context,
    credentials,
  });
}

async function packets(
  { socket, ...how }: Pick<Packeted, "socket" | "behind" | "framed">,
  response: string,
  binders: Binders,
  context: UpgradeContext & Pick<Packeted, "credentials">,
): Promise<Upgraded | undefined> {
  const { registry, sessions, webSockets, peer, certificate, part, from, address, credentials } =
    context;
  socket.pause();
  let speak: Awaited<ReturnType<Binders>>;
  try {
    speak = await binders();
  } catch (error) {
    console.error(`other binders cannot be served: ${errorLine(error)}`);
    return reject(socket, refuse(500, new AfbError("internal-error", "it failed")).response);
  }
  if (socket.destroyed) return undefined;
  socket.write(response);
  // What came behind the request may end it at once.
  const entry = { close: (code: number, why: string): void => upgraded.close(code, why) };
  webSockets.add(entry);
  const upgraded: Upgraded = speak({
    ...{ socket, ...how, registry, sessions, credentials, peer, certificate, part, from },
    address,
    gone: () => webSockets.delete(entry),
  });
  socket.resume();
  return upgraded;
}

function webSocket(
  socket: Wire,
  behind: Uint8Array,
  response: string,
  credentials: Credentials,
  { registry, sessions, peer, certificate, webSockets, part, from, address }: UpgradeContext,
): Upgraded {
  const session = sessions.open(credentials, peer);
  const caller = callerOf(credentials, peer, { address, via: "websocket", certificate });
  const client = new AfbConnection(registry, session, caller, from);
  const events = {
    text: (text: string) => client.text(text),
    gone: () => {
      webSockets.delete(connection);
      beats.delete(client);
      client.gone();
    },
  };
  const connection: WebSocketConnection = new WebSocketConnection(socket, events, {
    part,
    from,
  });
  webSockets.add(connection);
  beats.add(client);
  client.attach(connection);
  socket.write(response);
  connection.start(behind);
  return {
    get idleSince() {
      return client.idleSince;
    },
    evict: () => connection.evict("there are too many connections: idle ones go first"),
    close: (code, reason) => connection.close(code, reason),
  };
}

function reject(socket: Wire, response: string): undefined {
  // Read and drop what comes behind the request: closing over unread data would reset the connection.
  socket.on("data", () => {});
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
    return readCredentials(header, (name) => once(parameters, name), port);
  } catch (error) {
    if (error instanceof AfbError) return error;
    throw error;
  }
}
