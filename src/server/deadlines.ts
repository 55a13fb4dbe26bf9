/**
 * Time limits of connections that node:http did not accept itself: it holds the limits of its options only against those
 * of its own listener. One timer per connection, for what is due next: a request, the rest of a body, or nothing.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

export interface Limits {
  /** Milliseconds for the first request's headers. */
  readonly headersTimeout: number;
  /** Milliseconds for a body, from the headers on. */
  readonly requestTimeout: number;
  /** Milliseconds from one response to the headers of the next request. */
  readonly keepAliveTimeout: number;
}

class Deadline {
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Requests without a complete response; a client may send several ahead. */
  #active = 0;
  #over = false;

  constructor(
    readonly socket: Socket,
    readonly limits: Limits,
  ) {
    socket.once("close", () => this.end());
    this.#due(limits.headersTimeout);
  }

  request(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.#active++;
    this.#due(this.limits.requestTimeout);
    incoming.once("end", () => clearTimeout(this.#timer));
    outgoing.once("close", () => {
      if (--this.#active === 0) this.#due(this.limits.keepAliveTimeout);
    });
  }

  /** No limit any more: the connection is gone, or became a WebSocket. */
  end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #due(milliseconds: number): void {
    clearTimeout(this.#timer);
    if (this.#over) return;
    this.#timer = setTimeout(() => this.socket.destroy(), milliseconds);
  }
}

/** Holds the limits against every connection of `server` from now on. */
export function holdDeadlines(server: Server, limits: Limits): void {
  const deadlines = new WeakMap<Socket, Deadline>();
  server.on("connection", (socket: Socket) => deadlines.set(socket, new Deadline(socket, limits)));
  const request = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    deadlines.get(incoming.socket)?.request(incoming, outgoing);
  };
  server.prependListener("request", request);
  server.prependListener("checkContinue", request);
  server.prependListener("upgrade", ({ socket }: IncomingMessage) => deadlines.get(socket)?.end());
}
