/** Sessions: what the server remembers of a caller between requests, by uuid. They live in memory only. */
import type { Caller, CertificateNames, Session, Via } from "../api/client.ts";
import type { GetHeader, Scheme } from "./origin.ts";
import type { Peer } from "./peer.ts";

/** Seconds a session lives without use, and the Max-Age of its cookie. */
export const SESSION_TIMEOUT = 32_000_000;

export interface ServerSession extends Session {
  /** WebSockets open in this session: it is kept as long as there are any. */
  connections: number;
  /** Milliseconds, of the clock of {@link Sessions}. */
  lastUsed: number;
  /** Seconds a session lives without use, and those this one still has. */
  readonly timeout: number;
  readonly remain: number;
}

/** What a request says of who is calling. */
export interface Credentials {
  uuid?: string;
  token?: string;
  /** The uuid is from the cookie, which therefore need not be set. */
  fromCookie: boolean;
}

/** Query parameters that are about the session, and not arguments of a verb. */
export const SESSION_PARAMETERS: ReadonlySet<string> = new Set([
  "x-afb-uuid",
  "uuid",
  "access_token",
  "x-afb-token",
  "token",
]);

export class Sessions {
  /** By {@link keyOf}. Least recently used first. */
  readonly #sessions = new Map<string, ServerSession>();

  /**
   * @param most Sessions kept; beyond, the least recently used one without a WebSocket goes.
   * @param now Milliseconds, of a clock that nobody sets: on boards without a battery the time of day comes with the network.
   */
  constructor(
    readonly most = 4096,
    readonly timeout = SESSION_TIMEOUT,
    readonly now: () => number = () => performance.now(),
  ) {}

  get size(): number {
    return this.#sessions.size;
  }

  /**
   * The session of these credentials. A uuid not known (any more) makes a session of that name, none a random one. A user
   * known by the kernel has sessions of its own: that of another is not entered by knowing its uuid. No session remembers a
   * token, nor who the caller is: who enters one gains nothing.
   */
  open(credentials: Credentials, peer?: Pick<Peer, "uid" | "gid">): ServerSession {
    this.#expire();
    const uuid = credentials.uuid ?? crypto.randomUUID();
    const key = keyOf(uuid, peer);
    const session: ServerSession = this.#sessions.get(key) ?? this.#create(uuid);
    session.lastUsed = this.now();
    this.#sessions.delete(key);
    if (this.#sessions.size >= this.most) this.#evict();
    this.#sessions.set(key, session);
    return session;
  }

  #create(uuid: string): ServerSession {
    const session = { uuid, connections: 0, lastUsed: 0 };
    const { timeout } = this;
    const remain = (): number => this.remaining(session);
    // Not enumerable: what is printed of a session does not change from second to second.
    return Object.defineProperties(session as ServerSession, {
      timeout: { value: timeout },
      remain: { get: remain },
    });
  }

  /** Seconds until the session expires, if it is not used before. */
  remaining(session: Pick<ServerSession, "lastUsed">): number {
    return Math.max(0, this.timeout - Math.floor((this.now() - session.lastUsed) / 1000));
  }

  #expire(): void {
    for (const [key, session] of this.#sessions) {
      if (this.remaining(session) > 0) return;
      if (session.connections === 0) this.#sessions.delete(key);
    }
  }

  #evict(): void {
    for (const [key, session] of this.#sessions) {
      if (session.connections > 0) continue;
      this.#sessions.delete(key);
      return;
    }
  }
}

/** A uuid has no colon. */
function keyOf(uuid: string, peer: Pick<Peer, "uid" | "gid"> | undefined): string {
  return peer ? `${uuid}:${peer.uid}:${peer.gid}` : uuid;
}

/** What is known of a caller besides who it says it is. */
export interface How {
  /** From where, over TCP, and what it speaks: for records, no privilege comes of it. */
  readonly address?: string | undefined;
  readonly via?: Via;
  /** Verified by TLS. */
  readonly certificate?: CertificateNames | undefined;
}

/** Who is calling. */
export function callerOf(
  { token }: Pick<Credentials, "token">,
  peer: Peer | undefined,
  { address, via, certificate }: How = {},
): Caller {
  return {
    ...(token !== undefined && { token }),
    ...(peer?.user && { user: peer.user }),
    ...(certificate && { certificate }),
    ...(address !== undefined && { address }),
    ...(via && { via }),
  };
}

export function cookieName(port: number): string {
  return `x-afb-uuid-${port}`;
}

/** @param base see Base: what is elsewhere behind the same proxy does not get it */
export function sessionCookie(port: number, uuid: string, base: string, scheme?: Scheme): string {
  const secure = scheme === "https:" ? "; Secure" : "";
  return `${cookieName(port)}=${uuid}; Path=${base || "/"}; Max-Age=${SESSION_TIMEOUT}; HttpOnly; SameSite=Lax${secure}`;
}

/** Reads headers before parameters, and the cookie last. */
export function readCredentials(
  header: GetHeader,
  parameter: (name: string) => string | undefined,
  port: number,
): Credentials {
  const bearer = /^Bearer +(\S+) *$/i.exec(header("authorization") ?? "")?.[1];
  const token =
    bearer ??
    header("x-afb-token") ??
    parameter("access_token") ??
    parameter("x-afb-token") ??
    parameter("token");
  const given =
    header("x-afb-uuid") ?? header("uuid") ?? parameter("x-afb-uuid") ?? parameter("uuid");
  const uuid = usable(given) ?? usable(readCookie(header("cookie") ?? "", cookieName(port)));
  const credentials: Credentials = { fromCookie: usable(given) === undefined && !!uuid };
  if (uuid !== undefined) credentials.uuid = uuid;
  if (token) credentials.token = token;
  return credentials;
}

/** A uuid goes into a cookie and is kept in memory, so it is short and plain, or it is not taken. */
function usable(uuid: string | undefined): string | undefined {
  return uuid !== undefined && /^[A-Za-z0-9_-]{1,64}$/.test(uuid) ? uuid : undefined;
}

function readCookie(cookies: string, name: string): string | undefined {
  for (const pair of cookies.split(";")) {
    const equals = pair.indexOf("=");
    if (pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
