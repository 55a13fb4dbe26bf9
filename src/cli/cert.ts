/** `spawnbox cert`: a certificate for this board, or for a client of it, and what to do with it. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { CREDIBLE } from "../credible.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { putSecrets } from "../command-line/put.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";
import { urlHost } from "../server/listen.ts";
import { visible } from "../visible.ts";

const OPTIONS = {
  name: {
    argument: "NAME",
    repeatable: true,
    text: "a further name or address that the board is called by, besides its host name, that with .local, and localhost; repeatable",
  },
  client: {
    argument: "NAME",
    text: "make a certificate for a client of this name instead, for serve --tls-client-ca DIR/client-ca.pem",
  },
  days: {
    argument: "N",
    text: "how long it is valid (default 825, the most that all browsers take)",
  },
  renew: { text: "put new ones in the place of those that are there" },
} as const;

const DEFAULT_DAYS = 825;
/** So long its authority is valid. */
const MOST_DAYS = 20 * 365 - 1;
/** Clocks of callers may be a little behind. */
const EARLIER = 86_400_000;

export const manual: Manual = {
  name: "spawnbox cert",
  synopsis: ["DIR [--name NAME]... [--days N] [--renew]", "DIR --client NAME [--days N] [--renew]"],
  about: `Makes a key and a certificate for TLS in the directory: server.pem and server.key, and ca.pem, the authority that
callers have to believe. It signs this one certificate, and its own key is kept nowhere. With --client, a certificate for a
client of that name, NAME.pem and NAME.key; its authority, client-ca.pem, signs further ones.`,
  options: OPTIONS,
  exit: "0, 1 when they cannot be made, 2 wrong usage.",
  examples: [
    "spawnbox cert /etc/spawnbox/tls --name 192.168.1.10",
    "spawnbox cert /etc/spawnbox/tls --client tablet",
  ],
};

interface Options {
  readonly dir: string;
  readonly names: readonly string[];
  readonly client: string | undefined;
  readonly days: number;
  readonly renew: boolean;
}

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, async (options) => {
    try {
      if (Date.now() < CREDIBLE)
        throw new Error(
          `the clock says ${new Date().toISOString()}: set it first, since a certificate has dates`,
        );
      await (options.client === undefined
        ? forServer(options)
        : forClient(options, options.client));
      return 0;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      console.error(`spawnbox cert: ${error.message}`);
      return 1;
    }
  });

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { name, client, days = String(DEFAULT_DAYS), renew } = read.values;
  const [dir, ...more] = read.positionals;
  if (dir === undefined || dir === "" || more.length > 0)
    throw new UsageError("say which directory: DIR");
  if (!/^[1-9]\d{0,3}$/.test(days) || Number(days) > MOST_DAYS)
    throw new UsageError(`--days ${days}: expected days, from 1 to ${MOST_DAYS}`);
  if (client !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(client))
    throw new UsageError(`--client ${client}: expected letters, digits and . _ -, at most 64`);
  if (client !== undefined && ["ca", "client-ca", "server"].includes(client))
    throw new UsageError(`--client ${client}: the files of this name are others`);
  if (client !== undefined && name.length > 0) throw new UsageError("--name is for the server");
  for (const one of name) {
    // Which interface of a machine leads there is no part of the address.
    if ((isIP(one) === 0 && !isDnsName(one)) || one.includes("%"))
      throw new UsageError(`--name ${one}: expected a name such as boat.example, or an address`);
  }
  return { dir, names: name, client, days: Number(days), renew };
}

/** RFC 1123. An address that is none, such as 10.0.0.300, would be one too. */
const isDnsName = (text: string): boolean =>
  text.length <= 253 &&
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/.test(
    text,
  ) &&
  !/(?:^|\.)\d+$/.test(text);

async function forServer({ dir, names, days, renew }: Options): Promise<void> {
  const { fingerprintOf, makeAuthority, makeServer } = await import("../access/authority.ts");
  const at = placesIn(dir);
  const all = [...new Set([...ownNames(), ...names, "localhost", "127.0.0.1", "::1"])];
  const [first = "localhost"] = all;
  const url = `https://${urlHost(first)}:1234`;
  if (!renew) requireFree(at("server.pem"), at("server.key"), at("ca.pem"));
  const from = new Date(Date.now() - EARLIER);
  const ca = makeAuthority(`spawnbox on ${first}`.slice(0, 64), from);
  const { cert, key } = makeServer(ca, all, { from, days });
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  putSecrets(
    { file: at("server.key"), text: key, mode: 0o600 },
    { file: at("server.pem"), text: cert, mode: 0o644 },
    { file: at("ca.pem"), text: ca.cert, mode: 0o644 },
  );
  console.log(`made ${at("server.pem")} and ${at("server.key")}, for ${days} days, as
  ${all.join(", ")}
and ${at("ca.pem")}, the authority that callers have to believe; its SHA-256 fingerprint is
  ${fingerprintOf(ca.cert)}

serve with it:   spawnbox serve … --host 0.0.0.0 --tls-cert ${at("server.pem")} --tls-key ${at("server.key")}
                 (a server that has it already reads it again on SIGHUP)
call it:         copy ca.pem to the caller, then
                 curl --cacert ca.pem ${url}/
                 spawnbox call --ca ca.pem --url ${url} API/VERB
in a browser:    import ca.pem as an authority for web sites, compare the fingerprint, then open ${url}/
                 Firefox: Settings, Certificates, View Certificates, Authorities, Import
                 Chromium: chrome://certificate-manager, Custom, Installed by you, Trusted certificates, Import`);
}

async function forClient({ dir, days, renew }: Options, name: string): Promise<void> {
  const { authorityOf, makeAuthority, makeClient } = await import("../access/authority.ts");
  const at = placesIn(dir);
  const [caCert, caKey] = [at("client-ca.pem"), at("client-ca.key")];
  if (!renew) requireFree(at(`${name}.pem`), at(`${name}.key`));
  const from = new Date(Date.now() - EARLIER);
  const known = existsSync(caKey) && existsSync(caCert);
  const ca = known
    ? authorityOf({ cert: readFileSync(caCert, "utf8"), key: readFileSync(caKey, "utf8") })
    : makeAuthority(`spawnbox clients of ${hostname()}`.slice(0, 64), from);
  const { cert, key } = makeClient(ca, name, { from, days });
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const authority = [
    { file: caKey, text: ca.key, mode: 0o600 },
    { file: caCert, text: ca.cert, mode: 0o644 },
  ];
  putSecrets(
    ...(known ? [] : authority),
    { file: at(`${name}.key`), text: key, mode: 0o600 },
    { file: at(`${name}.pem`), text: cert, mode: 0o644 },
  );
  const grant = { certificate: `CN:${name}`, privileges: [] };
  console.log(`made ${at(`${name}.pem`)} and ${at(`${name}.key`)}, for ${days} days: hand both to the client, and keep ${caKey}

serve:      spawnbox serve … --tls-client-ca ${caCert}
grant:      ${JSON.stringify(grant)}
call:       spawnbox call --cert ${name}.pem --key ${name}.key --ca ca.pem --url https://… API/VERB
            curl --cert ${name}.pem --key ${name}.key --cacert ca.pem https://…
a browser takes both in one file: openssl pkcs12 -export -in ${name}.pem -inkey ${name}.key -out ${name}.p12`);
}

const placesIn =
  (dir: string) =>
  (file: string): string =>
    resolve(join(dir, file));

/** As it calls itself, and as others find it on the same network by mDNS. Where that can be in no certificate, it is told. */
function ownNames(): string[] {
  const own = hostname().toLowerCase();
  if (!isDnsName(own)) {
    console.error(
      `notice: the host name "${visible(own)}" can be in no certificate: say what callers call the board by --name`,
    );
    return [];
  }
  return [...new Set([own, `${own.replace(/\..*$/, "")}.local`])];
}

function requireFree(...files: readonly string[]): void {
  const there = files.find((file) => existsSync(file));
  if (there !== undefined)
    throw new Error(
      `${there} is there already: --renew puts another in its place; who believes the old one has to be told`,
    );
}
