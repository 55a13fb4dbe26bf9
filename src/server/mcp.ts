/**
 * `/mcp`: the verbs as tools, by the Model Context Protocol (see src/mcp). What speaks it is loaded when somebody asks first who may.
 *
 * A client of tools does what a text tells it to, and texts come from anywhere: so nobody is served here who comes from another
 * machine without a token that is known, or a certificate.
 */
import type { CertificateNames } from "../api/client.ts";
import type { Registry } from "../api/registry.ts";
import { AfbError } from "../errors.ts";
import type { Door } from "../mcp/door.ts";
import { requirePlain } from "./coding.ts";
import { checkCaller, type GetHeader, isLoopback, type OriginPolicy } from "./origin.ts";
import type { Peer } from "./peer.ts";
import { allow, LIVE } from "./respond.ts";
import { callerOf, readCredentials } from "./session.ts";

export interface McpOptions {
  /** JSON of what this machine and the user of the server can do. */
  readonly doctor: () => Promise<string>;
}

/** Who sent a request, as far as it is known by the connection. */
export interface From {
  readonly peer: Peer | undefined;
  readonly address: string | undefined;
  readonly certificate: CertificateNames | undefined;
  /** Whose share of all there is it uses. */
  readonly share: string;
}

const METHODS = "GET, POST, DELETE, OPTIONS";
const HEADERS =
  "authorization, content-type, accept, mcp-session-id, mcp-protocol-version, last-event-id";

export class Entrance {
  #door: Promise<Door> | undefined;

  constructor(
    readonly registry: Registry,
    readonly version: string,
    readonly options: McpOptions,
  ) {}

  /** @throws AfbError for who may not come in */
  async respond(
    request: Request,
    body: Uint8Array,
    from: From,
    policy: OriginPolicy,
  ): Promise<Response> {
    const header: GetHeader = (name) => request.headers.get(name) ?? undefined;
    allow(request.method, METHODS);
    if (request.method === "OPTIONS") return preflight();
    checkCaller(header, policy);
    requirePlain(header);
    // A token in an address is in logs and histories.
    const credentials = readCredentials(header, () => undefined, 0);
    const { peer, address, certificate, share } = from;
    const caller = callerOf(credentials, peer, { address, via: "mcp", certificate });
    if (!isNear(from, header, policy)) await this.#requireKnown(caller);
    const { token, user } = caller;
    const owner = JSON.stringify([token, user, certificate?.names, peer?.uid, peer?.gid]);
    this.#door ??= this.#load();
    const door = await this.#door;
    const response = await door.respond(request, { who: { caller }, owner, peer: share, body });
    response.headers.set("access-control-expose-headers", "mcp-session-id");
    response.headers.set("x-content-type-options", "nosniff");
    const isStream = response.headers.get("content-type") === "text/event-stream";
    response.headers.set("cache-control", isStream ? LIVE : "no-store");
    return response;
  }

  async close(): Promise<void> {
    await (await this.#door)?.close();
  }

  async #load(): Promise<Door> {
    const { registry, version, options } = this;
    const { Door } = await import("../mcp/door.ts");
    return new Door({ registry, version, doctor: options.doctor });
  }

  async #requireKnown(caller: ReturnType<typeof callerOf>): Promise<void> {
    if (caller.certificate && Date.now() < caller.certificate.until) return;
    if (caller.token === undefined)
      throw new AfbError(
        "unauthorized",
        "from other machines, tools are for who has a token or a client certificate: send Authorization: Bearer TOKEN",
      );
    if (!(await this.registry.knows?.(caller)))
      throw new AfbError("invalid-token", "this token is not known");
  }
}

/** By the kernel a user of this machine, or over its loopback: and not for somebody else, as far as that is told. */
function isNear({ peer, address }: From, header: GetHeader, { loopback }: OriginPolicy): boolean {
  const isRelayed = ["x-forwarded-for", "forwarded", "x-real-ip"].some(
    (name) => header(name) !== undefined,
  );
  if (address === undefined) return peer !== undefined && !isRelayed;
  return loopback && isLoopback(address) && !isRelayed;
}

const preflight = (): Response =>
  new Response(null, {
    status: 204,
    headers: {
      allow: METHODS,
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers": HEADERS,
    },
  });
