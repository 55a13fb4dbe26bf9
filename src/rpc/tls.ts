/** Certificates of connections over TCP: RFC 8446 and before it 5246, as both ends of a link between binders use it. */
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions, type TlsOptions } from "node:tls";
import type { Address, Tls } from "../config/binder-uri.ts";
import { MINIMUM, readTls, requireFitting, type TlsTexts } from "../server/tls-files.ts";

/** @throws Error naming what cannot be read */
const read = (tls: Tls): TlsTexts =>
  readTls(tls, { cert: "cert=", key: "key=", trust: "trust=" }, "anybody");

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
  if (tls) requireFitting(read(tls));
}
