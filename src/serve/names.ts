/**
 * Where to listen, what the server is called and whose pages may call it, as the command line says it. What a browser would never
 * send, or nothing could listen on, is refused: it would be found out when nobody is let in, or everybody's pages are not.
 */
import { isIP } from "../ip.ts";

/** Also of a machine that breaks the rules of DNS. */
const NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_.-]*[\p{L}\p{M}\p{N}_.])?$/u;

/** As addresses of IPv6 are written in URLs. */
const bare = (text: string): string => text.replace(/^\[(.*)\]$/, "$1");

/** An address or a name to listen on. @throws TypeError */
export function parseHost(text: string): string {
  const host = bare(text);
  if (host === "") throw new TypeError("--host: expected an address");
  if (isIP(host) !== 0 || NAME.test(host)) return host;
  const hint =
    host === "*"
      ? "0.0.0.0 for all addresses, or :: for those of IPv6 too"
      : "an address or a name alone; --port has the port";
  throw new TypeError(`--host ${text}: expected ${hint}`);
}

/** As it stands in a Host header, without the port. @throws TypeError */
export function parseName(text: string): string {
  if (text === "*") return text;
  const host = bare(text);
  const kind = isIP(host);
  const url = kind === 6 || NAME.test(host) ? URL.parse(hostUrl(host)) : null;
  if (url) return url.hostname;
  throw new TypeError(
    `--name ${text}: expected a name or an address alone, such as panel.example.com; or *`,
  );
}

/**
 * As it stands in an Origin header: of a URL with a slash at its end it is the URL without. Pages of files, and of programs that bring
 * their own, have a scheme alone. @throws TypeError
 */
export function parseOrigin(text: string): string {
  if (text === "*" || text === "null") return text;
  const [, scheme = "", host = ""] = /^([a-z][a-z\d+.-]*):\/\/([^/?#@\\\s]*)\/?$/i.exec(text) ?? [];
  const url = URL.parse(text);
  // Of schemes that the URL standard does not know, such as those of extensions.
  const origin = url?.origin === "null" ? `${scheme.toLowerCase()}://${host}` : url?.origin;
  if (scheme === "" || origin === undefined || OF_POLICIES.test(origin))
    throw new TypeError(
      `--origin ${text}: expected where pages come from, without a path, such as https://panel.example.com; or *`,
    );
  return origin;
}

/** Calls are compared with a name, but the policy of pages takes it for a pattern, or for more than one. */
const OF_POLICIES = /[*;,'"]/;

const hostUrl = (host: string): string => `http://${isIP(host) === 6 ? `[${host}]` : host}/`;
