/** Certificates of connections over TCP: RFC 8446 and before it 5246, as both ends of a link between binders use it. */
import { isIP } from "node:net";
import {
  checkServerIdentity,
  createSecureContext,
  type ConnectionOptions,
  type TlsOptions,
} from "node:tls";
import type { Address, Tls } from "../config/binder-uri.ts";
import { readObeyed } from "../config/obeyed.ts";
import { trustOf } from "../config/trust.ts";

/** Bytes of a file of certificates: those of all authorities of a distribution have 200 KB. */
const MOST = 4 << 20;
const MINIMUM = "TLSv1.2";

/** What is to be shown, and to be trusted. Root obeys only files that nobody else can change. @throws Error naming what cannot be read */
function read({ cert, key, trust }: Tls) {
  const file = (what: string, path: string): Buffer => {
    try {
      return Buffer.from(readObeyed(path, trustOf(process.geteuid?.() ?? 0), MOST));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`${what}=${path}: ${why}`, { cause: error });
    }
  };
  return {
    ...(cert !== undefined && { cert: file("cert", cert) }),
    ...(key !== undefined && { key: file("key", key) }),
    ...(trust !== undefined && { ca: file("trust", trust) }),
  };
}

/** @throws Error where its files cannot be read, or do not go together */
export function serverOptions(tls: Tls): TlsOptions {
  requireReadable(tls);
  const { mutual } = tls;
  return { ...read(tls), minVersion: MINIMUM, requestCert: mutual, rejectUnauthorized: mutual };
}

/** @throws Error naming the file that cannot be read */
export function clientOptions(
  { host }: Extract<Address, { kind: "tcp" }>,
  tls: Tls,
): ConnectionOptions {
  const expected = tls.host ?? host;
  return {
    ...read(tls),
    minVersion: MINIMUM,
    rejectUnauthorized: true,
    // RFC 6066: names only, no addresses.
    ...(expected !== "" && isIP(expected) === 0 && { servername: expected }),
    checkServerIdentity: (_name, certificate) =>
      expected === "" ? undefined : checkServerIdentity(expected, certificate),
  };
}

/** @throws Error where its files cannot be read, or do not go together */
export function requireReadable(tls: Tls | undefined): void {
  if (!tls) return;
  const files = read(tls);
  try {
    createSecureContext(files);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`certificates and key do not go together, or are none: ${why}`, {
      cause: error,
    });
  }
}
