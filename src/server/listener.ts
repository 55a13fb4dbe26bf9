/** One place where the server listens. What is allowed depends on where a request came in, and each has places of its own. */
import type { Server } from "node:net";
import type { TLSSocket } from "node:tls";
import { unixPath } from "../../ffi/sockets.ts";
import { net } from "../late.ts";
import { Doorway } from "./doorway.ts";
import type { Endpoint } from "./endpoint.ts";
import { Guests } from "./guests.ts";
import { certificateOf } from "./certificate.ts";
import { exposed } from "./exposed.ts";
import { type Admitted, createDoor, type Door, type Shared } from "./http.ts";
import { listen, urlHost } from "./listen.ts";
import { isLoopback } from "./origin.ts";
import { plainAddress } from "./address.ts";
import { idsOf } from "./peer.ts";
import type { Secure } from "./secure.ts";
import { RawServer } from "./raw-server.ts";
import { closeUnix, listenUnix } from "./unix.ts";
import type { Wire } from "./wire.ts";

export interface Listener {
  /** `http://host:port`, or `unix:/path` */
  readonly url: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** Resolves once nothing listens, and all connections are gone. */
  close(): Promise<void>;
}

/** What is between callers over TCP and whoever else is on the way. */
export interface Protection {
  /** TLS; undefined: there is none. */
  readonly secure?: Secure | undefined;
  /** Inherited sockets that other machines reach are taken without. */
  readonly insecure?: boolean;
}

/** Throws an Error that says what to do when that is not possible. */
export async function openListener(
  endpoint: Endpoint,
  shared: Shared,
  protection: Protection = {},
): Promise<Listener> {
  let loopback = true;
  const inherited = endpoint.kind === "fd" ? unixPath(endpoint.fd) : undefined;
  const isUnix = endpoint.kind === "unix" || inherited !== undefined;
  const secure = isUnix ? undefined : protection.secure;
  const place = {
    port: 0,
    get policy() {
      const { origins, hosts } = shared;
      const scheme = secure ? ("https:" as const) : undefined;
      return { loopback, scheme, ...(origins && { origins }), ...(hosts && { hosts }) };
    },
  };
  const setPlace = (host: string | undefined, port: number): void => {
    place.port = port;
    loopback = host !== undefined && isLoopback(host);
  };
  const door = createDoor(shared, place, new Guests(shared.most));
  const doorway = new Doorway(shared.sockets, (socket) => {
    const admitted = door.admit(socket, isUnix ? idsOf(socket) : undefined, true);
    if (admitted) door.serve(socket, admitted);
  });
  const enter = (socket: Wire): void => doorway.enter(socket);
  const secured = secure?.listen(
    (socket) => door.admit(socket, undefined, false),
    (socket, admitted) => serveSecure(door, socket, admitted),
  );
  const http = secure ? "https" : "http";
  if (endpoint.kind === "tcp") {
    const { host } = endpoint;
    const server = secured ?? new RawServer(enter);
    setPlace(host, endpoint.port);
    setPlace(host, await listen(server, endpoint));
    return running(server, `${http}://${urlHost(host)}:${place.port}`, place.port);
  }
  if (endpoint.kind === "unix") {
    const server = new RawServer(enter);
    setPlace(undefined, 0);
    await listenUnix(server, endpoint.path, endpoint.mode);
    return running(server, `unix:${endpoint.path}`, 0);
  }
  // Of a descriptor the runtime's own sockets cannot be made.
  const server = secured ?? net().createServer({ noDelay: true, allowHalfOpen: true }, enter);
  await listenOn(server, endpoint.fd);
  const address = server.address();
  if (inherited !== undefined || address === null || typeof address === "string") {
    setPlace(undefined, 0);
    return running(server, `unix:${inherited}`, 0);
  }
  setPlace(address.address, address.port);
  if (!secure && !protection.insecure && !isLoopback(plainAddress(address.address))) {
    server.close();
    throw new Error(exposed(`${address.address}:${address.port}, which was handed over`));
  }
  return running(server, `${http}://${urlHost(address.address)}:${address.port}`, address.port);
}

/** Whoever has shown a certificate that counts for nothing is told why: without, it would be a stranger, and not know. */
function serveSecure(door: Door, socket: TLSSocket, admitted: Admitted): void {
  const found = certificateOf(socket);
  if (found === "none") return door.serve(socket, admitted);
  if ("names" in found) return door.serve(socket, admitted, found.names);
  door.refuse(socket, 403, `your certificate is not accepted: ${found.refused}`);
}

interface Closing {
  close(closed: () => void): unknown;
}

function listenOn(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`cannot listen on descriptor ${fd}: ${error.message}`, { cause: error })),
    );
    server.listen({ fd }, resolve);
  });
}

function running(server: Closing, url: string, port: number): Listener {
  const close = (): Promise<void> =>
    new Promise((resolve) => closeUnix(server, () => server.close(() => resolve())));
  return { url, port, close };
}
