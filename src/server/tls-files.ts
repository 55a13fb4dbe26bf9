/** Certificates and keys, read from files. What a server shows and trusts is as much an instruction as its config. */
import { createSecureContext } from "node:tls";
import { openObeyed } from "../config/obeyed.ts";
import { trustOf } from "../config/trust.ts";
import { certificatesOf, keyOf } from "./pem.ts";

/** Bytes of a file of certificates: those of all authorities of a distribution have 200 KB. */
const MOST = 4 << 20;
/** Of TLS, for both ends: RFC 8996 has done away with what was before. */
export const MINIMUM = "TLSv1.2";

/** Paths, all of PEM. */
export interface TlsFiles {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Authorities that are believed. */
  readonly trust?: string | undefined;
}

export interface TlsTexts {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
}

/**
 * Root obeys only files that nobody else can change.
 * @param named how the files are called in errors, such as `cert=`; undefined where they are named already
 * @param keyFor who may read the key besides its owner; `anybody` where that was never asked
 * @throws Error naming the file that cannot be read, and why
 */
export function readTls(
  { cert, key, trust }: TlsFiles,
  named: { readonly [Name in keyof Required<TlsFiles>]: string } | undefined,
  keyFor: "its group" | "anybody",
): TlsTexts {
  const file = (
    what: string | undefined,
    path: string,
    pem: (bytes: Uint8Array) => Buffer,
    secret = false,
  ): Buffer => {
    try {
      using opened = openObeyed(path, trustOf(process.geteuid?.() ?? 0));
      if (secret && (opened.mode & 0o007) !== 0)
        throw new Error(`others can read or change this key: chmod o= ${path}`);
      return pem(opened.read(MOST));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(what === undefined ? why : `${what}${path}: ${why}`, { cause: error });
    }
  };
  return {
    ...(cert !== undefined && { cert: file(named?.cert, cert, certificatesOf) }),
    ...(key !== undefined && { key: file(named?.key, key, keyOf, keyFor === "its group") }),
    ...(trust !== undefined && { ca: file(named?.trust, trust, certificatesOf) }),
  };
}

/** @throws Error where the key is another's, or the runtime does not take them */
export function requireFitting(texts: TlsTexts): void {
  try {
    createSecureContext(texts);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const isOther = /KEY_(?:TYPE|VALUES)_MISMATCH/.test(why);
    throw new Error(
      isOther
        ? "certificate and key do not go together: the key has to be that of the first certificate in the file"
        : `certificates and key cannot be used: ${why}`,
      { cause: error },
    );
  }
}
