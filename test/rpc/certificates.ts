/** Certificates of two authorities, made by openssl(1): of a server and a client of the one, and of a server of the other. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Signed {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** Another of the first authority. @param extensions of openssl.cnf, @param subject such as /CN=x */
  readonly sign: (who: string, how?: Signing) => Signed;
  /** Of the two authorities. */
  readonly trust: string;
  readonly strange: string;
  readonly server: Signed;
  readonly client: Signed;
  /** Signed by the strange one. */
  readonly stranger: Signed;
}

export interface Signing {
  /** Such as `/CN=x` */
  readonly subject?: string;
  /** Of openssl.cnf */
  readonly extensions?: string;
  readonly days?: number;
  readonly by?: "ca" | "strange-ca";
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
  const sign = (
    who: string,
    { subject = `/CN=${who}`, extensions, days = 2, by = "ca" }: Signing = {},
  ): Signed => {
    const [key, cert, request] = [keyOf(who), at(`${who}.pem`), at(`${who}.csr`)];
    if (extensions !== undefined) writeFileSync(at(`${who}.ext`), extensions);
    const file = at(extensions === undefined ? "names" : `${who}.ext`);
    openssl("req", "-new", "-utf8", "-key", key, "-subj", subject, "-out", request);
    openssl(
      ...["x509", "-req", "-in", request, "-CA", at(`${by}.pem`), "-CAkey", at(`${by}.key`)],
      ...["-CAcreateserial", "-days", String(days), "-extfile", file, "-out", cert],
    );
    return { cert, key };
  };
  const signed = (who: string, by: Signing["by"] & string): Signed => sign(who, { by });
  return {
    sign,
    trust: authority("ca"),
    strange: authority("strange-ca"),
    server: signed("server", "ca"),
    client: signed("client", "ca"),
    stranger: signed("stranger", "strange-ca"),
  };
}
