/**
 * What is done with a connection of one listener: its requests go to the Elysia app, WebSocket upgrades to our own engine on the
 * raw socket, since AFB's C client sends unmasked frames, which others refuse.
 */
import type { Socket } from "node:net";
import { descriptorOf, limitReceiving } from "../../ffi/sockets.ts";
import type { Registry } from "../api/registry.ts";
import type { Asker } from "../api/turns.ts";
import type { Share } from "../share.ts";
import { addressOf } from "./address.ts";
import { type Base, below, elsewhere } from "./base.ts";
import type { Guests } from "./guests.ts";
import { HttpConnection, refusal } from "./http/connection.ts";
import type { OriginPolicy } from "./origin.ts";
import type { Pages } from "./pages.ts";
import type { Peer } from "./peer.ts";
import { peerName } from "./peer-name.ts";
import type { Unready } from "./health.ts";
import { createRest } from "./rest.ts";
import type { Sessions } from "./session.ts";
import { type Binders, type Open, upgrade } from "./upgrade.ts";
import { Visitor } from "./visitor.ts";

/** What all listeners of a server share. */
export interface Shared {
  readonly registry: Registry;
  readonly sessions: Sessions;
  readonly version: string;
  /** Who may call from a browser, see OriginPolicy; they change when the server becomes a service. */
  origins?: readonly string[] | undefined;
  hosts?: readonly string[] | undefined;
  pages?: Pages | undefined;
  base: Base;
  /** Most open connections of one listener. */
  readonly most: number;
  /** Bytes of requests and replies that wait here for a client, of all of them. */
  readonly memory: Share;
  readonly sockets: Set<Socket>;
  readonly connections: Set<HttpConnection>;
  readonly webSockets: Set<Open>;
  readonly binders: Binders | undefined;
  readonly unready: Unready | undefined;
}

/** What is only known once the socket is bound. */
export interface Place {
  port: number;
  readonly policy: OriginPolicy;
}

/** Bytes of a connection that the kernel keeps, and that are read at once, about. */
const RECEIVED = 64 * 1024;

/** Takes connections in, each once it is accepted. @param peer who is at the other end of a unix socket */
export type Door = (socket: Socket, peer: Peer | undefined) => void;

export function createDoor(shared: Shared, place: Place, guests: Guests): Door {
  const { registry, sessions, version, sockets, webSockets, connections, unready } = shared;
  const rest = createRest({
    registry,
    sessions,
    version,
    pages: () => shared.pages,
    base: () => shared.base,
    policy: () => place.policy,
    port: () => place.port,
    ...(unready && { unready }),
  });
  const refusals = new Refusals();
  return (socket, peer) => {
    sockets.add(socket);
    const fd = descriptorOf(socket);
    if (fd !== undefined) limitReceiving(fd, RECEIVED);
    // Its errors are those of the request or of the WebSocket; unheard, one would end the process.
    socket.on("error", () => socket.destroy());
    const name = peerName(socket, peer);
    const visitor = new Visitor(socket);
    if (!guests.admit(name, visitor)) {
      socket.on("close", () => sockets.delete(socket));
      refusals.refuse(socket);
      return;
    }
    const part = shared.memory.part();
    const from: Asker = { peer: name, connection: visitor };
    const address = addressOf(socket);
    const connection = new HttpConnection(socket, part, {
      respond: (request, body) => rest(request, { from, peer, address, body }),
      route: (target) => below(shared.base, target) ?? elsewhere(shared.base, target),
      upgrade: (head, behind) => {
        connections.delete(connection);
        const { policy, port } = place;
        const { base, binders } = shared;
        const upgraded = upgrade(head, socket, behind, {
          ...{ registry, sessions, policy, port, webSockets, peer, part, from, address },
          ...{ base, binders },
        });
        if (!(upgraded instanceof Promise)) {
          visitor.speaks = upgraded;
          return;
        }
        visitor.speaks = BUSY;
        void upgraded.then((one) => (visitor.speaks = one));
      },
    });
    visitor.speaks = connection;
    connections.add(connection);
    socket.on("close", () => {
      sockets.delete(socket);
      connections.delete(connection);
      guests.leave(name, visitor);
      part.close();
    });
  };
}

/** What speaks with it is being loaded. */
const BUSY = { idleSince: undefined };

/** Milliseconds that one which is refused has to send its request and read why. */
const REFUSAL = 1_000;
/** Most that are told at a time; more are closed. */
const TOLD = 64;

class Refusals {
  #telling = 0;

  refuse(socket: Socket): void {
    if (this.#telling >= TOLD) {
      socket.destroy();
      return;
    }
    this.#telling++;
    const info =
      "there are too many connections, none of yours is idle: close some, or try again later";
    const [head, body] = refusal(503, info);
    // Read and drop the request: closing over unread data would reset the connection.
    socket.on("data", () => {});
    socket.on("end", () => socket.destroy());
    socket.end(Buffer.concat([Buffer.from(head), body]));
    const timer = setTimeout(() => socket.destroy(), REFUSAL);
    socket.on("close", () => {
      clearTimeout(timer);
      this.#telling--;
    });
  }
}
