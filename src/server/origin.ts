/**
 * Who may call from a browser. A page of any site can make a visitor's browser open a WebSocket to this server, or
 * send it a GET or POST; and a site can point its own name at 127.0.0.1 (DNS rebinding) and then count as same-origin.
 * Programs that are no browsers send no Origin and are not concerned.
 *
 * - Origin must be that of the server itself, as the Host header says, or one of `origins`.
 * - A request a browser marks as coming from another site (Sec-Fetch-Site) is refused, unless its Origin is allowed.
 * - On a loopback address, Host must be localhost, 127.0.0.1, [::1], or one of `hosts`. On other addresses any Host
 *   will do, unless `hosts` is given.
 *
 * What this cannot stop: a GET without Origin from a foreign page to a plain-http address other than loopback, where
 * browsers send no Sec-Fetch-Site.
 */
import { isIP } from "node:net";
import { AfbError } from "../errors.ts";

export interface OriginPolicy {
  /** Further origins, such as `https://panel.example`; `*` is any, `null` that of local files. */
  origins?: readonly string[];
  /** Names this server is called by, without port; `*` is any. */
  hosts?: readonly string[];
  /** Whether the server listens on a loopback address. */
  loopback: boolean;
}

/** A header by its lower-case name. */
export type GetHeader = (name: string) => string | undefined;

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** Whether a listen address is reached from this machine only. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
}

/** Throws an {@link AfbError} `forbidden` that says what to configure. */
export function checkOrigin(header: GetHeader, policy: OriginPolicy): void {
  checkHost(header("host"), policy);
  const origins = policy.origins ?? [];
  if (origins.includes("*")) return;
  const origin = header("origin");
  if (origin !== undefined) {
    if (origins.includes(origin) || sameOrigin(origin, header("host"))) return;
    throw new AfbError(
      "forbidden",
      `pages of ${origin} may not call this server; to allow it, add that origin to "origins"`,
    );
  }
  const site = header("sec-fetch-site");
  if (site === "cross-site" || site === "same-site") {
    throw new AfbError(
      "forbidden",
      `a page of another origin may not call this server; to allow it, add its origin to "origins"`,
    );
  }
}

function checkHost(host: string | undefined, policy: OriginPolicy): void {
  const hosts = policy.hosts ?? [];
  if (host === undefined || hosts.includes("*")) return;
  if (!policy.loopback && hosts.length === 0) return;
  const name = host.toLowerCase().replace(/:\d*$/, "");
  if (LOOPBACK_NAMES.includes(name) || hosts.some((one) => one.toLowerCase() === name)) return;
  throw new AfbError(
    "forbidden",
    `this server is not called "${name}"; if it is, add that name to "hosts"`,
  );
}

/** Compares as URLs, so that a default port may be written or not. */
function sameOrigin(origin: string, host: string | undefined): boolean {
  const theirs = URL.parse(origin);
  if (!theirs || host === undefined) return false;
  return URL.parse(`${theirs.protocol}//${host}`)?.host === theirs.host && theirs.host !== "";
}
