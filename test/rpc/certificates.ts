/** Certificates of two authorities, made by openssl(1): of a server and a client of the one, and of a server of the other. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Signed {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** Of the two authorities. */
  readonly trust: string;
  readonly strange: string;
  readonly server: Signed;
  readonly client: Signed;
  /** Signed by the strange one. */
  readonly stranger: Signed;
}

/** @param name that of the server, besides 127.0.0.1 */
export function certificatesIn(dir: string, name = "board"): Certificates {
  const at = (file: string): string => join(dir, file);
  const openssl = (...args: readonly string[]): void => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args]);
    if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr.toString()}`);
  };
  const keyOf = (who: string): string => {
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", at(`${who}.key`));
    // Served by an ordinary user, too.
    chmodSync(at(`${who}.key`), 0o644);
    return at(`${who}.key`);
  };
  const authority = (who: string): string => {
    const cert = at(`${who}.pem`);
    openssl(
      ...["req", "-x509", "-new", "-key", keyOf(who), "-subj", `/CN=${who}`],
      ...["-days", "2", "-out", cert],
    );
    return cert;
  };
  writeFileSync(at("names"), `subjectAltName=DNS:${name},IP:127.0.0.1`);
  const signed = (who: string, by: string): Signed => {
    const [key, cert, request] = [keyOf(who), at(`${who}.pem`), at(`${who}.csr`)];
    openssl("req", "-new", "-key", key, "-subj", `/CN=${who}`, "-out", request);
    openssl(
      ...["x509", "-req", "-in", request, "-CA", at(`${by}.pem`), "-CAkey", at(`${by}.key`)],
      ...["-CAcreateserial", "-days", "2", "-extfile", at("names"), "-out", cert],
    );
    return { cert, key };
  };
  return {
    trust: authority("ca"),
    strange: authority("strange-ca"),
    server: signed("server", "ca"),
    client: signed("client", "ca"),
    stranger: signed("stranger", "strange-ca"),
  };
}
