/** Whom `spawnbox call` believes, and what it shows, where the server speaks TLS. */
import { readFileSync } from "node:fs";
import type { TlsOptions } from "../client.ts";
import type { Options, Values } from "../manual/options.ts";
import { certificatesOf, keyOf } from "../server/pem.ts";
import { UsageError } from "./usage.ts";

export const TRUST = {
  ca: {
    argument: "FILE",
    text: "believes a server whose certificate is signed by one of this PEM file, or is in it, instead of by one of the system's",
    path: "file",
  },
  cert: { argument: "FILE", text: "shows the server this certificate (PEM)", path: "file" },
  key: { argument: "FILE", text: "the key of that certificate (PEM)", path: "file" },
} as const satisfies Options;

/** undefined where nothing is said of it. */
export function trustOf(
  { ca, cert, key }: Values<typeof TRUST>,
  url: string,
): TlsOptions | undefined {
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  if (!url.startsWith("wss:"))
    throw new UsageError(`--ca, --cert and --key are for a server with TLS: --url https://…`);
  if ((cert === undefined) !== (key === undefined))
    throw new UsageError("--cert and --key go together");
  return {
    ...(ca !== undefined && { ca: read("--ca", ca, certificatesOf) }),
    ...(cert !== undefined && { cert: read("--cert", cert, certificatesOf) }),
    ...(key !== undefined && { key: read("--key", key, keyOf) }),
  };
}

function read(option: string, file: string, pem: (bytes: Uint8Array) => Buffer): string {
  try {
    return pem(readFileSync(file)).toString();
  } catch (error) {
    throw new UsageError(`${option} ${file}: ${error instanceof Error ? error.message : error}`);
  }
}
