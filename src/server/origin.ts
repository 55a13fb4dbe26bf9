/**
 * Who may call from a browser. A page of any site can make a visitor's browser open a WebSocket to this server, or
 * send it a GET or POST; and a site can point its own name at 127.0.0.1 (DNS rebinding) and then count as same-origin.
 * Programs that are no browsers send no Origin and are not concerned.
 *
 * - Origin must be that of the server itself, as the Host header says, or one of `origins`.
 * - A request a browser marks as coming from another site (Sec-Fetch-Site) is refused, unless its Origin is allowed.
 * - On a loopback address, Host must be localhost, such an address, or one of `hosts`. On other addresses any Host
 *   will do, unless `hosts` is given.
 *
 * These lists are the options --origin and --name.
 * Over plain http to an address other than loopback, browsers send no Sec-Fetch-Site; and for `<img src>`, a link or
 * `fetch(…, {mode: "no-cors"})` no Origin either. A foreign page chooses whether Referer and which Accept are sent, so their
 * absence proves nothing; what it cannot change there is that the request looks like one of a browser. Therefore:
 *
 * - A call that looks like a browser's and carries neither Origin nor Sec-Fetch-Site must have a Referer of our own origin,
 *   or of one of `origins`. A page of ours sends one by itself. Who types the address of a verb into a browser gets told.
 * - A Referer of another origin is refused whatever else the request looks like.
 * - Where the server speaks TLS, or a trusted proxy tells what it speaks, a page of the same name by the other scheme is foreign.
 */
import { isIP } from "../ip.ts";
import { AfbError } from "../errors.ts";

export interface OriginPolicy {
  /** Further origins, such as `https://panel.example`; `*` is any, `null` that of local files. */
  origins?: readonly string[];
  /** Names this server is called by, without port; `*` is any. */
  hosts?: readonly string[];
  /** Whether the server listens on a loopback address. */
  loopback: boolean;
  /** What the server's own pages come by; undefined where a proxy that nobody has named may speak TLS for it. */
  scheme?: Scheme | undefined;
}

export type Scheme = "http:" | "https:";

/** A header by its lower-case name. */
export type GetHeader = (name: string) => string | undefined;

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
    if (origins.includes(origin) || sameOrigin(origin, header("host"), policy)) return;
    throw new AfbError(
      "forbidden",
      `pages of ${origin} may not call this server; to allow it, start with --origin ${plain(origin, "URL")}`,
    );
  }
  const site = header("sec-fetch-site");
  if (site === "cross-site" || site === "same-site") {
    throw new AfbError(
      "forbidden",
      "a page of another origin may not call this server; to allow it, start with --origin and its origin, such as --origin https://panel.example.com",
    );
  }
}

/**
 * For requests that call a verb: refuses those that a browser may have been made to send, see above. Throws an
 * {@link AfbError} `forbidden` that says what to do.
 */
export function checkCaller(header: GetHeader, policy: OriginPolicy): void {
  const origins = policy.origins ?? [];
  if (origins.includes("*") || header("origin") !== undefined) return;
  if (header("sec-fetch-site") !== undefined) return;
  const referer = header("referer");
  if (referer !== undefined) {
    const from = URL.parse(referer)?.origin ?? "null";
    if (origins.includes(from) || sameOrigin(from, header("host"), policy)) return;
    throw new AfbError(
      "forbidden",
      `pages of ${from} may not call this server; to allow it, start with --origin ${plain(from, "URL")}`,
    );
  }
  if (!looksLikeBrowser(header)) return;
  throw new AfbError(
    "forbidden",
    "this may be a foreign page that makes a browser call: call from a page of this server, or without a browser",
  );
}

/** All browsers call themselves Mozilla; the rest is for those that were told not to. */
function looksLikeBrowser(header: GetHeader): boolean {
  return (
    /^mozilla\//i.test(header("user-agent") ?? "") ||
    header("upgrade-insecure-requests") !== undefined ||
    /^(image|video|audio|font|text\/css|text\/html)\b/i.test(header("accept") ?? "")
  );
}

/** A text of the request, where it can be put on a command line as it is. */
const plain = (text: string, otherwise: string): string =>
  /^[\w.:/[\]-]+$/.test(text) ? text : otherwise;

function checkHost(host: string | undefined, policy: OriginPolicy): void {
  const hosts = policy.hosts ?? [];
  if (host === undefined || hosts.includes("*")) return;
  if (!policy.loopback && hosts.length === 0) return;
  const name = host.toLowerCase().replace(/:\d*$/, "");
  // A name can be pointed here, an address is what it is.
  const isHere = isLoopback(name) || name === "[::1]";
  if (isHere || hosts.some((one) => one.toLowerCase() === name)) return;
  throw new AfbError(
    "forbidden",
    `this server is not called "${name}"; if it is, start with --name ${plain(name, "HOST")}`,
  );
}

/** Compares as URLs, so that a default port may be written or not. */
function sameOrigin(origin: string, host: string | undefined, { scheme }: OriginPolicy): boolean {
  const theirs = URL.parse(origin);
  if (!theirs || host === undefined) return false;
  // A page that came by http may be of anybody on the way.
  if (scheme !== undefined && theirs.protocol !== scheme) return false;
  return URL.parse(`${theirs.protocol}//${host}`)?.host === theirs.host && theirs.host !== "";
}
