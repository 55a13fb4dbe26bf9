/** Where importers come in: listeners, with places of their own, and memory that all of them share. */
import { createServer, type Server as NetServer } from "node:net";
import { descriptorOf, limitReceiving, unixPath } from "../../ffi/sockets.ts";
import { Gate, type GateOptions } from "../api/gate.ts";
import type { Granted, Grants } from "../api/privileges.ts";
import type { Registry } from "../api/registry.ts";
import { Guests } from "../server/guests.ts";
import { listen } from "../server/listen.ts";
import { addressOf } from "../server/address.ts";
import { idsOf, type Peer, peerOf } from "../server/peer.ts";
import { exposedBinder } from "../server/exposed.ts";
import { isLoopback } from "../server/origin.ts";
import { plainAddress } from "../server/address.ts";
import { peerName } from "../server/peer-name.ts";
import { callerOf, Sessions } from "../server/session.ts";
import { closeUnix, listenUnix } from "../server/unix.ts";
import type { Upgraded } from "../server/upgrade.ts";
import { Visitor } from "../server/visitor.ts";
import type { Wire } from "../server/wire.ts";
import { Share } from "../share.ts";
import type { Server, Shown } from "../config/binder-uri.ts";
import type { Calls } from "./calls.ts";
import { speakMessages, speakPackets } from "./connections.ts";
import { knownApis } from "./known-apis.ts";
import { PROVIDE, type Slot } from "./slot.ts";
import { listenTls } from "../server/tls-listener.ts";
import { serverOptions } from "./tls.ts";
import { limitSilence } from "./unanswered.ts";

export interface RpcOptions {
  readonly registry: Registry;
  readonly granted: Granted;
  readonly permissions?: GateOptions["permissions"];
  /** Most open connections of one listener. */
  readonly connections: number;
  /** Permissions of the files of unix sockets. */
  readonly mode: number;
  /** Sockets of the service manager that other machines reach are taken, too. */
  readonly insecure?: boolean;
  /** The socket that the service manager gave a name. Throws an Error that says what to do. */
  readonly inherited: (name: string) => number;
  /** Where who dials in may give APIs. */
  readonly slotOf?: (server: Server) => Slot | undefined;
}

export interface RunningRpc {
  /** Of each listener: where it is, and what it exports. */
  readonly places: readonly string[];
  close(): Promise<void>;
}

/** Bytes of calls and replies that wait here for all importers together, and those of a usual call, for which nobody waits. */
const MEMORY = 8 << 20;
const TRIFLE = 16 << 10;
/** Bytes of a connection that the kernel keeps, and that are read at once, about. */
const RECEIVED = 64 * 1024;
/** Of a close frame: RFC 6455, section 7.4.1. */
const GOING = 1001;
/** Milliseconds that open connections have when the server closes. */
const GRACE = 2_000;

/** Rejects with an Error that says what to do; then nothing listens. */
export async function startRpc(
  servers: readonly Server[],
  options: RpcOptions,
): Promise<RunningRpc> {
  const memory = new Share(MEMORY, TRIFLE);
  const gate = new Gate(options);
  const sessions = new Sessions(Math.max(4096, options.connections * 2 * servers.length));
  const sockets = new Set<Wire>();
  const open = new Set<Upgraded>();
  const listeners: NetServer[] = [];
  const places: string[] = [];
  const close = async (): Promise<void> => {
    const closed = listeners.map(
      (listener) =>
        new Promise<void>((resolve) => closeUnix(listener, () => listener.close(() => resolve()))),
    );
    for (const connection of [...open]) connection.close(GOING, "server is closing");
    const timer = setTimeout(() => sockets.forEach((socket) => socket.destroy()), GRACE);
    await Promise.all(closed);
    await Promise.all(
      [...sockets].map((socket) => new Promise<void>((resolve) => socket.once("close", resolve))),
    );
    clearTimeout(timer);
  };
  try {
    for (const server of servers) {
      const exported = knownApis(server, options.registry);
      const guests = new Guests(options.connections);
      const slot = options.slotOf?.(server);
      let isUnix = server.address.kind === "unix";
      const tls = server.address.kind === "tcp" ? server.address.tls : undefined;
      /** Undefined where there is no place. */
      const admit = (socket: Wire) => {
        sockets.add(socket);
        socket.on("error", () => socket.destroy());
        const fd = descriptorOf(socket);
        if (fd !== undefined) limitReceiving(fd, RECEIVED);
        const ids = isUnix ? idsOf(socket) : undefined;
        const name = peerName(socket, ids);
        const visitor = new Visitor(socket);
        if (!guests.admit(name, visitor)) {
          // There are no words for it; who dials again later gets in.
          socket.on("close", () => sockets.delete(socket));
          socket.destroy();
          return undefined;
        }
        socket.on("close", () => {
          sockets.delete(socket);
          guests.leave(name, visitor);
        });
        return { peer: ids && peerOf(socket, ids), name, visitor };
      };
      const serve = (socket: Wire, { peer, name, visitor }: Admitted): void => {
        const part = memory.part();
        socket.on("close", () => part.close());
        const { registry, granted } = options;
        const mayGive = () => tls?.mutual === true || mayProvide(granted(callerOf({}, peer)));
        const take = (calls: Calls, finish: () => void): boolean => {
          if (!slot) return false;
          if (!mayGive()) return slot.refuse(name, `it needs the privilege ${PROVIDE}`);
          const taken = slot.take(calls, name, finish);
          // Else the place would not be free for who has come back from elsewhere.
          if (taken && !isUnix && exported.length === 0) limitSilence(socket);
          return taken;
        };
        const imports = (calls: Calls, finish: () => void): boolean => {
          const taken = take(calls, finish);
          // There is nothing else for it here.
          if (!taken && exported.length === 0) finish();
          return taken;
        };
        const door = {
          ...{ registry, gate, sessions, exported, peer, part },
          from: { peer: name, connection: visitor },
          address: addressOf(socket),
          gone: (calls?: Calls) => {
            open.delete(connection);
            if (calls) slot?.leave(calls);
          },
          ...(slot && { imports }),
        };
        const connection =
          server.speech === "rpc" ? speakPackets(socket, door) : speakMessages(socket, door);
        open.add(connection);
        visitor.speaks = connection;
      };
      const how = { allowHalfOpen: true };
      const listener = tls
        ? listenTls({ ...how, ...serverOptions(tls) }, admit, serve)
        : createServer(how, (socket) => {
            const admitted = admit(socket);
            if (admitted) serve(socket, admitted);
          });
      listeners.push(listener);
      const place = await listenAt(listener, server, options);
      isUnix = place.startsWith("unix:");
      const given = slot ? [`${slot.names.join(", ")} from who dials in`] : [];
      places.push(`${place}: ${[...exported.map(shown), ...given].join(", ")}`);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { places, close };
}

interface Admitted {
  readonly peer: Peer | undefined;
  readonly name: string;
  readonly visitor: Visitor;
}

const mayProvide = ({ privileges }: Grants): boolean =>
  privileges === "all" || privileges.has(PROVIDE);

const shown = ({ local, remote = "" }: Shown): string =>
  local === remote ? local : `${local}@${remote}`;

/** Returns where it listens, for who dials. */
async function listenAt(
  listener: NetServer,
  { address, uri }: Server,
  { mode, inherited, insecure }: RpcOptions,
): Promise<string> {
  switch (address.kind) {
    case "tcp": {
      const port = await listen(listener, address);
      return `${address.tls ? (address.tls.mutual ? "mtls+" : "tls+") : ""}tcp:${address.host.includes(":") ? `[${address.host}]` : address.host}:${port}`;
    }
    case "unix":
      if (address.path.startsWith("@"))
        await listenBy(listener, uri, { path: `\0${address.path.slice(1)}` });
      else await listenUnix(listener, address.path, mode);
      return `unix:${address.path}`;
    case "sd": {
      const fd = inherited(address.name);
      const path = unixPath(fd);
      await listenBy(listener, uri, { fd });
      const bound = listener.address();
      const tcp =
        typeof bound === "object" && bound !== null ? plainAddress(bound.address) : undefined;
      if (path === undefined && !insecure && tcp !== undefined && !isLoopback(tcp))
        throw new Error(exposedBinder(`${uri}, at ${tcp},`));
      return path === undefined ? `sd:${address.name}` : `unix:${path}`;
    }
  }
}

function listenBy(
  listener: NetServer,
  uri: string,
  where: { path: string } | { fd: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const used = "code" in error && error.code === "EADDRINUSE";
      const why = used
        ? "another program listens there; stop it, or use another name"
        : error.message;
      reject(new Error(`cannot listen on ${uri}: ${why}`, { cause: error }));
    };
    listener.once("error", fail);
    listener.listen(where, () => {
      listener.off("error", fail);
      resolve();
    });
  });
}
