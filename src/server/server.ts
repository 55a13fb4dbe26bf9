/** The server: listeners, and what they share. Closing it says goodbye to everybody. */
import { closeSync } from "node:fs";
import type { Wire } from "./wire.ts";
import { within } from "../api/deadline.ts";
import type { Registry } from "../api/registry.ts";
import type { Base } from "./base.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HttpConnection } from "./http/connection.ts";
import type { Unready } from "./health.ts";
import type { Shared } from "./http.ts";
import { Share } from "../share.ts";
import { type Listener, openListener, type Protection } from "./listener.ts";
import { Entrance, type McpOptions } from "./mcp.ts";
import { type PageSource, Pages } from "./pages.ts";
import type { Proxies } from "./proxy.ts";
import { Sessions } from "./session.ts";
import type { Binders } from "./upgrade.ts";

export interface ServerOptions {
  registry: Registry;
  /** Where to listen; all of it, or the server does not start. At least one. */
  endpoints: readonly Endpoint[];
  /** Origins of web pages that may call, besides our own; `*` is any. */
  origins?: readonly string[];
  /** Names this server is called by; checked if given, and on loopback addresses. */
  hosts?: readonly string[];
  /** See Base; none by default. */
  base?: Base;
  /** Directories whose files are served, besides the API. */
  pages?: readonly PageSource[];
  /** Whether the console is served, see console.ts; by default not. */
  console?: boolean;
  /** Whether tools are served, see mcp.ts; by default not. */
  mcp?: McpOptions | undefined;
  version: string;
  /** Most open connections of one endpoint; see guests.ts for who gets them. */
  connections?: number;
  /** See Binders; without, other binders are refused. */
  binders?: Binders;
  /** Bytes of requests and replies that may wait here for all clients together. */
  memory?: number;
  /** ms in which a client that has more than its part of that finishes what it has begun, while others wait for it. */
  favour?: number;
  protection?: Protection | undefined;
  /** What they tell of who calls is believed. */
  proxies?: Proxies | undefined;
  /** What `/readyz` says; always ready by default. */
  unready?: Unready;
}

/** Connections now. */
export interface Clients {
  readonly open: number;
  readonly webSockets: number;
  /** WebSockets whose client has not taken all that was sent. */
  readonly paused: number;
}

export interface RunningServer {
  /** Of the first endpoint, without the base. */
  readonly url: string;
  readonly port: number;
  /** Of each endpoint: `http://host:port` with the base, or `unix:/path`. */
  readonly urls: readonly string[];
  /**
   * Listens there too, where it does not yet, and takes other pages and names, and another base, than before. Rejects, with an Error that says
   * what to do, and changes nothing.
   */
  extend(
    options: Pick<
      ServerOptions,
      | "endpoints"
      | "origins"
      | "hosts"
      | "base"
      | "pages"
      | "console"
      | "mcp"
      | "protection"
      | "proxies"
    >,
  ): Promise<void>;
  readonly clients: Clients;
  /**
   * Stops listening, says goodbye to WebSockets (1001), and resolves once all connections are gone.
   * @param told settles once all has been told that is to be; WebSockets and streams are left open for it, for a while
   */
  close(told?: Promise<unknown>): Promise<void>;
}

/** Milliseconds that open connections have when the server closes. */
const GRACE = 2_000;

const CONNECTIONS = 512;
/** Several times that is what the process may grow by, since text has two bytes a character, and JSON becomes objects. */
const MEMORY = 8 << 20;
/** Bytes of a usual call: for these nobody waits who has no others, whatever large ones hold. */
const TRIFLE = 16 << 10;

/** Rejects with an Error that says what to do; then nothing listens. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { registry, version, origins, hosts, base = "", console = false } = options;
  const most = options.connections ?? CONNECTIONS;
  // Sessions outnumber connections, so there is always one that can be forgotten.
  const sessions = new Sessions(Math.max(4096, most * 2 * options.endpoints.length));
  const sockets = new Set<Wire>();
  const webSockets: Shared["webSockets"] = new Set();
  const connections = new Set<HttpConnection>();
  const memory = new Share(options.memory ?? MEMORY, TRIFLE, options.favour);
  const shared: Shared = {
    ...{ registry, version, origins, hosts, base, console, pages: pagesOf(options) },
    ...{ most, memory, sessions, sockets, connections, webSockets, binders: options.binders },
    proxies: options.proxies,
    unready: options.unready,
    mcp: options.mcp && new Entrance(registry, version, options.mcp),
  };
  const listeners = await openListeners(options, shared);
  /** By name, whether it has TLS. */
  const known = new Map<string, boolean>();
  const remember = (
    endpoints: readonly Endpoint[],
    { secure }: Pick<Protection, "secure"> = {},
  ): void => {
    for (const endpoint of endpoints) known.set(nameOf(endpoint), secure !== undefined);
  };
  remember(options.endpoints, options.protection);
  const [first] = listeners;
  if (!first) throw new Error("no place to listen was given");
  return {
    url: first.url,
    port: first.port,
    get urls() {
      return listeners.map(({ url }) => (url.startsWith("http") ? url + shared.base : url));
    },
    get clients() {
      let paused = 0;
      for (const { backlog = 0 } of webSockets) if (backlog > 0) paused++;
      return { open: sockets.size, webSockets: webSockets.size, paused };
    },
    extend: async ({ endpoints, origins, hosts, base: other = "", ...changed }) => {
      const { protection, proxies, console = false } = changed;
      const further = endpoints.filter((endpoint) => !known.has(nameOf(endpoint)));
      for (const endpoint of endpoints) {
        const clear = endpoint.kind === "tcp" && known.get(nameOf(endpoint)) === false;
        if (clear && protection?.secure)
          throw new Error(
            `${nameOf(endpoint)} is served without TLS since the early start: give spawnbox early the same --tls-cert and --tls-key`,
          );
      }
      const pages = pagesOf(changed);
      try {
        listeners.push(...(await openListeners({ endpoints: further, protection }, shared)));
      } catch (error) {
        pages?.close();
        throw error;
      }
      remember(further, protection);
      shared.pages?.close();
      const { mcp } = changed;
      if (!mcp) void shared.mcp?.close();
      shared.mcp = mcp && (shared.mcp ?? new Entrance(registry, version, mcp));
      Object.assign(shared, { origins, hosts, pages, console, base: other, proxies });
    },
    close: async (told) => {
      await shutDown(listeners, shared, told);
      shared.pages?.close();
    },
  };
}

function pagesOf({ pages = [] }: Pick<ServerOptions, "pages">): Pages | undefined {
  return pages.length > 0 ? new Pages(pages) : undefined;
}

/** All of them, or none; inherited descriptors belong to the listeners, and are closed with them or where there are none. */
async function openListeners(
  { endpoints, protection = {} }: Pick<ServerOptions, "endpoints" | "protection">,
  shared: Shared,
): Promise<Listener[]> {
  const listeners: Listener[] = [];
  try {
    for (const endpoint of endpoints)
      listeners.push(await openListener(endpoint, shared, protection));
  } catch (error) {
    for (const endpoint of endpoints.slice(listeners.length + 1))
      if (endpoint.kind === "fd") closeSync(endpoint.fd);
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  return listeners;
}

/** The same for what would be the same place. */
function nameOf(endpoint: Endpoint): string {
  if (endpoint.kind === "tcp") return `tcp ${endpoint.host} ${endpoint.port}`;
  return endpoint.kind === "unix" ? `unix ${endpoint.path}` : `fd ${endpoint.fd}`;
}

async function shutDown(
  listeners: readonly Listener[],
  { sockets, connections, webSockets, mcp }: Shared,
  told: Promise<unknown> = Promise.resolve(),
): Promise<void> {
  const closed = listeners.map((listener) => listener.close());
  for (const connection of [...connections]) connection.leave();
  // Late or failed, it is for who has to do it to say so.
  await within(GRACE, "the last events", told).catch(() => {});
  // Its streams have no end of their own.
  void mcp?.close();
  for (const webSocket of [...webSockets]) webSocket.close(1001, "server is closing");
  const timer = setTimeout(() => {
    for (const socket of [...sockets]) socket.destroy();
  }, GRACE);
  await Promise.all(closed);
  await Promise.all(
    [...sockets].map((socket) => new Promise<void>((resolve) => socket.once("close", resolve))),
  );
  clearTimeout(timer);
}
