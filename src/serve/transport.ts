/** What is between `serve` and who calls it over TCP: the command line of it. */
import type { Server } from "../config/binder-uri.ts";
import type { Options, Values } from "../manual/options.ts";
import type { Endpoint } from "../server/endpoint.ts";
import { exposed, exposedBinder } from "../server/exposed.ts";
import { isLoopback } from "../server/origin.ts";
import { Proxies } from "../server/proxy.ts";

export const TLS = {
  "tls-cert": {
    argument: "FILE",
    text: "speak TLS on TCP, with the certificates of a PEM file (spawnbox cert makes one); SIGHUP reads it again",
    path: "file",
  },
  "tls-key": {
    argument: "FILE",
    text: "the private key of the first of them; others must not be able to read it",
    path: "file",
  },
  "tls-client-ca": {
    argument: "FILE",
    text: "authorities whose client certificates are believed: what the access file grants to certificates",
    path: "file",
  },
  insecure: {
    text: "listen on addresses that other machines reach without TLS: on a network where everybody is trusted",
  },
  "trust-proxy": {
    argument: "ADDRESS[/BITS]",
    repeatable: true,
    text: "believe X-Forwarded-For, -Proto and -Host of a proxy at this address, or in this network; repeatable",
  },
} as const satisfies Options;

/** Paths. */
export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

export interface TransportOptions {
  /** undefined: TCP is in the clear. */
  readonly tls: TlsPaths | undefined;
  readonly insecure: boolean;
  readonly proxies: Proxies | undefined;
}

/** @throws TypeError, which is wrong usage */
export function transportOptions(values: Values<typeof TLS>): TransportOptions {
  const { "tls-cert": cert, "tls-key": key, "tls-client-ca": clientCa, insecure } = values;
  if ([cert, key, clientCa].includes("")) throw new TypeError("--tls-…: expected a file");
  if ((cert === undefined) !== (key === undefined))
    throw new TypeError("--tls-cert and --tls-key go together: spawnbox cert DIR makes both");
  if (clientCa !== undefined && cert === undefined)
    throw new TypeError("--tls-client-ca: only TLS shows certificates: say --tls-cert, --tls-key");
  const proxies = values["trust-proxy"];
  return {
    tls: cert === undefined || key === undefined ? undefined : { cert, key, clientCa },
    insecure,
    proxies: proxies.length > 0 ? new Proxies(proxies) : undefined,
  };
}

/** @throws TypeError where other machines would reach something that nobody protects */
export function requireProtected(
  endpoints: readonly Endpoint[],
  exports: readonly Server[],
  { tls, insecure }: Pick<TransportOptions, "tls" | "insecure">,
): void {
  if (insecure) return;
  for (const endpoint of endpoints) {
    if (endpoint.kind === "tcp" && !tls && !isLoopback(endpoint.host))
      throw new TypeError(exposed(`--host ${endpoint.host}`));
  }
  for (const { address, uri } of exports) {
    if (address.kind === "tcp" && !address.tls && !isLoopback(address.host))
      throw new TypeError(exposedBinder(uri));
  }
}
