/** A client of an AFB server, over the WebSocket sub-protocol x-afb-ws-json1. */
import type { Reply } from "./api/reply.ts";

const PROTOCOL = "x-afb-ws-json1";

export interface ClientEvents {
  /** An event: its name, such as `api/verb`, and its data. */
  event: (name: string, data: unknown) => void;
  /** The connection is gone. Once. */
  close: (reason: string) => void;
}

/** The server could not be reached, or hung up. */
export class ConnectionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConnectionError";
  }
}

interface Pending {
  resolve(reply: Reply): void;
  reject(error: ConnectionError): void;
}

export class AfbClient {
  #last = 0;
  #closed: string | undefined;
  readonly #pending = new Map<string, Pending>();
  readonly #listeners: { [Name in keyof ClientEvents]: Set<ClientEvents[Name]> } = {
    event: new Set(),
    close: new Set(),
  };

  /** Use {@link connect}. The socket is open already. */
  constructor(
    readonly url: string,
    readonly socket: WebSocket,
  ) {
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code, reason }) => this.#gone(`${reason || "hung up"} (code ${code})`);
  }

  /**
   * Calls `api/verb`. Resolves to the reply, also to one that reports an error: see `reply.request.status`.
   * Rejects with {@link ConnectionError} when the connection goes first.
   */
  call(method: string, args: unknown = null): Promise<Reply> {
    if (this.#closed !== undefined) return Promise.reject(this.#error());
    const id = String(++this.#last);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#pending.set(id, { resolve, reject });
    this.socket.send(JSON.stringify([2, id, method, args]));
    return promise;
  }

  /** Calls the listener on each event, or once at the end. Returns a function that takes that back. */
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void {
    this.#listeners[name].add(listener);
    return () => {
      this.#listeners[name].delete(listener);
    };
  }

  /** Resolves once the connection is closed. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return Promise.resolve();
    const closed = new Promise<void>((resolve) => this.on("close", () => resolve()));
    this.socket.close(1000);
    return closed;
  }

  #error(): ConnectionError {
    return new ConnectionError(`${this.url}: the server closed the connection: ${this.#closed}`);
  }

  #gone(reason: string): void {
    this.#closed = reason;
    for (const { reject } of this.#pending.values()) reject(this.#error());
    this.#pending.clear();
    for (const listener of this.#listeners.close) listener(reason);
  }

  #receive(text: string): void {
    const frame = parse(text);
    const [kind, name, body] = frame;
    if (kind === 5 && typeof name === "string" && isObject(body)) {
      for (const listener of this.#listeners.event) listener(name, body.data);
    } else if ((kind === 3 || kind === 4) && typeof name === "string" && isReply(body)) {
      this.#pending.get(name)?.resolve(body);
      this.#pending.delete(name);
    } else {
      this.socket.close(4002, "not an AFB server");
    }
  }
}

/**
 * Opens a connection. Rejects with a {@link ConnectionError} that says what to look at.
 * @param url Such as `ws://localhost:1234/api`.
 * @param token Sent as `Authorization: Bearer`.
 */
export function connect(url: string, { token }: { token?: string } = {}): Promise<AfbClient> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    const socket = new WebSocket(url, { protocols: [PROTOCOL], headers });
    socket.onopen = () => {
      socket.onerror = null;
      resolve(new AfbClient(url, socket));
    };
    const fail = (reason: string): void => {
      const advice = "is the server running there, and is the path /api?";
      reject(new ConnectionError(`cannot connect to ${url}: ${reason}; ${advice}`));
    };
    socket.onerror = (event) => {
      fail(event instanceof ErrorEvent && event.message ? event.message : "connection failed");
    };
    socket.onclose = ({ reason }) => fail(reason || "connection closed");
  });
}

function parse(text: string): unknown[] {
  try {
    const frame: unknown = JSON.parse(text);
    return Array.isArray(frame) ? frame : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isReply(value: unknown): value is Reply & Record<string, unknown> {
  return isObject(value) && isObject(value.request) && typeof value.request.status === "string";
}
