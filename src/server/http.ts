/**
 * What is done with a connection of one listener: its requests go to the Elysia app, WebSocket upgrades to our own engine on the
 * raw socket, since AFB's C client sends unmasked frames, which others refuse.
 */
import type { Wire } from "./wire.ts";
import { descriptorOf, limitReceiving } from "../../ffi/sockets.ts";
import type { CertificateNames } from "../api/client.ts";
import type { Registry } from "../api/registry.ts";
import type { Asker } from "../api/turns.ts";
import { everybody } from "../encoders/hold.ts";
import type { Share } from "../share.ts";
import { addressOf } from "./address.ts";
import { type Base, below, elsewhere } from "./base.ts";
import type { Guests } from "./guests.ts";
import { HttpConnection, refusal } from "./http/connection.ts";
import type { GetHeader, OriginPolicy } from "./origin.ts";
import type { Pages } from "./pages.ts";
import type { Entrance } from "./mcp.ts";
import { type Ids, type Peer, peerOf } from "./peer.ts";
import { addressName, peerName } from "./peer-name.ts";
import type { Unready } from "./health.ts";
import type { Proxies, Told } from "./proxy.ts";
import { shareWith } from "./respond.ts";
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
  /** Whether there is a page of our own. */
  console: boolean;
  /** Where tools are served. */
  mcp?: Entrance | undefined;
  base: Base;
  /** Most open connections of one listener. */
  readonly most: number;
  /** Bytes of requests and replies that wait here for a client, of all of them. */
  readonly memory: Share;
  readonly sockets: Set<Wire>;
  readonly connections: Set<HttpConnection>;
  readonly webSockets: Set<Open>;
  readonly binders: Binders | undefined;
  /** What they tell of who calls is believed. */
  proxies?: Proxies | undefined;
  readonly unready: Unready | undefined;
}

/** What is only known once the socket is bound. */
export interface Place {
  port: number;
  readonly policy: OriginPolicy;
}

/** A connection that has a place. */
export interface Admitted {
  readonly peer: Peer | undefined;
  /** Whose place it has. */
  name: string;
  readonly visitor: Visitor;
}

/** Bytes of a connection that the kernel keeps, and that are read at once, about. */
const RECEIVED = 64 * 1024;

export interface Door {
  /**
   * Takes a connection in, once it is accepted; undefined where there is no place, and it ends.
   * @param ids of who is at the other end of a unix socket
   * @param words whether it understands HTTP already, and is told why
   */
  admit(socket: Wire, ids: Ids | undefined, words: boolean): Admitted | undefined;
  /** Reads its requests. */
  serve(socket: Wire, admitted: Admitted, certificate?: CertificateNames): void;
  /** Tells one that has been admitted, and is not served, why. */
  refuse(socket: Wire, http: 403, info: string): void;
}

export function createDoor(shared: Shared, place: Place, guests: Guests): Door {
  const { registry, sessions, version, sockets, webSockets, connections, unready } = shared;
  const rest = createRest({
    registry,
    sessions,
    version,
    pages: () => shared.pages,
    console: () => shared.console,
    mcp: () => shared.mcp,
    base: () => shared.base,
    policy: () => place.policy,
    port: () => place.port,
    ...(unready && { unready }),
  });
  const refusals = new Refusals();
  const admit = (socket: Wire, ids: Ids | undefined, words: boolean): Admitted | undefined => {
    sockets.add(socket);
    const fd = descriptorOf(socket);
    if (fd !== undefined) limitReceiving(fd, RECEIVED);
    // Its errors are those of the request or of the WebSocket; unheard, one would end the process.
    socket.on("error", () => socket.destroy());
    const name = peerName(socket, ids);
    const visitor = new Visitor(socket);
    // Until it speaks, it is idle from now on.
    visitor.speaks = { idleSince: performance.now() };
    if (!guests.admit(name, visitor)) {
      socket.on("close", () => sockets.delete(socket));
      if (words) refusals.refuse(socket, 503, CROWDED);
      else socket.destroy();
      return undefined;
    }
    const admitted = { peer: ids && peerOf(socket, ids), name, visitor };
    socket.on("close", () => {
      sockets.delete(socket);
      guests.leave(admitted.name, visitor);
    });
    return admitted;
  };
  const serve = (
    socket: Wire,
    admitted: Admitted,
    certificate: CertificateNames | undefined,
  ): void => {
    const { peer, name, visitor } = admitted;
    const part = shared.memory.part();
    const own: Asker = { peer: name, connection: visitor };
    const ownAddress = addressOf(socket);
    const { remoteAddress } = socket;
    const trusted = shared.proxies?.trusts(remoteAddress) ? shared.proxies : undefined;
    const toldBy = (header: GetHeader) => trusted?.told(remoteAddress ?? "", header);
    const asker = (told: Told | undefined): Asker =>
      told ? { peer: addressName(told.address), connection: visitor } : own;
    let { peer: asking } = own;
    const connection = new HttpConnection(socket, part, {
      asker: (head) => asker(toldBy((header) => head.headers.get(header))),
      debt: () => everybody.debt(asking, () => socket.destroy()),
      respond: (request, body) => {
        const told = toldBy((header) => request.headers.get(header) ?? undefined);
        if (told?.host !== undefined) request.headers.set("host", told.host);
        const address = told?.address ?? ownAddress;
        const from = asker(told);
        asking = from.peer;
        return rest(request, { from, peer, address, body, certificate, scheme: told?.scheme });
      },
      route: (target) => below(shared.base, target) ?? elsewhere(shared.base, target),
      streams: (target) => {
        const found = below(shared.base, target);
        return found !== undefined && rest.streams(found);
      },
      share: ({ headers }) => {
        const shared = new Headers();
        shareWith((name) => headers.get(name), place.policy, shared);
        return shared;
      },
      upgrade: (head, behind) => {
        connections.delete(connection);
        const { port } = place;
        const { base, binders } = shared;
        const told = toldBy((header) => head.headers.get(header));
        const from = asker(told);
        const address = told?.address ?? ownAddress;
        // From here on the connection is that one's alone, and takes a place of its share.
        if (told) {
          if (!guests.move(name, from.peer, visitor)) {
            visitor.speaks = undefined;
            return refusals.refuse(socket, 503, CROWDED);
          }
          admitted.name = from.peer;
        }
        const headers = new Map(head.headers);
        if (told?.host !== undefined) headers.set("host", told.host);
        const policy = { ...place.policy, ...(told?.scheme && { scheme: told.scheme }) };
        const upgraded = upgrade({ ...head, headers }, socket, behind, {
          ...{ registry, sessions, policy, port, webSockets, peer, certificate, part, from },
          address,
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
      connections.delete(connection);
      part.close();
    });
  };
  const refuse = (socket: Wire, http: 403, info: string): void =>
    refusals.refuse(socket, http, info);
  return { admit, serve, refuse };
}

const CROWDED =
  "there are too many connections, none of yours is idle: close some, or try again later";

/** What speaks with it is being loaded. */
const BUSY = { idleSince: undefined };

/** Milliseconds that one which is refused has to send its request and read why. */
const REFUSAL = 1_000;
/** Most that are told at a time; more are closed. */
const TOLD = 64;

class Refusals {
  #telling = 0;

  refuse(socket: Wire, http: 403 | 503, info: string): void {
    if (this.#telling >= TOLD) {
      socket.destroy();
      return;
    }
    this.#telling++;
    const [head, body] = refusal(http, info);
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
