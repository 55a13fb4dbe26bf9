/**
 * A client of an AFB server, over the WebSocket sub-protocol x-afb-ws-json1. Nothing here is of Bun alone: it runs in
 * browsers too.
 */
import type { Reply } from "./api/reply.ts";
import { CallError, ConnectionError } from "./client/errors.ts";
import type { ClientEvents } from "./client/events.ts";
import { decodeFrame } from "./client/frame.ts";
import { parseExact } from "./numbers.ts";
import { backoff, type Backoff } from "./client/backoff.ts";
import { openSocket, type TlsOptions } from "./client/socket.ts";
import {
  followTask,
  type FollowOptions,
  type Missed,
  type TaskData,
  type TaskStatus,
} from "./client/task.ts";

export { CallError, ConnectionError };
export type { Backoff, ClientEvents, FollowOptions, Missed, TaskData, TaskStatus, TlsOptions };

export interface ConnectOptions {
  /** Sent as `Authorization: Bearer`; where WebSockets take no headers (browsers), with the first call. */
  token?: string;
  /** For `wss:`; not in browsers. */
  tls?: TlsOptions;
  /**
   * Connect again when the connection breaks, until {@link AfbClient.close}. Calls without a reply by then are rejected and
   * never repeated: whether the server ran them is not known.
   */
  reconnect?: boolean | Backoff;
  /**
   * Numbers that come as they are written: one that JavaScript would change (9007199254740993, 1.50) is a `JSON.rawJSON` object,
   * which JSON.stringify writes back, and whose text is its `rawJSON`. Else all are doubles.
   */
  exactNumbers?: boolean;
}

interface Pending {
  resolve(reply: Reply): void;
  reject(error: ConnectionError): void;
}

/** JSON has numbers of any length. */
const withBigInts = (_key: string, value: unknown): unknown =>
  typeof value === "bigint" ? JSON.rawJSON(String(value)) : value;

/** Whether the token goes with the handshake. */
const HEADERS = "Bun" in globalThis;

export class AfbClient {
  #socket: WebSocket;
  #last = 0;
  /** Why nothing can be called now. */
  #down: string | undefined;
  #closing = false;
  #closed = false;
  #tokenDue: string | undefined;
  /** Ends the wait before the next attempt to connect. */
  #hurry = (): void => undefined;
  readonly #pending = new Map<string, Pending>();
  readonly #listeners: { [Name in keyof ClientEvents]: Set<ClientEvents[Name]> } = {
    event: new Set(),
    lost: new Set(),
    restored: new Set(),
    close: new Set(),
  };

  /** Use {@link connect}. The socket is open already. */
  constructor(
    readonly url: string,
    socket: WebSocket,
    readonly options: ConnectOptions = {},
  ) {
    this.#socket = socket;
    this.#attach(socket);
  }

  /** Whether calls can be made now. */
  get connected(): boolean {
    return this.#down === undefined;
  }

  /**
   * Calls `api/verb`; in its arguments a bigint is a number, and so is what JSON.rawJSON makes of a text. Resolves to the reply, also to one that reports an error: see `reply.request.status`.
   * Rejects with {@link ConnectionError} when the connection goes first, or is not there.
   */
  call(method: string, args: unknown = null): Promise<Reply> {
    if (this.#down !== undefined) return Promise.reject(this.#error(this.#down));
    const id = String(++this.#last);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#pending.set(id, { resolve, reject });
    const token = this.#tokenDue === undefined ? [] : [this.#tokenDue];
    this.#tokenDue = undefined;
    this.#socket.send(JSON.stringify([2, id, method, args, ...token], withBigInts));
    return promise;
  }

  /**
   * Calls a verb that starts a task; yields its data events, and returns its status. A synchronous encoder's output comes
   * as one event. Leaving the loop early unsubscribes; the task goes on. Throws {@link CallError} when the reply is an error
   * or no task was started, {@link ConnectionError} when the connection goes first.
   */
  start(method: string, args: unknown = null): AsyncGenerator<TaskData, TaskStatus, void> {
    return followTask(this, method, args);
  }

  /**
   * Follows the task `pid` of a verb, which another client has started: yields what {@link start} yields from now on. Such a
   * task does not wait for this client, unless it is told to.
   */
  follow(
    method: string,
    pid: number,
    { lossless, missed }: FollowOptions = {},
  ): AsyncGenerator<TaskData, TaskStatus, void> {
    const target = { pid, ...(lossless !== undefined && { lossless }) };
    return followTask(this, method, { action: "subscribe", args: target }, { pid, missed });
  }

  /** Calls the listener on each event. Returns a function that takes that back. */
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void {
    this.#listeners[name].add(listener);
    return () => {
      this.#listeners[name].delete(listener);
    };
  }

  /** Resolves once the connection is closed. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const closed = new Promise<void>((resolve) => this.on("close", () => resolve()));
    this.#closing = true;
    this.#socket.close(1000);
    this.#hurry();
    return closed;
  }

  #attach(socket: WebSocket): void {
    if (!HEADERS) this.#tokenDue = this.options.token;
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code, reason }) => this.#gone(`${reason || "hung up"} (code ${code})`);
  }

  #error(reason: string): ConnectionError {
    return new ConnectionError(`${this.url}: the server closed the connection: ${reason}`);
  }

  #gone(reason: string): void {
    this.#down = reason;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of lost) reject(this.#error(reason));
    if (!this.options.reconnect || this.#closing) {
      this.#end(reason);
      return;
    }
    for (const listener of [...this.#listeners.lost]) listener(reason);
    void this.#restore(reason);
  }

  async #restore(reason: string): Promise<void> {
    const { reconnect } = this.options;
    for (const delay of backoff(typeof reconnect === "object" ? reconnect : {})) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, delay);
        this.#hurry = () => {
          clearTimeout(timer);
          resolve();
        };
        if (this.#closing) this.#hurry();
      });
      if (this.#closing) break;
      const socket = await openSocket(this.url, this.options).catch((error: unknown) => {
        // Not there yet: the next attempt will tell.
        if (!(error instanceof ConnectionError)) throw error;
      });
      if (!socket) continue;
      if (this.#closing) {
        socket.close(1000);
        break;
      }
      this.#socket = socket;
      this.#down = undefined;
      this.#attach(socket);
      for (const listener of [...this.#listeners.restored]) listener();
      return;
    }
    this.#end(reason);
  }

  #end(reason: string): void {
    this.#closed = true;
    for (const listener of [...this.#listeners.close]) listener(reason);
  }

  #receive(text: string): void {
    const frame = decodeFrame(text, this.options.exactNumbers ? parseExact : JSON.parse);
    if (frame?.kind === "event") {
      for (const listener of [...this.#listeners.event]) listener(frame.name, frame.data);
    } else if (frame?.kind === "reply") {
      this.#pending.get(frame.id)?.resolve(frame.reply);
      this.#pending.delete(frame.id);
    } else {
      this.#socket.close(4002, "not an AFB server");
    }
  }
}

/**
 * Opens a connection. Rejects with a {@link ConnectionError} that says what to look at; the first attempt is not repeated.
 * @param url Such as `ws://localhost:1234/api`, `wss://board.local:1234/api`, or in Bun `ws+unix:///run/spawnbox.sock:/api`.
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<AfbClient> {
  return new AfbClient(url, await openSocket(url, options), options);
}
