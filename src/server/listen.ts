/** Listening on an address, with errors that say what to do. */
import { isIP } from "../ip.ts";

/** A server of `node:net`, `node:tls`, or our own; `error` tells why it cannot listen. */
export interface Listens<Where> {
  listen(where: Where, listening: () => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

/** At a port. */
interface Listening extends Listens<{ host: string; port: number }> {
  address(): { readonly port: number } | string | null;
}

const ADVICE: Record<string, string> = {
  EADDRINUSE: "the port is in use: stop the program that has it, or choose another port",
  EACCES: "not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one",
  EADDRNOTAVAIL: "this machine has no such address: use one of its own, or 0.0.0.0 or :: for all",
  ENOTFOUND: "the name is not known: use an address, such as 127.0.0.1",
  EAI_AGAIN: "the name cannot be resolved now: use an address, such as 127.0.0.1",
};

const REFUSED =
  "perhaps a filter around the server denies such sockets: RestrictAddressFamilies=AF_INET AF_INET6 in the unit, or --unix PATH";

/** Addresses that each interface has its own of, without saying which (RFC 4007). */
const LINK_LOCAL = /^fe[89ab][0-9a-f]:[^%]*$/i;
const ofLink = (host: string): string =>
  `such an address is one of each interface: say which, as in ${host}%eth0`;

/** What may be wrong where there was no socket to be had, for which the runtime gives no code. */
function withoutSocket(host: string): string {
  const [, zone] = /%(.*)$/.exec(host) ?? [];
  if (zone !== undefined) return `is there an interface "${zone}"? Or ${REFUSED}`;
  return isIP(host) === 6 ? `${REFUSED}; or the kernel has no IPv6: use 0.0.0.0` : REFUSED;
}

/** Resolves to the port, which the kernel chose if 0 was asked for. */
export async function listen(
  server: Listening,
  { host, port }: { host: string; port: number },
): Promise<number> {
  const where = `cannot listen on ${bracket(host)}:${port}`;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const said = error instanceof Error ? error.message : String(error);
    const advice = ADVICE[code] ?? (code === "" ? `${said}; ${withoutSocket(host)}` : said);
    const isLink = code === "EINVAL" && LINK_LOCAL.test(host);
    throw new Error(
      `${where}: ${isLink ? ofLink(host) : advice}${code === "" ? "" : ` (${code})`}`,
      { cause: error },
    );
  }
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error(`${where}: no port`);
  return address.port;
}

/** The host to put into a URL for someone on this machine. */
export function urlHost(host: string): string {
  return host === "0.0.0.0" || host === "::" ? "localhost" : bracket(host);
}

function bracket(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}
