/** `spawnbox fleet cert`: an authority, and certificates of a broker, boards and operators, to try a fleet with. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { putSecrets } from "./put.ts";

export interface FleetCerts {
  readonly dir: string;
  /** Boards and operators. */
  readonly names: readonly string[];
  /** Names and addresses of the broker. */
  readonly hosts: readonly string[];
  readonly days: number;
}

/** Clocks of others may be a little behind. */
const EARLIER = 86_400_000;
/** Their files have these names. */
export const TAKEN = ["ca", "broker"];

/** What is there stays. @returns what was made, for people. @throws Error that says what to do */
export async function fleetCerts({ dir, names, hosts, days }: FleetCerts): Promise<string[]> {
  const { authorityOf, makeAuthority, makeClient, makeServer } =
    await import("../access/authority.ts");
  const at = (file: string): string => resolve(join(dir, file));
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const from = new Date(Date.now() - EARLIER);
  const made: string[] = [];
  const put = (name: string, { cert, key }: { cert: string; key: string }): void => {
    putSecrets(
      { file: at(`${name}.key`), text: key, mode: 0o600 },
      { file: at(`${name}.pem`), text: cert, mode: 0o644 },
    );
    made.push(at(`${name}.pem`));
  };
  const isThere = existsSync(at("ca.pem")) && existsSync(at("ca.key"));
  const ca = isThere
    ? authorityOf({
        cert: readFileSync(at("ca.pem"), "utf8"),
        key: readFileSync(at("ca.key"), "utf8"),
      })
    : makeAuthority("spawnbox fleet", from);
  if (!isThere) put("ca", ca);
  if (hosts.length > 0 && !existsSync(at("broker.pem")))
    put("broker", makeServer(ca, hosts, { from, days }));
  for (const name of names)
    if (!existsSync(at(`${name}.pem`))) put(name, makeClient(ca, name, { from, days }));
  return made;
}
