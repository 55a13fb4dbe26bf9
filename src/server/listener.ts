/** One place where the server listens. What is allowed depends on where a request came in, and each has places of its own. */
import { createServer, type Server, type Socket } from "node:net";
import { unixPath } from "../../ffi/sockets.ts";
import type { Endpoint } from "./endpoint.ts";
import { Guests } from "./guests.ts";
import { createDoor, type Shared } from "./http.ts";
import { listen, urlHost } from "./listen.ts";
import { isLoopback } from "./origin.ts";
import { peerOf } from "./peer.ts";
import { listenUnix } from "./unix.ts";

export interface Listener {
  /** `http://host:port`, or `unix:/path` */
  readonly url: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** Resolves once nothing listens, and all connections are gone. */
  close(): Promise<void>;
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
  const inherited = endpoint.kind === "fd" ? unixPath(endpoint.fd) : undefined;
  const isUnix = endpoint.kind === "unix" || inherited !== undefined;
  const door = createDoor(shared, place, new Guests(shared.most));
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket: Socket) =>
    door(socket, isUnix ? peerOf(socket) : undefined),
  );
  if (endpoint.kind === "tcp") {
    const { host } = endpoint;
    setPlace(host, endpoint.port);
    setPlace(host, await listen(server, endpoint));
    return running(server, `http://${urlHost(host)}:${place.port}`, place.port);
  }
  if (endpoint.kind === "unix") {
    setPlace(undefined, 0);
    await listenUnix(server, endpoint.path, endpoint.mode);
    return running(server, `unix:${endpoint.path}`, 0);
  }
  await listenOn(server, endpoint.fd);
  const address = server.address();
  if (inherited !== undefined || address === null || typeof address === "string") {
    setPlace(undefined, 0);
    return running(server, `unix:${inherited}`, 0);
  }
  setPlace(address.address, address.port);
  return running(server, `http://${urlHost(address.address)}:${address.port}`, address.port);
}

function listenOn(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`cannot listen on descriptor ${fd}: ${error.message}`, { cause: error })),
    );
    server.listen({ fd }, resolve);
  });
}

function running(server: Server, url: string, port: number): Listener {
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return { url, port, close };
}
