/** A fleet file → who this machine is in the fleet, or every problem of the file. */
import { dirname, resolve } from "node:path";
import { conform, type Draft } from "../config/conform.ts";
import { readJson } from "../config/load.ts";
import { openObeyed } from "../config/obeyed.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { trustOf } from "../config/trust.ts";
import { isLoopback } from "../server/origin.ts";
import { MINIMUM, readTls, requireFitting, type TlsTexts } from "../server/tls-files.ts";
import { EXPIRY, FleetFile, KEEPALIVE, LARGEST, WINDOW } from "./schema.ts";
import { PREFIX } from "./topics.ts";

export interface Broker {
  readonly host: string;
  readonly port: number;
  /** Without, it is on this machine. */
  readonly tls: boolean;
}

/** Paths, of PEM but for the password. */
export interface Secrets {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly password?: string | undefined;
}

export interface Fleet {
  readonly broker: Broker;
  readonly board: string | undefined;
  readonly operator: string | undefined;
  readonly groups: readonly string[];
  readonly secrets: Secrets;
  readonly prefix: string;
  /** s */
  readonly expiry: number;
  readonly window: number;
  /** Bytes. */
  readonly largest: number;
  /** s */
  readonly keepalive: number;
  readonly describe: boolean;
  readonly homeassistant: { readonly operator: string; readonly prefix: string } | undefined;
}

/** @throws Error that says what is wrong with it */
export function parseBroker(text: string): Broker {
  const url = URL.parse(text);
  const tls = url?.protocol === "mqtts:";
  if (!url || (!tls && url.protocol !== "mqtt:") || url.hostname === "")
    throw new Error(`expected mqtts://HOST[:PORT], not ${JSON.stringify(text)}`);
  if (url.username !== "" || url.password !== "" || !["", "/"].includes(url.pathname) || url.search)
    throw new Error("expected mqtts://HOST[:PORT] and nothing besides: names and files have keys");
  if (url.port === "0") throw new Error("no broker is met at port 0");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (!tls && !isLoopback(host))
    throw new Error(
      `mqtt: is read and changed by whoever is on the way to ${host}: say mqtts:, plain only to this machine`,
    );
  return { host, port: url.port === "" ? (tls ? 8883 : 1883) : Number(url.port), tls };
}

/**
 * @param uid who obeys it: root only a file that nobody else can change, and so its certificates
 * @throws ConfigError with every problem
 */
export function loadFleet(file: string, uid = process.geteuid?.() ?? 0): Fleet {
  const problems: Problem[] = [];
  const report = (path: string, message: string) => void problems.push({ file, path, message });
  const raw = readJson(file, trustOf(uid, "mine only"), problems);
  const draft =
    raw === undefined
      ? undefined
      : (conform(FleetFile, raw, "", report) as Draft<FleetFile> | undefined);
  let broker: Broker | undefined;
  if (draft?.broker !== undefined) {
    try {
      broker = parseBroker(draft.broker);
    } catch (error) {
      report("broker", error instanceof Error ? error.message : String(error));
    }
  }
  const at = (path: string | undefined) =>
    path === undefined ? undefined : resolve(dirname(file), path);
  const { ca, cert, key, password } = draft ?? {};
  const secrets: Secrets = { ca: at(ca), cert: at(cert), key: at(key), password: at(password) };
  if ((cert === undefined) !== (key === undefined))
    report(cert === undefined ? "cert" : "key", "cert and key go together");
  if (broker && !broker.tls && (ca ?? cert) !== undefined)
    report("broker", "certificates are for mqtts:");
  if (broker && problems.length === 0) {
    try {
      readSecrets(secrets);
    } catch (error) {
      report("", error instanceof Error ? error.message : String(error));
    }
  }
  if (problems.length > 0 || !draft || !broker)
    throw new ConfigError(problems.map((one) => ({ ...one, file })));
  const { board, operator, homeassistant: home } = draft;
  return {
    ...{ broker, board, operator, secrets },
    groups: [...new Set((draft.groups ?? []).filter((one) => one !== undefined))],
    prefix: draft.prefix ?? PREFIX,
    expiry: draft.expiry ?? EXPIRY,
    window: draft.window ?? WINDOW,
    largest: draft.largest ?? LARGEST,
    keepalive: draft.keepalive ?? KEEPALIVE,
    describe: draft.describe ?? true,
    homeassistant:
      home?.operator === undefined
        ? undefined
        : { operator: home.operator, prefix: home.prefix ?? "homeassistant" },
  };
}

/** What is shown to the broker and believed of it. */
export interface Shown extends TlsTexts {
  readonly minVersion: typeof MINIMUM;
  readonly password?: string;
}

const MOST_PASSWORD = 4096;

/** Read anew for each connection: certificates are renewed. @throws Error naming the file, and why */
export function readSecrets({ ca, cert, key, password }: Secrets): Shown {
  const texts = readTls({ cert, key, trust: ca }, { cert: "", key: "", trust: "" }, "its group");
  if (cert !== undefined) requireFitting(texts);
  return {
    ...texts,
    minVersion: MINIMUM,
    ...(password !== undefined && { password: readPassword(password) }),
  };
}

function readPassword(file: string): string {
  using opened = openObeyed(file, trustOf(process.geteuid?.() ?? 0));
  if ((opened.mode & 0o007) !== 0)
    throw new Error(`${file}: others can read or change this password: chmod o= ${file}`);
  return new TextDecoder().decode(opened.read(MOST_PASSWORD)).replace(/\r?\n$/, "");
}
