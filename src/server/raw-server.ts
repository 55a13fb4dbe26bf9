/** Listens for connections on the runtime's own sockets, see {@link RawSocket}. */
import { EventEmitter } from "node:events";
import { isIP } from "../ip.ts";
import { type Native, RawSocket } from "./raw-socket.ts";

type Listener = Pick<Bun.TCPSocketListener<RawSocket>, "stop"> & {
  readonly port?: number;
  readonly hostname?: string;
};

/** As much of a server of `node:net` as is needed, with its events. */
export class RawServer extends EventEmitter {
  #listener: Listener | undefined;
  #open = 0;
  #closing = false;
  #gone = (): void => {};
  readonly #options: Pick<Bun.SocketOptions<RawSocket>, "socket" | "allowHalfOpen">;

  /** @param take a connection, which is not read before somebody wants its data */
  constructor(take: (socket: RawSocket) => void) {
    super();
    this.#options = {
      allowHalfOpen: true,
      socket: {
        open: (socket) => {
          this.#open++;
          const raw = new RawSocket(socket as Native);
          socket.data = raw;
          socket.setNoDelay(true);
          take(raw);
        },
        data: ({ data }, chunk) => data.received(chunk),
        end: ({ data }) => data.ended(),
        drain: ({ data }) => data.drained(),
        close: ({ data }, error) => {
          data.closed(error);
          if (--this.#open === 0 && this.#closing) this.#gone();
        },
        // What a listener has thrown is no matter of the connection's.
        error: (_, error) => {
          queueMicrotask(() => {
            throw error;
          });
        },
      },
    };
  }

  /** `error` tells why that is not possible. A path is there when this returns. */
  listen(
    where: { readonly host: string; readonly port: number } | { readonly path: string },
    listening: () => void,
  ): void {
    if ("path" in where || isIP(where.host)) return this.#listen(where, listening);
    resolved(where.host).then(
      ({ address }) => this.#listen({ ...where, host: address }, listening),
      (error: unknown) => this.emit("error", error),
    );
  }

  #listen(where: Parameters<RawServer["listen"]>[0], listening: () => void): void {
    try {
      this.#listener =
        "path" in where
          ? Bun.listen<RawSocket>({ ...this.#options, unix: where.path })
          : Bun.listen<RawSocket>({
              ...this.#options,
              hostname: where.host,
              port: where.port,
              // Nobody else of this user shares the port.
              exclusive: true,
            });
    } catch (error) {
      process.nextTick(() => this.emit("error", error));
      return;
    }
    process.nextTick(listening);
  }

  address(): { readonly address: string; readonly port: number } | null {
    const { hostname, port } = this.#listener ?? {};
    return hostname === undefined || port === undefined ? null : { address: hostname, port };
  }

  /** No more are taken; `closed` is called once all are gone. */
  close(closed: () => void): void {
    this.#closing = true;
    this.#gone = closed;
    this.#listener?.stop();
    if (this.#open === 0) process.nextTick(closed);
  }
}

async function resolved(host: string): Promise<{ readonly address: string }> {
  const { lookup } = await import("node:dns/promises");
  return lookup(host);
}
