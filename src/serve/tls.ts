/** The certificates of `serve`, and whose it believes: read at the start, and again at each reload. */
import { X509Certificate } from "node:crypto";
import type { TlsOptions } from "node:tls";
import { ConfigError, type Problem } from "../config/problem.ts";
import { blocksOf } from "../server/pem.ts";
import {
  MINIMUM,
  readTls,
  requireFitting,
  type TlsFiles,
  type TlsTexts,
} from "../server/tls-files.ts";
import { visible } from "../visible.ts";
import type { TlsPaths } from "./transport.ts";

export { Secure } from "../server/secure.ts";

/** What the files say now. */
export interface LoadedTls {
  readonly options: TlsOptions;
  readonly notices: readonly Problem[];
}

/** @throws ConfigError naming each file that will not do */
export function loadTls({ cert, key, clientCa }: TlsPaths): LoadedTls {
  const problems: Problem[] = [];
  const attempt = <Result>(file: string, step: () => Result): Result | undefined => {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      problems.push({ file, path: "", message: error.message });
      return undefined;
    }
  };
  const read = (files: TlsFiles, file: string): TlsTexts | undefined =>
    attempt(file, () => readTls(files, undefined, "its group"));
  const own = read({ cert }, cert);
  const secret = read({ key }, key);
  const trusted = clientCa === undefined ? {} : read({ trust: clientCa }, clientCa);
  const texts = { ...own, ...secret, ...trusted };
  if (own && secret) attempt(cert, () => requireFitting({ ...own, ...secret }));
  if (problems.length > 0) throw new ConfigError(problems);
  const options: TlsOptions = {
    ...texts,
    minVersion: MINIMUM,
    requestCert: clientCa !== undefined,
    // Who shows none is nobody in particular; who shows one that counts for nothing is told so.
    rejectUnauthorized: false,
  };
  const unsigned = clientCa === undefined ? [] : incompleteOf(clientCa, texts.ca);
  return { options, notices: [...noticesOf(cert, texts.cert), ...unsigned] };
}

/** Boards without a clock of their own learn the time late: so this does not keep a server from its start. */
function noticesOf(file: string, cert: Buffer | undefined): Problem[] {
  if (!cert) return [];
  const { validFrom, validTo } = new X509Certificate(cert);
  const [from, to, now] = [Date.parse(validFrom), Date.parse(validTo), Date.now()];
  const wrong = now < from ? `is not valid before ${validFrom}` : `has expired at ${validTo}`;
  if (now >= from && now <= to) return [];
  return [
    { file, path: "", message: `the certificate ${wrong}, by the clock here: callers refuse it` },
  ];
}

/** An authority counts where it has signed itself, or one that does is behind it: of others each client is refused. */
function incompleteOf(file: string, ca: Buffer | undefined): Problem[] {
  const all = blocksOf(ca ?? Buffer.of()).map((text) => new X509Certificate(text));
  // Each name is written down when it is asked for, and a distribution believes 150.
  const subjects = new Set(all.map(({ subject }) => subject));
  return all
    .filter(({ issuer }) => !subjects.has(issuer))
    .map(({ subject, issuer }) => ({
      ...{ file, path: "" },
      message: `"${inLine(subject)}" is signed by "${inLine(issuer)}", which is not in it: clients that it signs for are refused until that one is there`,
    }));
}

/** @param name undefined where the certificate has an empty one, which its alternative names stand for */
const inLine = (name: string | undefined): string => visible((name ?? "").replaceAll("\n", ", "));
